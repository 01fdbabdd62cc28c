import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { canonicalBytes, canonicalMillicores } from '../../src/lib/quantity.ts';
import { type TeamQuota, unlimited } from '../../src/model/team-quota.ts';
import { resourceQuota, usageOf } from '../../src/notebooks/resource-quota.ts';
import { metaOf } from '../../src/teams/desired.ts';
import { aRecord } from '../support/records.ts';

const quota: TeamQuota = { cpu: 2, memory: '4Gi', members: 3, home: '20Gi' };
const hub = { resources: { requests: { cpu: '50m', memory: '256Mi' }, limits: { memory: '512Mi' } } };
const proxy = { chp: { resources: { requests: { cpu: '20m', memory: '64Mi' } } } };

const hardOf = (values: object | null, limits = quota, used?: Parameters<typeof resourceQuota>[2]) => {
  const release = values && { platformHash: 'p', spec: { values } };
  const team = aRecord({ quota: limits, release });
  return resourceQuota(team, metaOf(team), used)[0]?.spec;
};

describe('a team’s ResourceQuota', () => {
  it('is the quota itself before there is a hub', () => {
    const hard = { 'requests.cpu': '2', 'requests.memory': '4Gi', 'requests.storage': '20Gi' };
    assert.deepEqual(hardOf(null), { hard });
  });

  it('does not exist for a team without limits, nor for one with a limit of members only', () => {
    for (const limits of [unlimited, { ...unlimited, members: 3 }]) {
      const team = aRecord({ quota: limits });
      assert.deepEqual(resourceQuota(team, metaOf(team)), []);
    }
  });

  it('leaves what the hub, the proxy and the hub’s database request to them', () => {
    assert.deepEqual(hardOf({ hub, proxy }), {
      hard: { 'requests.cpu': '2070m', 'requests.memory': '4416Mi', 'requests.storage': '21Gi' },
    });
    const db = { pvc: { storage: '2Gi' } };
    assert.deepEqual(hardOf({ hub: { ...hub, db }, proxy }, { ...unlimited, members: 3, home: '20Gi' }), {
      hard: { 'requests.storage': '22Gi' },
    });
  });

  it('counts a limit as the request of a container without one, as Kubernetes does', () => {
    const limited = { resources: { limits: { cpu: '1', memory: '512Mi' } } };
    assert.deepEqual(hardOf({ hub: limited, proxy }), {
      hard: { 'requests.cpu': '3020m', 'requests.memory': '4672Mi', 'requests.storage': '21Gi' },
    });
  });

  const silent = {
    'the hub': { hub: {}, proxy },
    'the proxy': { hub, proxy: {} },
    'a second container of the hub': { hub: { ...hub, extraContainers: [{ name: 'sidecar' }] }, proxy },
    'an init container of the hub': { hub: { ...hub, initContainers: [{ name: 'wait' }] }, proxy },
    'the proxy’s TLS': { hub, proxy: { ...proxy, https: { enabled: true } } },
  };
  for (const [who, values] of Object.entries(silent)) {
    it(`does not limit what ${who} does not request: Kubernetes would refuse its pod`, () => {
      assert.deepEqual(hardOf(values), { hard: { 'requests.storage': '21Gi' } });
    });
  }

  it('limits one resource when only the other is not requested', () => {
    const memoryOnly = { resources: { requests: { memory: '256Mi' } } };
    assert.deepEqual(hardOf({ hub: memoryOnly, proxy }), {
      hard: { 'requests.memory': '4416Mi', 'requests.storage': '21Gi' },
    });
  });

  it('is never below what notebooks take now', () => {
    const used = { cpu: 2.5, memory: 5 * 1024 ** 3, home: 30 * 1024 ** 3 };
    assert.deepEqual(hardOf({ hub, proxy }, quota, used), {
      hard: { 'requests.cpu': '2570m', 'requests.memory': '5440Mi', 'requests.storage': '31Gi' },
    });
  });
});

describe('what notebooks take of a quota', () => {
  it('is what their containers request, and the size of their homes', () => {
    const metadata = { name: 'x' };
    const pod = (...resources: object[]) => ({
      apiVersion: 'v1',
      kind: 'Pod',
      metadata,
      spec: { containers: resources.map((one) => ({ resources: one })) },
    });
    const home = (storage: string) => ({
      apiVersion: 'v1',
      kind: 'PersistentVolumeClaim',
      metadata,
      spec: { resources: { requests: { storage } } },
    });
    const pods = [
      pod({ requests: { cpu: '200m', memory: '1Gi' }, limits: { cpu: '4' } }, { limits: { cpu: 1 } }),
      pod({}),
    ];
    assert.deepEqual(usageOf(pods, [home('10Gi'), home('512Mi')]), {
      cpu: 1.2,
      memory: 1024 ** 3,
      home: 10.5 * 1024 ** 3,
    });
    assert.deepEqual(usageOf([], []), { cpu: 0, memory: 0, home: 0 });
  });
});

describe('a canonical quantity', () => {
  it('has the largest unit that leaves a whole number, as the API server returns it', () => {
    const [Mi, Gi] = [1024 ** 2, 1024 ** 3];
    const rows = { [Mi]: '1Mi', [1536 * Mi]: '1536Mi', [Gi]: '1Gi', [1024 * Gi]: '1Ti', 1000: '1000' };
    for (const [bytes, text] of Object.entries(rows)) assert.equal(canonicalBytes(Number(bytes)), text);
    for (const [millicores, text] of [
      [1, '1m'],
      [1500, '1500m'],
      [2000, '2'],
      [1_000_000, '1k'],
      [1_500_000, '1500'],
    ] as const) {
      assert.equal(canonicalMillicores(millicores), text);
    }
  });
});
