import assert from 'node:assert/strict';
import { after, describe, it } from 'node:test';
import type { HistoryItem } from '../../src/model/history.ts';
import type { Operation } from '../../src/model/operation.ts';
import type { Server } from '../../src/model/server.ts';
import { assertProblem, creators, kari, openApi } from '../support/api.ts';
import { scriptedHub } from '../support/hubs.ts';
import { assertSucceeded } from '../support/operations.ts';

const api = await openApi();
after(() => api.close());
const asKari = api.asPerson(kari, creators);

/** A team with a notebook whose hub and pods the test scripts. */
const aTeam = async () => {
  const team = await api.newTeam({ members: [{ email: kari }] });
  api.outside.pinImage = async (reference) => ({
    reference,
    digest: `sha256:${'a'.repeat(64)}`,
    resolvedAt: api.now(),
    newerDigest: null,
  });
  assert.equal((await asKari.put(`${team}/notebook`, { image: 'ghcr.io/navikt/x:1' })).statusCode, 201);
  const hub = scriptedHub({ clock: { now: () => Date.parse(api.now()) }, team: await api.record(team) });
  await hub.add(kari);
  Object.assign(api.outside, { hubs: hub.hubs, cluster: hub.cluster });
  const server = `${team}/servers/${encodeURIComponent(kari)}`;
  const pass = (seconds: number) => {
    api.advance(seconds * 1_000);
    hub.settle();
  };
  const get = async (operation: Pick<Operation, 'id'>): Promise<Operation> =>
    (await asKari.get(`${team}/operations/${operation.id}`)).json();
  const order = async (action: 'start' | 'stop' | 'restart', body: object = {}): Promise<Operation> => {
    const answer = await asKari.post(`${server}/${action}`, body);
    assert.equal(answer.statusCode, 202, answer.body);
    return answer.json();
  };
  return {
    team,
    hub,
    server,
    pass,
    get,
    order,
    /** Polls as a client does until the operation is over. */
    async finish(operation: Pick<Operation, 'id'>, seconds = 400): Promise<Operation> {
      for (let second = 0; second < seconds; second += 1) {
        pass(1);
        const seen = await get(operation);
        if (seen.done) return seen;
      }
      return assert.fail('The operation does not end.');
    },
    async show(): Promise<Server> {
      const [shown] = (await asKari.get(`${team}/servers`)).json().items;
      return shown;
    },
    history: async (): Promise<readonly HistoryItem[]> => (await asKari.get(`${team}/history`)).json().items,
  };
};

const unschedulable = {
  conditions: [
    {
      type: 'PodScheduled',
      status: 'False',
      reason: 'Unschedulable',
      message:
        '0/3 nodes are available: 1 node(s) had untolerated taint {a: b}, 2 Insufficient cpu. preemption: 0/3 nodes are available: 3 No preemption victims found for incoming pod.',
    },
  ],
};

describe('an order for a server with an open operation', () => {
  it('stops a running server even if no client has polled its start', async () => {
    const scene = await aTeam();
    const started = await scene.order('start');
    scene.pass(3);
    assert.equal((await scene.show()).state, 'running');
    const stopped = await scene.order('stop');
    assertSucceeded(await scene.finish(stopped));
    assertSucceeded(await scene.get(started));
    assert.equal((await scene.show()).state, 'stopped');
  });

  it('cancels a start for a stop without force', async () => {
    const scene = await aTeam();
    scene.hub.hold(kari, 'start');
    const started = await scene.order('start');
    const stopped = await scene.order('stop');
    assert.notEqual(stopped.id, started.id);
    assert.partialDeepStrictEqual(await scene.get(started), {
      done: true,
      error: { code: 'cancelled', status: 409 },
    });
    assertSucceeded(await scene.finish(stopped));
    assert.equal((await scene.show()).state, 'stopped');
  });

  it('starts again after a forced stop of a pending start that the hub has missed', async () => {
    const scene = await aTeam();
    const release = scene.hub.hold(kari, 'start');
    await scene.order('start');
    scene.pass(1);
    scene.hub.freeze();
    const stopped = await scene.order('stop', { force: true });
    assertSucceeded(await scene.finish(stopped));
    scene.hub.comeBack();
    release();
    const started = await scene.order('start');
    assertSucceeded(await scene.finish(started, 30));
  });

  it('cancels the start half of a restart for a stop, but not its stop half', async () => {
    const scene = await aTeam();
    scene.hub.run(kari);
    const release = scene.hub.hold(kari, 'stop');
    scene.hub.hold(kari, 'start');
    const restarted = await scene.order('restart');
    assertProblem(await asKari.post(`${scene.server}/stop`, {}), 'server_busy');
    release();
    scene.pass(2);
    await scene.get(restarted);
    scene.pass(2);
    const stopped = await scene.order('stop');
    assert.partialDeepStrictEqual(await scene.get(restarted), {
      done: true,
      error: { code: 'cancelled', status: 409 },
    });
    assertSucceeded(await scene.finish(stopped));
  });
});

describe('progress of an operation', () => {
  it('never decreases for any client, whichever client has seen the hub’s progress', async () => {
    const scene = await aTeam();
    const started = await scene.order('start');
    const origin = await api.app.listen({ host: '127.0.0.1', port: 0 });
    const leaves = new AbortController();
    const token = await api.issuer.token({ preferred_username: kari });
    scene.hub.say(kari, 70, 'Started container notebook');
    const stream = await fetch(`${origin}${scene.team}/operations/${started.id}/events`, {
      headers: { authorization: `Bearer ${token}` },
      signal: leaves.signal,
    });
    let text = '';
    const read = async () => {
      for await (const part of stream.body?.pipeThrough(new TextDecoderStream()) ?? []) {
        text += part;
        if (text.includes('"progress":70')) return;
      }
    };
    await read();
    leaves.abort();
    assert.match(text, /"progress":70/);
    assert.equal((await scene.get(started)).progress, 70, 'a client that only polls');
    scene.hub.troublePod(kari, {
      containerStatuses: [
        { name: 'notebook', image: 'x', state: { terminated: { exitCode: 1, reason: 'Error' } } },
      ],
    });
    const over = await scene.finish(started);
    assert.ok(over.error, JSON.stringify(over));
    assert.ok(over.progress >= 70, `${over.progress}`);
  });
});

describe('a start that no node has room for', () => {
  it('fails with that cause after the hub has given up and deleted the pod', async () => {
    const scene = await aTeam();
    scene.hub.troublePod(kari, unschedulable);
    const started = await scene.order('start');
    scene.pass(2);
    const cause = 'No node has room for this server: insufficient cpu.';
    assert.equal((await scene.get(started)).message, cause);
    scene.hub.failPendingStart(kari, 'Timeout: pod did not start in 300 seconds!');
    assert.partialDeepStrictEqual(await scene.finish(started), {
      done: true,
      message: cause,
      error: { code: 'unschedulable', detail: cause, type: 'urn:knada:problem:unschedulable' },
    });
  });
});

describe('a restart that the namespace’s quota cannot hold', () => {
  it('is refused before anything is stopped, until the size fits', async () => {
    const scene = await aTeam();
    scene.hub.run(kari);
    const resize = async (limit: string) => {
      const resources = { memory: { guarantee: '1Gi', limit } };
      const answer = await asKari.patch(`${scene.team}/notebook`, { resources });
      assert.equal(answer.statusCode, 200, answer.body);
    };
    scene.hub.limit({ 'limits.memory': '10Gi' }, { 'limits.memory': '5Gi' });
    await resize('8Gi');
    const refused = await asKari.post(`${scene.server}/restart`, {});
    assertProblem(refused, 'quota_exceeded');
    assert.match(
      refused.json().detail,
      /limits\.memory: 8192Mi needed, 5120Mi available\).*Nothing was stopped/,
    );
    assertProblem(await asKari.post(`${scene.server}/restart`, { force: true }), 'quota_exceeded');
    assert.equal((await scene.show()).state, 'running');
    assert.equal(scene.hub.told('stop') + scene.hub.told('delete'), 0);
    await resize('5Gi');
    assertSucceeded(await scene.finish(await scene.order('restart')));
  });
});

describe('lastActivityAt', () => {
  it('is the last activity, not the stop that was requested', async () => {
    const scene = await aTeam();
    scene.hub.run(kari);
    const { lastActivityAt } = await scene.show();
    assert.ok(lastActivityAt);
    scene.pass(600);
    const stopped = await scene.order('stop');
    assert.equal((await scene.show()).lastActivityAt, lastActivityAt, 'while it is stopping');
    assertSucceeded(await scene.finish(stopped));
    assert.partialDeepStrictEqual(await scene.show(), { state: 'stopped', lastActivityAt });
  });
});

describe('the history of an operation', () => {
  it('records a failed restart as failed, with its reason', async () => {
    const scene = await aTeam();
    scene.hub.run(kari);
    scene.hub.failNextStart(kari, 'There is no room.');
    const over = await scene.finish(await scene.order('restart'));
    assert.ok(over.error, JSON.stringify(over));
    const [failure, opening] = await scene.history();
    assert.partialDeepStrictEqual(opening, { action: 'server_restarted', by: kari });
    assert.partialDeepStrictEqual(failure, {
      action: 'server_restarted',
      by: kari,
      reason: `Failed for the server of ${kari}: ${over.message}`,
    });
  });
});
