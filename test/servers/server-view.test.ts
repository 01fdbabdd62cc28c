import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { Problem } from '../../src/model/problems.ts';
import { choicesOf } from '../../src/notebooks/profiles.ts';
import type { HubServer } from '../../src/ports/hubs.ts';
import { extended, extensionOf } from '../../src/servers/extension.ts';
import type { HubView, PodsView } from '../../src/servers/facts.ts';
import { podsByUser } from '../../src/servers/pod.ts';
import { serverView, stateOf } from '../../src/servers/server-view.ts';
import { aMoment, anOrderedRecord, aSpec } from '../support/records.ts';
import { environment } from '../support/simulated-hub.ts';

const kari = 'kari.nordmann@nav.no';
const now = Date.parse(aMoment);
const iso = (ms: number) => new Date(ms).toISOString();

const server = (over: Partial<HubServer> = {}): HubServer => ({
  stopped: false,
  ready: true,
  pending: null,
  startedAt: iso(now - 3_600_000),
  lastActivityAt: iso(now - 600_000),
  profile: 'python-3-13',
  ...over,
});
const pod = {
  name: 'jupyter-kari',
  uid: 'pod-1',
  isTerminating: false,
  isReady: true,
  image: 'ghcr.io/navikt/x:1@sha256:aaa',
  profile: 'python-3-13',
  profileRevision:
    choicesOf(aSpec(), null, [environment])[0]?.override.extra_annotations['knada.io/profile-revision'] ??
    null,
  size: { 'requests.cpu': 0, 'requests.memory': 0, 'limits.cpu': 0, 'limits.memory': 0 },
  userInstallByDefault: false,
  startedAt: iso(now - 3_600_000),
};
const hub = (over: HubServer | null = server()): HubView => ({ answered: true, isUser: true, server: over });
const pods = (over: typeof pod | undefined = pod): PodsView => ({ answered: true, pod: over });
const noPod: PodsView = { answered: true, pod: undefined };
const silence = { answered: false } as const;
const stopped = server({ stopped: true, ready: false, startedAt: null });

describe('the state of a server', () => {
  const table: readonly (readonly [what: string, hub: HubView, pods: PodsView, state: string])[] = [
    ['hub and pod agree that it runs', hub(), pods(), 'running'],
    ['the hub says that it runs, the cluster says nothing', hub(), silence, 'running'],
    ['the hub has not noticed that the pod is gone', hub(), noPod, 'stopping'],
    [
      'the hub has not noticed that the pod is going',
      hub(),
      pods({ ...pod, isTerminating: true }),
      'stopping',
    ],
    ['the hub starts it', hub(server({ ready: false, pending: 'spawn' })), noPod, 'starting'],
    ['the hub stops it', hub(server({ ready: false, pending: 'stop' })), pods(), 'stopping'],
    ['the hub has just started', hub(server({ ready: false, pending: 'check' })), pods(), 'hub_restarting'],
    [
      'the hub has just started, and no pod is there',
      hub(server({ ready: false, pending: 'check' })),
      noPod,
      'hub_restarting',
    ],
    ['it was never started', hub(null), noPod, 'stopped'],
    ['it was stopped', hub(stopped), noPod, 'stopped'],
    ['it was stopped, and the cluster says nothing', hub(stopped), silence, 'stopped'],
    [
      'the hub has let it go, its pod is still going',
      hub(stopped),
      pods({ ...pod, isTerminating: true }),
      'stopping',
    ],
    ['a pod has come between the two questions', hub(stopped), pods({ ...pod, isReady: false }), 'starting'],
    ['a pod runs of which the hub knows nothing', hub(stopped), pods(), 'unknown'],
    ['the hub does not answer, the pod runs', silence, pods(), 'running'],
    ['the hub does not answer, the pod is not ready', silence, pods({ ...pod, isReady: false }), 'starting'],
    ['the hub does not answer, the pod is going', silence, pods({ ...pod, isTerminating: true }), 'stopping'],
    ['the hub does not answer, there is no pod', silence, noPod, 'unknown'],
    ['neither answers', silence, silence, 'unknown'],
  ];
  for (const [what, hubView, podsView, state] of table) {
    it(`is ${state} when ${what}`, () => assert.equal(stateOf({ hub: hubView, pods: podsView }), state));
  }

  it('is never `stopped` while the hub does not answer', () => {
    for (const podsView of [pods(), noPod, silence])
      assert.notEqual(stateOf({ hub: silence, pods: podsView }), 'stopped');
  });
});

describe('an extension', () => {
  it('must be within the next 24 hours, in any UTC offset', () => {
    const refused = (until: string) =>
      assert.throws(
        () => extensionOf({ until }, now),
        (error) => error instanceof Problem && error.errors?.[0]?.pointer === '/until',
      );
    refused(iso(now));
    refused(iso(now - 1));
    refused(iso(now + 86_400_001));
    assert.equal(extensionOf({ until: iso(now + 86_400_000) }, now), iso(now + 86_400_000));
    assert.equal(extensionOf({ until: '2026-11-23T12:00:00+01:00' }, now), '2026-11-23T11:00:00.000Z');
  });

  const [soon, late] = [iso(now + 3_600_000), iso(now + 7_200_000)];
  const act = { by: kari, now: aMoment };
  it('is kept with the other memory, delays nothing that is due earlier, and can be shortened', () => {
    const busyAt = iso(now - 1_000);
    const team = anOrderedRecord({ culling: { dueAt: soon, servers: { [kari]: { busyAt } } } });
    const first = extended(team, kari, late, act);
    assert.deepEqual(first?.next.culling, {
      dueAt: soon,
      servers: { [kari]: { busyAt, extendedUntil: late } },
    });
    assert.partialDeepStrictEqual(first?.event, { action: 'server_extended', by: kari });
    const waiting = { ...first.next, culling: { ...first.next.culling, dueAt: late } };
    const back = extended(waiting, kari, soon, act);
    assert.equal(back?.next.culling.dueAt, soon, 'it may be due earlier now');
    assert.deepEqual(back?.event?.changes, [
      { pointer: `/servers/${kari}/extendedUntil`, from: late, to: soon },
    ]);
  });
  it('that exists already writes nothing', () => {
    const team = anOrderedRecord({ culling: { dueAt: null, servers: { [kari]: { extendedUntil: late } } } });
    assert.equal(extended(team, kari, late, act), undefined);
  });
});

describe('a server as clients see it', () => {
  const offered = choicesOf(aSpec(), null, [environment]);
  const context = {
    offered,
    operation: undefined,
    observedAt: aMoment,
  };
  const team = anOrderedRecord();
  const view = (hubView: HubView, podsView: PodsView, record = team) =>
    serverView(record, kari, { hub: hubView, pods: podsView }, context);

  it('says when and why it will stop, only while it is running', () => {
    assert.partialDeepStrictEqual(view(hub(), pods()), {
      state: 'running',
      stopsAt: iso(now - 600_000 + 3_600_000),
      stopsBecause: 'idle',
      pendingRestart: false,
      url: 'https://team-a.jupyter.knada.io/user/kari.nordmann@nav.no/',
      operation: null,
    });
    const kept = {
      ...team,
      culling: { dueAt: null, servers: { [kari]: { extendedUntil: iso(now + 7_200_000) } } },
    };
    assert.partialDeepStrictEqual(view(hub(), pods(), kept), {
      stopsAt: iso(now + 7_200_000),
      stopsBecause: 'extended',
    });
    const going = view(hub(server({ ready: false, pending: 'stop' })), pods(), kept);
    assert.partialDeepStrictEqual(going, { stopsAt: null, stopsBecause: null });
  });

  it('has unknown fields null when the cluster does not answer', () => {
    const unknown = { image: null, profile: null, pendingChanges: null, pendingRestart: null };
    assert.partialDeepStrictEqual(view(hub(), silence), unknown);
  });

  it('has unknown what a restart would change when the hub does not answer', () => {
    assert.partialDeepStrictEqual(view(silence, pods()), {
      profile: { slug: 'python-3-13', displayName: 'Python 3.13' },
      pendingChanges: null,
      pendingRestart: null,
    });
  });

  it('shows nothing of a previous run', () => {
    const { startedAt, stopsAt, image, profile, pendingRestart } = view(hub(stopped), noPod);
    assert.deepEqual([startedAt, stopsAt, image, profile, pendingRestart], [null, null, null, null, false]);
  });
});

describe('the pods of members', () => {
  const raw = (name: string, annotations: Record<string, string>, more: object = {}) => ({
    apiVersion: 'v1',
    kind: 'Pod',
    metadata: { name, uid: name, annotations, ...more },
    spec: {
      containers: [
        { name: 'sidecar', image: 'x' },
        { name: 'notebook', image: 'ghcr.io/navikt/x:1' },
      ],
    },
    status: {
      startTime: '2026-11-23T09:00:00Z',
      conditions: [{ type: 'Ready', status: 'True' }],
      containerStatuses: [{ name: 'notebook', imageID: `ghcr.io/navikt/x@sha256:${'b'.repeat(64)}` }],
    },
  });
  const user = { 'hub.jupyter.org/username': kari };

  it('are found by annotation, without named servers', () => {
    const found = podsByUser([
      raw('a', { ...user, 'hub.jupyter.org/servername': 'second' }),
      raw('b', user),
      raw('c', {}),
    ]);
    assert.deepEqual(
      [...found].map(([name, { uid }]) => [name, uid]),
      [[kari, 'b']],
    );
  });

  it('show the image of the notebook container by digest', () => {
    const view = podsByUser([raw('b', user)]).get(kari);
    assert.equal(view?.image, `ghcr.io/navikt/x:1@sha256:${'b'.repeat(64)}`);
    assert.equal(view?.startedAt, '2026-11-23T09:00:00.000Z');
  });

  it('prefer the new pod while the old one terminates', () => {
    const old = raw('old', user, { deletionTimestamp: aMoment });
    for (const both of [
      [old, raw('new', user)],
      [raw('new', user), old],
    ])
      assert.equal(podsByUser(both).get(kari)?.uid, 'new');
  });
});
