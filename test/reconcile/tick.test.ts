import assert from 'node:assert/strict';
import { describe, it, type TestContext } from 'node:test';
import { openSqliteStore } from '../../src/adapters/sqlite.ts';
import { policiesFingerprint } from '../../src/egress/fingerprint.ts';
import type { ConditionReason } from '../../src/model/condition-reasons.ts';
import type { TeamRecord } from '../../src/model/record.ts';
import { platformHash, releaseSpec } from '../../src/notebooks/desired.ts';
import type { Manifest } from '../../src/ports/cluster.ts';
import type { HubServer, HubUser } from '../../src/ports/hubs.ts';
import type { Store } from '../../src/ports/store.ts';
import { Unavailable } from '../../src/ports/unavailable.ts';
import { type TickDeps, tick } from '../../src/reconcile/tick.ts';
import { aPlatform } from '../notebooks/platform.ts';
import { aMoment, aNaming, anEvent, anOrderedRecord, aRecord } from '../support/records.ts';

const today = aPlatform();
const tomorrow = aPlatform({ chartVersion: '4.4.1' });
const [hashToday, hashTomorrow] = [platformHash(today), platformHash(tomorrow)];
const later = '2026-11-23T09:30:00.000Z';
const numbered = (n: number) => `team-${String(n).padStart(3, '0')}`;

const release = (slug: string) => ({
  platformHash: hashToday,
  spec: releaseSpec(aRecord({ slug }), today),
});

/** A team with a notebook where all is well and nothing is due. */
const settled = (slug: string, overrides: Partial<TeamRecord> = {}): TeamRecord => {
  const team = anOrderedRecord({ slug, id: `${slug}-3f9c`, release: release(slug) });
  return {
    ...team,
    status: { ...team.status, phase: 'Ready', appliedGeneration: 2, appliedRevision: 1, wasReady: true },
    reconcile: { dueAt: later, failures: 0 },
    ...overrides,
  };
};

/** As the record of a team that has opted in, with what its last reconcile left. */
const optedIn = (policies: string) => ({
  egressHosts: ['secretmanager.googleapis.com'],
  status: { ...settled('team-a').status, policies },
});

const aTick = async (t: TestContext, teams: readonly TeamRecord[], overrides: Partial<TickDeps> = {}) => {
  const inner = openSqliteStore({ file: ':memory:', naming: aNaming });
  t.after(() => inner.close());
  for (const team of teams) await inner.create(team, anEvent());
  const asked: string[] = [];
  const store: Store = new Proxy(inner, {
    get(target, property, receiver) {
      const value: unknown = Reflect.get(target, property, receiver);
      if (typeof value !== 'function') return value;
      return (...args: unknown[]) => {
        asked.push(String(property));
        return Reflect.apply(value, target, args);
      };
    },
  });
  const looked: string[] = [];
  const events: { readonly event: string; readonly fields: object }[] = [];
  const note = (fields: object, event: string) => void events.push({ event, fields });
  let now = Date.parse(aMoment);
  const deps: TickDeps = {
    store,
    clock: { now: () => now },
    log: { info: note, warn: note, error: note },
    rolloutPerTick: 5,
    cluster: { list: async () => [], serves: async () => false },
    hubs: { users: async () => [] },
    advanceOperations: async () => 0,
    platform: { hash: hashToday, releaseSpec: (team) => releaseSpec(team, today) },
    async reconcile(slug) {
      looked.push(slug);
      return inner.change(slug, (team) => ({ next: { ...team, reconcile: { dueAt: later, failures: 0 } } }));
    },
    ...overrides,
  };
  return {
    store: inner,
    asked,
    looked,
    events,
    run: () => tick(deps),
    pass: (seconds: number) => {
      now += seconds * 1000;
    },
  };
};

const rollOut = { hash: hashTomorrow, releaseSpec: (team: TeamRecord) => releaseSpec(team, tomorrow) };

describe('a tick', () => {
  it('queries the store three times when nothing is due, for any number of teams', async (t) => {
    const teams = Array.from({ length: 40 }, (_, n) => settled(numbered(n)));
    const { run, asked, looked } = await aTick(t, teams);
    assert.deepEqual(await run(), { looked: 0, rolledOut: 0, operations: 0 });
    assert.deepEqual(asked, ['outdated', 'due', 'restricted']);
    assert.deepEqual(looked, []);
  });

  it('reconciles only the teams that are due, the longest due first', async (t) => {
    const due = (slug: string, dueAt: string) => settled(slug, { reconcile: { dueAt, failures: 0 } });
    const { run, looked, pass } = await aTick(t, [
      due('team-a', '2026-11-23T08:59:00.000Z'),
      due('team-b', '2026-11-23T09:00:01.000Z'),
      due('team-c', '2026-11-23T08:00:00.000Z'),
      due('team-d', aMoment),
    ]);
    assert.equal((await run()).looked, 3);
    assert.deepEqual(looked, ['team-c', 'team-a', 'team-d']);
    looked.length = 0;
    pass(1);
    await run();
    assert.deepEqual(looked, ['team-b']);
    looked.length = 0;
    assert.equal((await run()).looked, 0);
    pass(1800);
    assert.equal((await run()).looked, 4);
  });

  it('advances operations concurrently, and reconciles the teams even if that fails', async (t) => {
    const team = settled('team-a', { reconcile: { dueAt: aMoment, failures: 0 } });
    const some = await aTick(t, [team], { advanceOperations: async () => 3 });
    assert.deepEqual(await some.run(), { looked: 1, rolledOut: 0, operations: 3 });
    const none = await aTick(t, [team], { advanceOperations: () => Promise.reject(new Error('broken')) });
    assert.deepEqual(await none.run(), { looked: 1, rolledOut: 0, operations: 0 });
    assert.ok(none.events.some(({ event }) => event === 'operations not advanced'));
  });

  it('reconciles a team whose notebook started or stopped, due or not, and each team once', async (t) => {
    const baseline = (slug: string, notebooks: string, name = 'notebook-egress-baseline'): Manifest => ({
      apiVersion: 'networking.k8s.io/v1',
      kind: 'NetworkPolicy',
      metadata: {
        name,
        namespace: `team-${slug}-3f9c`,
        labels: { 'knada.io/team': slug, 'knada.io/allowlist': 'wanted' },
        annotations: { 'knada.io/notebooks': notebooks },
      },
    });
    const pod: Manifest = {
      apiVersion: 'v1',
      kind: 'Pod',
      metadata: { name: 'jupyter-kari', namespace: 'team-team-a-3f9c', uid: 'u1' },
    };
    const policies = ['team-a', 'team-b', 'team-c'].flatMap((slug) => [
      baseline(slug, slug === 'team-c' ? 'announced' : 'none:0'),
      baseline(slug, '', 'airflow-egress-baseline'),
    ]);
    const known = (slug: string) =>
      policiesFingerprint(policies.filter(({ metadata }) => metadata.namespace === `team-${slug}-3f9c`));
    const { run, looked } = await aTick(
      t,
      [
        { ...settled('team-a', { reconcile: { dueAt: aMoment, failures: 0 } }), ...optedIn(known('team-a')) },
        { ...settled('team-b'), ...optedIn(known('team-b')) },
        { ...settled('team-c'), ...optedIn(known('team-c')) },
      ],
      {
        cluster: { list: async ({ kind }) => (kind === 'Pod' ? [pod] : policies), serves: async () => false },
      },
    );
    await run();
    assert.deepEqual(looked, ['team-a', 'team-c']);
  });

  it('lists nothing while no team has opted in, and continues when the cluster cannot be listed', async (t) => {
    const listed: string[] = [];
    const team = settled('team-a', { reconcile: { dueAt: aMoment, failures: 0 } });
    const none = await aTick(t, [team], {
      cluster: {
        async list({ kind }) {
          listed.push(kind);
          return [];
        },
        serves: async () => false,
      },
    });
    await none.run();
    assert.deepEqual(listed, []);
    const away = await aTick(t, [{ ...team, ...optedIn('') }], {
      cluster: {
        list: () => Promise.reject(new Unavailable('Kubernetes', 'It is away.')),
        serves: async () => false,
      },
    });
    await away.run();
    assert.deepEqual(away.looked, ['team-a']);
    assert.ok(away.events.some(({ event }) => event === 'cluster not listed'));
  });

  it('is not blocked by a team that fails, or hangs until its deadline', async (t) => {
    const slugs = Array.from({ length: 30 }, (_, n) => numbered(n));
    const free = Promise.withResolvers<void>();
    const seen: string[] = [];
    const { run, events } = await aTick(
      t,
      slugs.map((slug) => settled(slug, { reconcile: { dueAt: aMoment, failures: 0 } })),
      {
        async reconcile(slug, signal) {
          assert.ok(!signal.aborted);
          seen.push(slug);
          if (seen.length === slugs.length) free.resolve();
          // The first one hangs until every other team has been looked at.
          if (slug === numbered(0)) await free.promise;
          if (slug === numbered(1)) throw new Error('the store is away');
          return undefined;
        },
      },
    );
    assert.equal((await run()).looked, 30);
    assert.deepEqual(seen.toSorted(), slugs);
    assert.deepEqual(
      events.map(({ event, fields }) => [event, 'team' in fields && fields.team]),
      [['reconcile failed', numbered(1)]],
    );
  });

  it('reconciles a few teams concurrently, not all of them', async (t) => {
    let running = 0;
    let most = 0;
    const { run } = await aTick(
      t,
      Array.from({ length: 40 }, (_, n) => aRecord({ slug: numbered(n) })),
      {
        async reconcile() {
          running += 1;
          most = Math.max(most, running);
          await new Promise((resolve) => setImmediate(resolve));
          running -= 1;
          return undefined;
        },
      },
    );
    assert.equal((await run()).looked, 40);
    assert.equal(most, 8);
  });
});

const withFailedHub = (team: TeamRecord, reason: ConditionReason): TeamRecord => ({
  ...team,
  status: {
    ...team.status,
    phase: 'Degraded',
    conditions: [{ type: 'HubReady', status: 'False', reason, message: 'No.', lastTransitionTime: aMoment }],
  },
});

describe('a platform roll-out', () => {
  const outdated = async (store: Store) => (await store.outdated(hashTomorrow, 100)).length;

  it('moves a limited number of teams in a tick, and reconciles each of them', async (t) => {
    const teams = Array.from({ length: 12 }, (_, n) => settled(numbered(n)));
    const { run, looked, store } = await aTick(t, teams, { platform: rollOut });
    assert.deepEqual(await run(), { looked: 5, rolledOut: 5, operations: 0 });
    assert.equal(await outdated(store), 7);
    assert.equal(looked.length, 5);
    await run();
    assert.deepEqual(await run(), { looked: 2, rolledOut: 2, operations: 0 });
    assert.equal(await outdated(store), 0);
    assert.deepEqual(await run(), { looked: 0, rolledOut: 0, operations: 0 });
  });

  it('changes a team’s release and generation, and nothing that members ordered', async (t) => {
    const before = settled('team-a');
    const { run, store, events } = await aTick(t, [before], {
      platform: rollOut,
      reconcile: async () => undefined,
    });
    await run();
    assert.deepEqual(await store.team('team-a'), {
      ...before,
      generation: 3,
      release: {
        platformHash: hashTomorrow,
        spec: releaseSpec(aRecord(), tomorrow),
        wasReady: true,
      },
      reconcile: { dueAt: aMoment, failures: 0 },
    });
    assert.equal((await store.history('team-a', { limit: 10 })).items.length, 1);
    assert.deepEqual(
      events.map(({ event }) => event),
      ['platform rolled out'],
    );
  });

  it('waits for servers that are starting or stopping, but not for an unavailable hub', async (t) => {
    const server = (pending: HubServer['pending']): HubUser => ({
      name: 'kari',
      server: {
        stopped: false,
        ready: pending === null,
        pending,
        startedAt: null,
        lastActivityAt: null,
        profile: null,
      },
    });
    const hubs: Readonly<Record<string, () => Promise<readonly HubUser[]>>> = {
      'team-a': async () => [server('spawn')],
      'team-b': async () => [server(null)],
      'team-c': () => Promise.reject(new Unavailable('hub', 'It is away.')),
    };
    const teams = Object.keys(hubs).map((slug) => settled(slug));
    const { run, looked } = await aTick(t, teams, {
      platform: rollOut,
      hubs: { users: ({ slug }) => hubs[slug]?.() ?? Promise.resolve([]) },
    });
    assert.deepEqual(await run(), {
      looked: 2,
      rolledOut: 2,
      rolloutWaiting: { 'team-a': 'a server is starting or stopping' },
      operations: 0,
    });
    assert.deepEqual(looked.toSorted(), ['team-b', 'team-c']);
  });

  it('skips teams without a notebook', async (t) => {
    const bare = aRecord({ reconcile: { dueAt: later, failures: 0 } });
    const { run, store } = await aTick(t, [bare], { platform: rollOut });
    assert.deepEqual(await run(), { looked: 0, rolledOut: 0, operations: 0 });
    assert.deepEqual(await store.team('team-a'), bare);
  });

  it('stops when it broke two hubs, names them, and still reconciles the teams that are due', async (t) => {
    const teams = Array.from({ length: 9 }, (_, n) => settled(numbered(n)));
    const degraded = async (slug: string) =>
      store.change(slug, (team) => ({ next: withFailedHub(team, 'RolledBack') }));
    const { run, store, events, looked, pass } = await aTick(t, teams, {
      platform: rollOut,
      rolloutPerTick: 2,
    });
    await run();
    await degraded(numbered(0));
    assert.equal((await run()).rolledOut, 2, 'one may be chance');
    await degraded(numbered(2));
    looked.length = 0;
    pass(1800);
    const report = await run();
    assert.equal(report.rolledOut, 0);
    assert.equal(
      report.rolloutStopped,
      'The platform roll-out has stopped: it broke the hubs of team-000 and team-002.',
    );
    assert.equal(await outdated(store), 5);
    assert.equal(looked.length, 9);
    assert.ok(events.some(({ event }) => event === 'platform roll-out stopped'));
  });

  it('is not stopped by hubs that were failing before it reached them', async (t) => {
    const teams = Array.from({ length: 6 }, (_, n) => withFailedHub(settled(numbered(n)), 'Failed'));
    const { run } = await aTick(t, teams, { platform: rollOut, rolloutPerTick: 2 });
    for (let n = 0; n < 3; n++) assert.equal((await run()).rolledOut, 2);
  });

  it('is not stopped by teams that are Degraded for another reason than their hub', async (t) => {
    const teams = Array.from({ length: 6 }, (_, n) => settled(numbered(n)));
    const { run, store } = await aTick(t, teams, { platform: rollOut, rolloutPerTick: 3 });
    await run();
    for (const slug of [numbered(0), numbered(1), numbered(2)]) {
      await store.change(slug, (team) => {
        const failed = withFailedHub(team, 'ImageGone');
        const conditions = failed.status.conditions.map((one) => ({
          ...one,
          type: 'ImageResolved' as const,
        }));
        return { next: { ...failed, status: { ...failed.status, conditions } } };
      });
    }
    assert.equal((await run()).rolledOut, 3);
  });

  it('moves later teams while the first ones have servers starting', async (t) => {
    const busy = new Set(Array.from({ length: 7 }, (_, n) => numbered(n)));
    const starting: HubUser = {
      name: 'kari',
      server: {
        stopped: false,
        ready: false,
        pending: 'spawn',
        startedAt: null,
        lastActivityAt: null,
        profile: null,
      },
    };
    const teams = Array.from({ length: 12 }, (_, n) => settled(numbered(n)));
    const { run, events } = await aTick(t, teams, {
      platform: rollOut,
      hubs: { users: async ({ slug }) => (busy.has(slug) ? [starting] : []) },
    });
    const report = await run();
    assert.equal(report.rolledOut, 5);
    assert.deepEqual(Object.keys(report.rolloutWaiting ?? {}).toSorted(), [...busy]);
    assert.ok(events.some(({ event }) => event === 'platform roll-out waiting'));
    assert.deepEqual(Object.keys((await run()).rolloutWaiting ?? {}).toSorted(), [...busy]);
    busy.clear();
    assert.equal((await run()).rolledOut, 5);
    assert.equal((await run()).rolledOut, 2);
  });

  it('is not blocked, nor are due teams, by a team that cannot be written', async (t) => {
    const inner = openSqliteStore({ file: ':memory:', naming: aNaming });
    t.after(() => inner.close());
    await inner.create(settled('team-a'), anEvent());
    await inner.create(settled('team-b'), anEvent());
    const store: Store = {
      ...inner,
      change: (slug, decide) =>
        slug === 'team-a' ? Promise.reject(new Unavailable('store', 'Away.')) : inner.change(slug, decide),
    };
    const { run, events } = await aTick(t, [], {
      store,
      platform: rollOut,
      reconcile: async () => undefined,
    });
    assert.deepEqual(await run(), {
      looked: 1,
      rolledOut: 1,
      rolloutWaiting: { 'team-a': 'it could not be read or written' },
      operations: 0,
    });
    assert.ok(events.some(({ event }) => event === 'platform roll-out failed'));
    assert.equal((await inner.team('team-b'))?.release?.platformHash, hashTomorrow);
    assert.equal((await inner.team('team-a'))?.release?.platformHash, hashToday);
  });

  it('does not happen if the operator sets its limit to none', async (t) => {
    const { run, asked, store } = await aTick(t, [settled('team-a')], {
      platform: rollOut,
      rolloutPerTick: 0,
    });
    assert.deepEqual(await run(), { looked: 0, rolledOut: 0, operations: 0 });
    assert.deepEqual(asked, ['due', 'restricted']);
    assert.equal(await outdated(store), 1);
  });
});
