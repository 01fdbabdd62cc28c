import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { orderNotebook } from '../../src/notebooks/rules.ts';
import type { CullingStore, Store } from '../../src/ports/store.ts';
import { Unavailable } from '../../src/ports/unavailable.ts';
import { aMoment, aNotebook, anEvent, aSpec } from '../support/records.ts';
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
  second,
} from './culled-teams.ts';

describe('culling: a change during a run', () => {
  it('an extension takes effect, even during a kernel probe', async (t) => {
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

  it('an extension takes effect until it ends and is forgotten then', async (t) => {
    const { serversOf, pass, wait, extend, culling, culled } = await aWorld(t);
    serversOf('team-a').set(kari, idle());
    await extend(kari, after(20 * minute));
    assert.equal((await pass()).stopped, 0);
    assert.equal((await culling()).dueAt, after(20 * minute));
    wait(20 * minute);
    assert.equal((await pass()).stopped, 1);
    assert.deepEqual((await culling()).servers, {
      [kari]: {
        culledAt: after(20 * minute),
        stopped: { lastActivityAt: ago(62 * minute), stoppedAt: after(20 * minute) },
      },
    });
    assert.equal((await culled()).length, 1);
  });

  it('an extension of a server that the run did not observe is kept', async (t) => {
    const { pass, extend, culling } = await aWorld(t);
    await extend(kari, after(hour));
    await pass();
    assert.deepEqual((await culling()).servers, { [kari]: { extendedUntil: after(hour) } });
  });

  it('a longer Cull Timeout spares a server about to be stopped, and the hub is due at once', async (t) => {
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

  it('a deleted notebook leaves nothing to stop', async (t) => {
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

  it('a new team with the same name is left alone', async (t) => {
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

describe('culling: a slow stop', () => {
  it('is not recorded in the history of a new team with the same name', async (t) => {
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

describe('culling: concurrent runs', () => {
  it('stop a server once, with one history entry', async (t) => {
    const { serversOf, state, pass, culled, news } = await aWorld(t);
    serversOf('team-a').set(kari, idle());
    // Both have read the record and decided before the hub answers a stop of either.
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

  it('do not stop a server that was started again after the other run stopped it', async (t) => {
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

  it('do no harm after a crash between a stop and its history entry', async (t) => {
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
