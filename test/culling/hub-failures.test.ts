import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { aMoment } from '../support/records.ts';
import {
  after,
  ago,
  aTeam,
  aWorld,
  hour,
  idle,
  kari,
  minute,
  nothing,
  ola,
  second,
  start,
} from './culled-teams.ts';

describe('culling: a hub that', () => {
  const three = ['team-a', 'team-b', 'team-c'].map((slug) => aTeam({ slug }));

  it('is unavailable affects no other team, and loses neither servers nor memory', async (t) => {
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
      ['hub did not list its servers'],
    );
  });

  it('stays unavailable is asked with backoff up to ten minutes until it answers', async (t) => {
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

  it('hangs delays the run by no more than its deadline', async (t) => {
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

  it('hangs on a stop is held to a deadline too, and is asked again', async (t) => {
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

  it('has ten seconds by default, and fifteen for a stop', async (t) => {
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

  it('does not answer one stop is still asked to stop the other servers', async (t) => {
    const { serversOf, pass, culled, culling } = await aWorld(t);
    serversOf('team-a')
      .set(kari, idle({ toStop: 'away' }))
      .set(ola, idle());
    assert.deepEqual(await pass(), { hubsAsked: 1, stopped: 1, postponed: 0, failed: 1 });
    assert.deepEqual(
      (await culled()).map(({ changes }) => changes[0]?.pointer),
      [`/servers/${ola}`],
    );
    assert.deepEqual(await culling(), {
      dueAt: after(minute),
      failures: 1,
      servers: {
        [ola]: { culledAt: aMoment, stopped: { lastActivityAt: ago(62 * minute), stoppedAt: aMoment } },
      },
    });
  });
});
