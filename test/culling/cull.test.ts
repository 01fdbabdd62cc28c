import assert from 'node:assert/strict';
import { describe, it, type TestContext } from 'node:test';
import { openSqliteStore } from '../../src/adapters/sqlite.ts';
import type { CullingSpec } from '../../src/culling/activity.ts';
import { type CullDeps, cull } from '../../src/culling/cull.ts';
import type { TeamRecord } from '../../src/model/record.ts';
import { orderNotebook } from '../../src/notebooks/rules.ts';
import type { CullingStore, Store } from '../../src/ports/store.ts';
import { Unavailable } from '../../src/ports/unavailable.ts';
import { aMoment, aNotebook, anEvent, anOrderedRecord, aRecord, aSpec } from '../support/records.ts';
import { hubsUnderTest, type ServerUnderTest } from './hubs.ts';

const [second, minute, hour, day] = [1000, 60_000, 3_600_000, 86_400_000];
const start = Date.parse(aMoment);
const after = (ms: number): string => new Date(start + ms).toISOString();
const ago = (ms: number): string => after(-ms);
const kari = 'kari.nordmann@nav.no';
const ola = 'ola.nordmann@nav.no';
const hourly: CullingSpec = { timeoutSeconds: 3600, maxAgeSeconds: 604_800, keepBusyKernels: true };

/** A team whose hub is due to be asked. */
const aTeam = (overrides: Partial<TeamRecord> = {}, culling: Partial<CullingSpec> = {}): TeamRecord =>
  anOrderedRecord({
    notebook: aNotebook({ spec: aSpec({ culling: { ...hourly, ...culling } }) }),
    culling: { dueAt: aMoment, servers: {} },
    ...overrides,
  });

const idle = (overrides: Partial<ServerUnderTest> = {}): ServerUnderTest => ({
  startedAt: ago(3 * hour),
  lastActivityAt: ago(62 * minute),
  ...overrides,
});
const inUse = (): ServerUnderTest => idle({ lastActivityAt: ago(10 * minute) });

const aWorld = async (t: TestContext, teams: readonly TeamRecord[] = [aTeam()]) => {
  const store = openSqliteStore({ file: ':memory:' });
  t.after(() => store.close());
  for (const team of teams) await store.create(team, anEvent());
  const hubs = hubsUnderTest();
  const logged: (readonly [event: string, fields: object])[] = [];
  const note = (fields: object, event: string) => void logged.push([event, fields]);
  let now = start;
  const deps: CullDeps = {
    store,
    hubs: hubs.hubs,
    clock: { now: () => now },
    log: { info: note, warn: note, error: note },
  };
  const record = async (slug = 'team-a') => {
    const team = await store.team(slug);
    assert.ok(team !== undefined, slug);
    return team;
  };
  return {
    ...hubs,
    deps,
    store,
    logged,
    record,
    culling: async (slug?: string) => (await record(slug)).culling,
    pass: (overrides: Partial<CullDeps> = {}) => cull({ ...deps, ...overrides }),
    wait: (ms: number) => {
      now += ms;
    },
    /** What was asked of the hubs since the last time. */
    news: () => hubs.asked.splice(0).toSorted(),
    culled: async (slug = 'team-a') => {
      const { items } = await store.history(slug, { limit: 100 });
      return items.filter(({ action }) => action === 'server_culled');
    },
    extend: (user: string, until: string) =>
      store.change('team-a', (team) => ({
        next: {
          ...team,
          culling: {
            ...team.culling,
            servers: {
              ...team.culling.servers,
              [user]: { ...team.culling.servers[user], extendedUntil: until },
            },
          },
        },
      })),
  };
};

const nothing = { hubsAsked: 0, stopped: 0, postponed: 0, failed: 0 };

describe('a pass of the culling', () => {
  it('stops a server that is idle for too long, and says so in history and log', async (t) => {
    const { serversOf, pass, culled, logged, news } = await aWorld(t);
    serversOf('team-a').set(kari, idle()).set(ola, inUse());
    assert.deepEqual(await pass(), { ...nothing, hubsAsked: 1, stopped: 1 });
    assert.deepEqual(news(), [`isBusy team-a ${kari}`, `stop team-a ${kari}`, 'users team-a']);
    assert.deepEqual([...serversOf('team-a').keys()], [ola]);
    assert.deepEqual(await culled(), [
      {
        n: 2,
        at: aMoment,
        by: 'culling',
        action: 'server_culled',
        revision: null,
        changes: [{ path: `/servers/${kari}`, from: 'running', to: 'stopped' }],
        reason: 'No activity for 62 minutes; the Cull Timeout is 60 minutes.',
      },
    ]);
    assert.deepEqual(logged, [
      [
        'server culled',
        {
          team: 'team-a',
          user: kari,
          reason: 'idle',
          idleSeconds: 3720,
          why: 'No activity for 62 minutes; the Cull Timeout is 60 minutes.',
        },
      ],
    ]);
  });

  it('changes nothing of the record but what the culling keeps there', async (t) => {
    const { serversOf, pass, record } = await aWorld(t);
    serversOf('team-a').set(kari, idle());
    await pass();
    const { culling, ...rest } = await record();
    const { culling: _, ...before } = aTeam();
    assert.deepEqual(rest, before);
    assert.deepEqual(culling, { dueAt: after(10 * minute), servers: { [kari]: { culledAt: aMoment } } });
  });

  it('asks no hub, and the store once, when nothing is due', async (t) => {
    const { deps, pass, news } = await aWorld(t, [aTeam({ culling: { dueAt: after(1), servers: {} } })]);
    const asked: string[] = [];
    const store: Store & CullingStore = new Proxy(deps.store, {
      get(target, property) {
        asked.push(String(property));
        const value: unknown = Reflect.get(target, property);
        return typeof value === 'function' ? value.bind(target) : value;
      },
    });
    assert.deepEqual(await pass({ store }), nothing);
    assert.deepEqual(news(), []);
    assert.deepEqual(asked, ['cullingDue']);
  });

  it('asks a hub again when the first of its servers may be due', async (t) => {
    const { serversOf, pass, wait, news, culling } = await aWorld(t);
    serversOf('team-a')
      .set(kari, inUse())
      .set(ola, idle({ lastActivityAt: ago(30 * minute) }));
    await pass();
    assert.deepEqual(await culling(), { dueAt: after(30 * minute), servers: {} });
    assert.deepEqual(news(), ['users team-a']);
    wait(30 * minute - 1);
    assert.equal((await pass()).hubsAsked, 0);
    wait(1);
    assert.equal((await pass()).stopped, 1);
    assert.deepEqual([...serversOf('team-a').keys()], [kari]);
  });

  it('asks an empty hub again before a server that is started there right now could be due', async (t) => {
    const quick = aTeam({ slug: 'team-b' }, { timeoutSeconds: 60 });
    const { pass, culling } = await aWorld(t, [aTeam(), quick]);
    await pass();
    assert.equal((await culling('team-a')).dueAt, after(hour));
    assert.equal((await culling('team-b')).dueAt, after(10 * minute));
  });

  it('lets a new Cull Timeout hold at once', async (t) => {
    const { serversOf, store, pass, culled, wait } = await aWorld(t);
    serversOf('team-a').set(kari, idle({ lastActivityAt: ago(20 * minute) }));
    await pass();
    wait(minute);
    const culling = { ...hourly, timeoutSeconds: 900 };
    await store.change('team-a', (team) => {
      assert.ok(team.release !== null);
      const ordering = { spec: aSpec({ culling }), image: null, release: team.release };
      return orderNotebook(team, ordering, { by: kari, now: after(minute) }, 'notebook_changed');
    });
    assert.equal((await pass()).stopped, 1);
    assert.equal((await culled())[0]?.reason, 'No activity for 21 minutes; the Cull Timeout is 15 minutes.');
  });

  it('stops what is too old, whatever it computes, without asking its kernels', async (t) => {
    const { serversOf, pass, culled, news } = await aWorld(t);
    const startedAt = ago(7 * day + hour);
    serversOf('team-a').set(kari, idle({ startedAt, lastActivityAt: aMoment, kernels: 'busy' }));
    assert.equal((await pass()).stopped, 1);
    assert.deepEqual(news(), [`stop team-a ${kari}`, 'users team-a']);
    assert.equal(
      (await culled())[0]?.reason,
      'It ran for 7 days and 1 hour; the longest that this notebook allows is 7 days (maxAgeSeconds).',
    );
  });

  it('names users in JSON pointers, and takes no name for something else', async (t) => {
    const { serversOf, pass, culled } = await aWorld(t);
    for (const name of ['a/b~c', 'constructor', '__proto__']) serversOf('team-a').set(name, idle());
    assert.equal((await pass()).stopped, 3);
    assert.deepEqual((await culled()).map(({ changes }) => changes[0]?.path).toSorted(), [
      '/servers/__proto__',
      '/servers/a~1b~0c',
      '/servers/constructor',
    ]);
  });

  it('asks no hub of a team that keeps no notebook, and never again', async (t) => {
    const deletion = { requestedAt: aMoment, deleteHomes: false };
    const due = { dueAt: aMoment, servers: { [kari]: { busyAt: ago(hour) } } };
    const { pass, news, culling } = await aWorld(t, [
      aRecord({ slug: 'team-a', culling: due }),
      aTeam({ slug: 'team-b', culling: due, notebook: aNotebook({ deletion }) }),
      aTeam({ slug: 'team-c', culling: due, deletion: { ...deletion, deleteSecret: false } }),
    ]);
    assert.deepEqual(await pass(), nothing);
    assert.deepEqual(news(), []);
    for (const slug of ['team-a', 'team-b', 'team-c'])
      assert.deepEqual(await culling(slug), { dueAt: null, servers: {} });
  });

  it('looks after a stop, and stops again what still runs ten minutes later', async (t) => {
    const { serversOf, pass, wait, culled, news } = await aWorld(t);
    serversOf('team-a').set(kari, idle());
    await pass();
    const undead = idle();
    serversOf('team-a').set(kari, undead);
    wait(10 * minute - 1);
    assert.equal((await pass()).hubsAsked, 0);
    wait(1);
    news();
    assert.equal((await pass()).stopped, 1);
    assert.equal((await culled()).length, 2);
  });
});

describe('a kernel that is busy', () => {
  it('spares its server, and is asked again a whole Cull Timeout later', async (t) => {
    const { serversOf, pass, wait, news, culling, culled } = await aWorld(t);
    const server = idle({ kernels: 'busy' });
    serversOf('team-a').set(kari, server);
    assert.deepEqual(await pass(), { ...nothing, hubsAsked: 1, postponed: 1 });
    assert.deepEqual(await culling(), { dueAt: after(hour), servers: { [kari]: { busyAt: aMoment } } });
    assert.deepEqual(news(), [`isBusy team-a ${kari}`, 'users team-a']);
    wait(hour);
    server.kernels = 'idle';
    assert.equal((await pass()).stopped, 1);
    assert.deepEqual(news(), [`isBusy team-a ${kari}`, `stop team-a ${kari}`, 'users team-a']);
    assert.equal((await culled())[0]?.reason, 'No activity for 60 minutes; the Cull Timeout is 60 minutes.');
  });

  it('is told to the hub when the hub’s own news are older than a day, for the sake of its own culler', async (t) => {
    const { serversOf, pass, news } = await aWorld(t);
    const long = { startedAt: ago(2 * day), kernels: 'busy' } as const;
    serversOf('team-a')
      .set(kari, idle({ ...long, lastActivityAt: ago(day + second) }))
      .set(ola, idle({ ...long, lastActivityAt: ago(day) }))
      .set('per', idle({ ...long, lastActivityAt: null }));
    await pass();
    assert.deepEqual(
      news().filter((what) => what.startsWith('report')),
      [`reportActivity team-a ${kari}`, 'reportActivity team-a per'],
    );
    assert.equal(serversOf('team-a').get(kari)?.lastActivityAt, aMoment);
  });

  it('is not asked about where the team does not keep it', async (t) => {
    const { serversOf, pass, news } = await aWorld(t, [aTeam({}, { keepBusyKernels: false })]);
    serversOf('team-a').set(kari, idle({ kernels: 'busy' }));
    assert.equal((await pass()).stopped, 1);
    assert.deepEqual(news(), [`stop team-a ${kari}`, 'users team-a']);
  });
});

describe('kernels that cannot be asked', () => {
  it('hold a stop up for six hours, and are asked every five minutes', async (t) => {
    const { serversOf, pass, wait, culling, culled } = await aWorld(t);
    serversOf('team-a').set(kari, idle({ kernels: 'silent' }));
    assert.deepEqual(await pass(), { ...nothing, hubsAsked: 1, postponed: 1 });
    const remembered = { [kari]: { probeFailingSince: aMoment } };
    assert.deepEqual(await culling(), { dueAt: after(5 * minute), servers: remembered });
    let passes = 1;
    for (; serversOf('team-a').has(kari); passes += 1) {
      assert.ok(passes < 100);
      assert.deepEqual((await culling()).servers, remembered);
      wait(5 * minute);
      await pass();
    }
    assert.equal(passes, 1 + 72);
    const [{ at, reason } = {}] = await culled();
    assert.equal(at, after(6 * hour));
    assert.match(
      reason ?? '',
      /^No activity for 7 hours and 2 minutes; .* For 6 hours, its kernels did not say/,
    );
  });

  it('are forgotten once they answer', async (t) => {
    const { serversOf, pass, wait, culling } = await aWorld(t);
    const server = idle({ kernels: 'silent' });
    serversOf('team-a').set(kari, server);
    await pass();
    server.kernels = 'busy';
    wait(5 * minute);
    await pass();
    assert.deepEqual((await culling()).servers, { [kari]: { busyAt: after(5 * minute) } });
  });

  it('are forgotten once somebody uses the server', async (t) => {
    const { serversOf, pass, wait, culling } = await aWorld(t);
    const server = idle({ kernels: 'silent' });
    serversOf('team-a').set(kari, server);
    await pass();
    server.lastActivityAt = after(minute);
    wait(5 * minute);
    await pass();
    assert.deepEqual((await culling()).servers, {});
  });

  it('that hang hold up neither the others for ever nor the count of what failed', async (t) => {
    const { serversOf, pass, wait, culled, culling } = await aWorld(t);
    // More than are asked at once, so that they use up the hub’s time before the last one’s turn.
    const hanging = Array.from({ length: 8 }, (_, n) => `hanging-${n}`);
    for (const user of hanging) serversOf('team-a').set(user, idle({ kernels: 'hanging' }));
    serversOf('team-a').set(kari, idle());
    assert.deepEqual(await pass({ hubDeadlineMs: 20 }), { ...nothing, hubsAsked: 1, postponed: 8 });
    const { dueAt, servers } = await culling();
    assert.deepEqual(Object.keys(servers).toSorted(), hanging, 'who was not asked has not failed to answer');
    assert.equal(dueAt, after(30 * second));
    wait(30 * second);
    assert.equal((await pass({ hubDeadlineMs: 20 })).stopped, 1);
    assert.deepEqual(
      (await culled()).map(({ changes }) => changes[0]?.path),
      [`/servers/${kari}`],
    );
  });
});

describe('what people ask for in the middle of a pass', () => {
  it('an extension holds, also while the kernels are being asked', async (t) => {
    const { serversOf, state, pass, extend, culled, culling, news } = await aWorld(t);
    serversOf('team-a').set(kari, idle());
    const until = after(5 * hour);
    state.before = async (what) => {
      if (what.startsWith('isBusy')) await extend(kari, until);
    };
    assert.deepEqual(await pass(), { ...nothing, hubsAsked: 1 });
    assert.deepEqual(news(), [`isBusy team-a ${kari}`, 'users team-a']);
    assert.deepEqual(await culled(), []);
    assert.deepEqual(await culling(), { dueAt: after(hour), servers: { [kari]: { extendedUntil: until } } });
  });

  it('an extension holds until it ends, and is forgotten then', async (t) => {
    const { serversOf, pass, wait, extend, culling, culled } = await aWorld(t);
    serversOf('team-a').set(kari, idle());
    await extend(kari, after(20 * minute));
    assert.equal((await pass()).stopped, 0);
    assert.equal((await culling()).dueAt, after(20 * minute));
    wait(20 * minute);
    assert.equal((await pass()).stopped, 1);
    assert.deepEqual((await culling()).servers, { [kari]: { culledAt: after(20 * minute) } });
    assert.equal((await culled()).length, 1);
  });

  it('an extension of a server that was not seen running stands', async (t) => {
    const { pass, extend, culling } = await aWorld(t);
    await extend(kari, after(hour));
    await pass();
    assert.deepEqual((await culling()).servers, { [kari]: { extendedUntil: after(hour) } });
  });

  it('a longer Cull Timeout spares a server that was as good as stopped, and the hub is due at once', async (t) => {
    const { serversOf, state, store, pass, culled, culling } = await aWorld(t);
    serversOf('team-a').set(kari, idle());
    state.before = async (what) => {
      if (!what.startsWith('isBusy')) return;
      await store.change('team-a', (team) => {
        assert.ok(team.release !== null);
        const spec = aSpec({ culling: { ...hourly, timeoutSeconds: 7200 } });
        const act = { by: kari, now: after(second) };
        return orderNotebook(team, { spec, image: null, release: team.release }, act, 'notebook_changed');
      });
    };
    assert.equal((await pass()).stopped, 0);
    assert.deepEqual(await culled(), []);
    assert.equal((await culling()).dueAt, after(second));
  });

  it('a notebook that is deleted leaves nothing to stop', async (t) => {
    const { serversOf, state, store, pass, culling, news } = await aWorld(t);
    serversOf('team-a').set(kari, idle());
    const deletion = { requestedAt: aMoment, deleteHomes: false };
    state.before = async (what) => {
      if (!what.startsWith('isBusy')) return;
      await store.change('team-a', (team) => ({ next: { ...team, notebook: aNotebook({ deletion }) } }));
    };
    assert.deepEqual(await pass(), { ...nothing, hubsAsked: 1 });
    assert.deepEqual(news(), [`isBusy team-a ${kari}`, 'users team-a']);
    assert.deepEqual(await culling(), { dueAt: null, servers: {} });
  });

  it('another team by the same name is left alone', async (t) => {
    const { serversOf, state, store, pass, record, news } = await aWorld(t);
    serversOf('team-a').set(kari, idle());
    const successor = aTeam({ id: 'team-a-beef', culling: { dueAt: after(day), servers: {} } });
    state.before = async (what) => {
      if (!what.startsWith('isBusy')) return;
      assert.equal(await store.remove('team-a', aTeam()), 'removed');
      assert.equal(await store.create(successor, anEvent()), 'created');
    };
    assert.deepEqual(await pass(), { ...nothing, hubsAsked: 1 });
    assert.deepEqual(news(), [`isBusy team-a ${kari}`, 'users team-a']);
    assert.deepEqual(await record(), successor);
  });
});

describe('a stop that takes long', () => {
  it('is not written into the history of another team by the same name', async (t) => {
    const { serversOf, state, store, pass, record } = await aWorld(t);
    serversOf('team-a').set(kari, idle());
    const successor = aTeam({ id: 'team-a-beef', culling: { dueAt: after(day), servers: {} } });
    state.before = async (what) => {
      if (!what.startsWith('stop')) return;
      assert.equal(await store.remove('team-a', aTeam()), 'removed');
      assert.equal(await store.create(successor, anEvent()), 'created');
    };
    assert.equal((await pass()).stopped, 0);
    assert.deepEqual(await record(), successor);
    assert.equal((await store.history('team-a', { limit: 9 })).items.length, 1);
  });
});

describe('a hub that', () => {
  const three = ['team-a', 'team-b', 'team-c'].map((slug) => aTeam({ slug }));

  it('is away touches no other team, and nothing of it is stopped or forgotten', async (t) => {
    const { serversOf, state, store, pass, culled, culling, logged } = await aWorld(t, three);
    for (const { slug } of three) serversOf(slug).set(kari, idle());
    const remembered = { [kari]: { extendedUntil: ago(minute), busyAt: ago(3 * hour) } };
    await store.change('team-b', (team) => ({
      next: { ...team, culling: { ...team.culling, servers: remembered } },
    }));
    state.away.add('team-b');
    assert.deepEqual(await pass(), { hubsAsked: 3, stopped: 2, postponed: 0, failed: 1 });
    assert.deepEqual(await culled('team-b'), []);
    assert.deepEqual(await culling('team-b'), {
      dueAt: after(minute),
      failures: 1,
      servers: remembered,
    });
    assert.deepEqual(
      logged.filter(([event]) => event !== 'server culled').map(([event]) => event),
      ['hub silent about its servers'],
    );
  });

  it('stays away is asked less and less often, up to every ten minutes, until it is back', async (t) => {
    const { state, pass, wait, culling } = await aWorld(t);
    state.away.add('team-a');
    let now = start;
    const waits: number[] = [];
    for (let n = 0; n < 6; n += 1) {
      assert.equal((await pass()).failed, 1);
      const { dueAt } = await culling();
      const ms = Date.parse(dueAt ?? '') - now;
      waits.push(ms / minute);
      assert.equal((await pass()).hubsAsked, 0);
      wait(ms);
      now += ms;
    }
    assert.deepEqual(waits, [1, 2, 4, 8, 10, 10]);
    state.away.clear();
    assert.deepEqual(await pass(), { ...nothing, hubsAsked: 1 });
    assert.equal((await culling()).failures, undefined);
  });

  it('hangs delays the pass by its deadline and no more', async (t) => {
    const { serversOf, state, pass, culled } = await aWorld(t, three);
    for (const { slug } of three) serversOf(slug).set(kari, idle());
    state.hanging.add('team-a');
    // That this ends is the proof: the hub itself never answers.
    assert.deepEqual(await pass({ hubDeadlineMs: 20 }), {
      hubsAsked: 3,
      stopped: 2,
      postponed: 0,
      failed: 1,
    });
    assert.deepEqual(await culled('team-a'), []);
  });

  it('hangs when told to stop a server is held to a deadline, too, and asked again', async (t) => {
    const { serversOf, state, pass, wait, culled, culling } = await aWorld(t);
    serversOf('team-a').set(kari, idle());
    state.before = async (what) => {
      if (what.startsWith('isBusy')) state.hanging.add('team-a');
    };
    assert.deepEqual(await pass({ stopDeadlineMs: 20 }), { ...nothing, hubsAsked: 1, failed: 1 });
    assert.deepEqual(await culled(), []);
    assert.equal((await culling()).dueAt, after(minute));
    state.hanging.clear();
    state.before = async () => {};
    wait(minute);
    assert.equal((await pass()).stopped, 1);
    assert.equal((await culled()).length, 1);
  });

  it('has ten seconds unless told otherwise, and fifteen for a stop', async (t) => {
    const { serversOf, pass } = await aWorld(t);
    serversOf('team-a').set(kari, idle());
    const timeout = t.mock.method(AbortSignal, 'timeout');
    await pass();
    assert.deepEqual(
      timeout.mock.calls.map(({ arguments: [ms] }) => ms),
      [10_000, 15_000],
    );
  });

  for (const refused of ['pending_spawn', 'pending_stop', 'pending_check'] as const) {
    it(`refuses a stop with ${refused} is asked again in 30 seconds`, async (t) => {
      const { serversOf, pass, wait, culled, culling } = await aWorld(t);
      const server = idle({ toStop: refused });
      serversOf('team-a').set(kari, server);
      assert.deepEqual(await pass(), { ...nothing, hubsAsked: 1, postponed: 1 });
      assert.deepEqual(await culled(), []);
      assert.deepEqual(await culling(), { dueAt: after(30 * second), servers: {} });
      delete server.toStop;
      wait(30 * second);
      assert.equal((await pass()).stopped, 1);
    });
  }

  it('does not answer to one stop is still told to stop the others', async (t) => {
    const { serversOf, pass, culled, culling } = await aWorld(t);
    serversOf('team-a')
      .set(kari, idle({ toStop: 'away' }))
      .set(ola, idle());
    assert.deepEqual(await pass(), { hubsAsked: 1, stopped: 1, postponed: 0, failed: 1 });
    assert.deepEqual(
      (await culled()).map(({ changes }) => changes[0]?.path),
      [`/servers/${ola}`],
    );
    assert.deepEqual(await culling(), {
      dueAt: after(minute),
      failures: 1,
      servers: { [ola]: { culledAt: aMoment } },
    });
  });
});

describe('a pass that is not alone', () => {
  it('stops a server once: history has one entry', async (t) => {
    const { serversOf, state, pass, culled, news } = await aWorld(t);
    serversOf('team-a').set(kari, idle());
    // Both have read the record and decided before either of them is told that it has stopped the server.
    const both = Promise.withResolvers<void>();
    let stops = 0;
    state.before = async (what) => {
      if (!what.startsWith('stop')) return;
      stops += 1;
      if (stops === 2) both.resolve();
      await both.promise;
    };
    const reports = await Promise.all([pass(), pass()]);
    assert.equal(news().filter((what) => what.startsWith('stop')).length, 2);
    assert.deepEqual(reports.map(({ stopped }) => stopped).toSorted(), [0, 1]);
    assert.equal((await culled()).length, 1);
  });

  it('does not stop a server that was started again after the other one had stopped it', async (t) => {
    const { serversOf, state, pass, culled, news } = await aWorld(t);
    serversOf('team-a').set(kari, idle());
    const otherIsDone = Promise.withResolvers<void>();
    let probes = 0;
    state.before = async (what) => {
      if (!what.startsWith('isBusy')) return;
      probes += 1;
      if (probes === 1) await otherIsDone.promise;
    };
    const slow = pass();
    assert.equal((await pass()).stopped, 1);
    serversOf('team-a').set(kari, idle({ startedAt: aMoment, lastActivityAt: aMoment }));
    otherIsDone.resolve();
    assert.equal((await slow).stopped, 0);
    assert.ok(serversOf('team-a').has(kari));
    assert.equal((await culled()).length, 1);
    assert.equal(news().filter((what) => what.startsWith('stop')).length, 1);
  });

  it('that dies between a stop and its entry does no harm in the next one', async (t) => {
    const { deps, serversOf, pass, culled, culling, wait, news } = await aWorld(t);
    serversOf('team-a').set(kari, idle()).set(ola, inUse());
    const dying: Store & CullingStore = {
      ...deps.store,
      change: async () => {
        throw new Unavailable('store', 'The process is gone.');
      },
    };
    assert.equal((await pass({ store: dying })).stopped, 0);
    assert.equal((await culling()).dueAt, aMoment, 'still due: nothing was written');
    news();
    wait(minute);
    serversOf('team-a').set(kari, { startedAt: after(30 * second), lastActivityAt: null });
    assert.deepEqual(await pass(), { ...nothing, hubsAsked: 1 });
    assert.deepEqual(news(), ['users team-a']);
    assert.deepEqual(await culled(), []);
  });
});

describe('what a pass costs', () => {
  it('is what is due: ten of a thousand hubs are asked once, their idle servers four times', async (t) => {
    const slugs = Array.from({ length: 1000 }, (_, n) => `team-${String(n).padStart(4, '0')}`);
    const dueSlugs = slugs.filter((_, n) => n % 100 === 7);
    const { serversOf, pass, asked } = await aWorld(
      t,
      slugs.map((slug) =>
        aTeam({ slug, culling: { dueAt: dueSlugs.includes(slug) ? aMoment : after(minute), servers: {} } }),
      ),
    );
    for (const slug of slugs) {
      for (let n = 0; n < 5; n += 1) serversOf(slug).set(`in-use-${n}`, inUse());
      for (let n = 0; n < 3; n += 1) serversOf(slug).set(`idle-${n}`, idle());
    }
    assert.deepEqual(await pass(), { hubsAsked: 10, stopped: 30, postponed: 0, failed: 0 });
    const count = (what: string) => asked.filter((one) => one.startsWith(`${what} `)).length;
    assert.deepEqual([count('users'), count('isBusy'), count('stop')], [10, 30, 30]);
    assert.equal(asked.length, 70);
    assert.ok(asked.every((one) => dueSlugs.some((slug) => one.includes(slug))));
    assert.ok(asked.every((one) => !one.includes('in-use')));
    assert.deepEqual(await pass(), nothing, 'nobody is asked twice');
  });

  it('is spread: sixteen hubs are asked at once', async (t) => {
    const teams = Array.from({ length: 40 }, (_, n) => aTeam({ slug: `team-${n}` }));
    const { state, pass } = await aWorld(t, teams);
    let running = 0;
    let most = 0;
    state.before = async () => {
      running += 1;
      most = Math.max(most, running);
      await new Promise((resolve) => setImmediate(resolve));
      running -= 1;
    };
    assert.equal((await pass()).hubsAsked, 40);
    assert.equal(most, 16);
  });
});
