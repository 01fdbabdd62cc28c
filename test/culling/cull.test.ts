import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { orderNotebook } from '../../src/notebooks/rules.ts';
import type { CullingStore, Store } from '../../src/ports/store.ts';
import { aMoment, aNotebook, aRecord, aSpec } from '../support/records.ts';
import {
  after,
  ago,
  aTeam,
  aWorld,
  day,
  hour,
  hourly,
  idle,
  inUse,
  kari,
  minute,
  nothing,
  ola,
} from './culled-teams.ts';

describe('culling run', () => {
  it('stops an idle server and records it in history and log', async (t) => {
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
        changes: [{ pointer: `/servers/${kari}`, from: 'running', to: 'stopped' }],
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

  it('changes only the culling state of the record', async (t) => {
    const { serversOf, pass, record } = await aWorld(t);
    serversOf('team-a').set(kari, idle());
    await pass();
    const { culling, ...rest } = await record();
    const { culling: _, ...before } = aTeam();
    assert.deepEqual(rest, before);
    assert.deepEqual(culling, {
      dueAt: after(10 * minute),
      servers: {
        [kari]: { culledAt: aMoment, stopped: { lastActivityAt: ago(62 * minute), stoppedAt: aMoment } },
      },
    });
  });

  it('asks no hub and queries the store once when nothing is due', async (t) => {
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

  it('asks an empty hub again before a server started right now could be due', async (t) => {
    const quick = aTeam({ slug: 'team-b' }, { timeoutSeconds: 60 });
    const { pass, culling } = await aWorld(t, [aTeam(), quick]);
    await pass();
    assert.equal((await culling('team-a')).dueAt, after(hour));
    assert.equal((await culling('team-b')).dueAt, after(10 * minute));
  });

  it('applies a new Cull Timeout at once', async (t) => {
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

  it('stops a server past its maximum age without probing its kernels', async (t) => {
    const { serversOf, pass, culled, news } = await aWorld(t);
    const startedAt = ago(7 * day + hour);
    serversOf('team-a').set(kari, idle({ startedAt, lastActivityAt: aMoment, kernels: 'busy' }));
    assert.equal((await pass()).stopped, 1);
    assert.deepEqual(news(), [`stop team-a ${kari}`, 'users team-a']);
    assert.equal(
      (await culled())[0]?.reason,
      'It ran for 7 days and 1 hour; the maximum age is 7 days (maxAgeSeconds).',
    );
  });

  it('escapes user names in JSON pointers, and treats `__proto__` as a name', async (t) => {
    const { serversOf, pass, culled } = await aWorld(t);
    for (const name of ['a/b~c', 'constructor', '__proto__']) serversOf('team-a').set(name, idle());
    assert.equal((await pass()).stopped, 3);
    assert.deepEqual((await culled()).map(({ changes }) => changes[0]?.pointer).toSorted(), [
      '/servers/__proto__',
      '/servers/a~1b~0c',
      '/servers/constructor',
    ]);
  });

  it('asks no hub of a team without a notebook, and does not schedule another run', async (t) => {
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

  it('checks after a stop, and stops a server again that still runs ten minutes later', async (t) => {
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

describe('culling: the cost of a run', () => {
  it('depends on what is due: ten of a thousand hubs are asked', async (t) => {
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
    assert.deepEqual(await pass(), nothing, 'no hub is asked twice');
  });

  it('is spread: sixteen hubs are asked concurrently', async (t) => {
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
