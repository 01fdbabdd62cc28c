import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import type { Manifest } from '../../src/ports/cluster.ts';
import { type PodSize, podSizeOf, quotaShortage } from '../../src/servers/quota.ts';

const gi = 1024 ** 3;
const size: PodSize = {
  'requests.cpu': 0.5,
  'requests.memory': gi,
  'limits.cpu': 4,
  'limits.memory': 8 * gi,
};
const quota = (hard: object, used: object = {}, more: object = {}): Manifest => ({
  apiVersion: 'v1',
  kind: 'ResourceQuota',
  metadata: { name: 'quota' },
  spec: { hard, ...more },
  status: { used },
});

describe('a quota shortage', () => {
  const rows: readonly (readonly [string, readonly Manifest[], PodSize | undefined, RegExp | undefined])[] = [
    ['without a quota there is none', [], undefined, undefined],
    ['everything is free', [quota({ 'limits.cpu': '4', memory: '1Gi' })], undefined, undefined],
    [
      'one core is missing',
      [quota({ 'limits.cpu': '7' }, { 'limits.cpu': '3500m' })],
      undefined,
      /limits\.cpu: 4 needed, 3\.5 available/,
    ],
    [
      'the present pod’s share is free',
      [quota({ 'limits.cpu': '7' }, { 'limits.cpu': '6' })],
      size,
      undefined,
    ],
    ['a plain name counts requests', [quota({ cpu: '400m' })], undefined, /cpu: 0\.5 needed, 0\.4 available/],
    [
      'decimal and plain bytes',
      [quota({ 'limits.memory': '8G' })],
      undefined,
      /8192Mi needed, 7629Mi available/,
    ],
    ['other resources do not count', [quota({ pods: '0', 'count/secrets': '1' })], undefined, undefined],
    [
      'quotas with scopes do not count',
      [quota({ 'limits.cpu': '1' }, {}, { scopes: ['BestEffort'] })],
      undefined,
      undefined,
    ],
  ];
  for (const [name, quotas, present, says] of rows) {
    it(`${says === undefined ? 'none' : 'found'}: ${name}`, () => {
      const found = quotaShortage(quotas, size, present);
      if (says === undefined) assert.equal(found, undefined);
      else assert.match(found ?? '', says);
    });
  }

  it('uses a container’s limit for an omitted request', () => {
    const pod: Manifest = {
      apiVersion: 'v1',
      kind: 'Pod',
      metadata: { name: 'jupyter-kari' },
      spec: {
        containers: [
          { resources: { limits: { cpu: '2', memory: '1Gi' }, requests: { cpu: '250m' } } },
          { resources: { limits: { cpu: 1 } } },
        ],
      },
    };
    assert.deepEqual(podSizeOf(pod), {
      'requests.cpu': 1.25,
      'requests.memory': gi,
      'limits.cpu': 3,
      'limits.memory': gi,
    });
  });
});
