import assert from 'node:assert/strict';
import { after, afterEach, describe, it } from 'node:test';
import type { Operation } from '../../src/model/operation.ts';
import type { TeamStatus } from '../../src/model/record.ts';
import { admins, assertProblem, creators, kari, openApi } from '../support/api.ts';
import { assertSucceeded } from '../support/operations.ts';

const api = await openApi();
after(() => api.close());
afterEach(() => api.calm());
const asKari = api.asPerson(kari, creators);
const asOla = api.asPerson('ola.nordmann@nav.no', creators);
const stranger = api.asPerson('stranger@nav.no', creators);
const admin = api.asPerson('admin@nav.no', admins);

/** What a reconcile that waits for something records. */
const waiting = (message: string, deletionProgress: number): Partial<TeamStatus> => ({
  deletionProgress,
  conditions: [
    { type: 'Applied', status: 'Unknown', reason: 'Deleting', message, lastTransitionTime: api.now() },
  ],
});

/** Kari’s and Ola’s team, which is being deleted; with where to follow that. */
const leaving = async () => {
  const team = await api.newTeam({ members: [{ email: kari }, { email: 'ola.nordmann@nav.no' }] });
  const answer = await asKari.delete(team);
  assert.equal(answer.statusCode, 202, answer.body);
  const operation: Operation = answer.json();
  return { team, slug: team.replace('/v1/teams/', ''), operation, location: String(answer.headers.location) };
};
const remove = async (team: string) => {
  const record = await api.record(team);
  assert.equal(await api.store.remove(record.slug, record), 'removed');
};

describe('the deletion of a team', () => {
  it('can be followed to its end, and a week longer, by those who were its members', async () => {
    const { team, slug, operation, location } = await leaving();
    assert.equal(location, `${team}/operations/${operation.id}`);
    await api.reach(await api.record(team), waiting('Waiting for the hub to go (1 left).', 25));
    assert.partialDeepStrictEqual((await asOla.get(location)).json(), {
      done: false,
      progress: 25,
      message: 'Waiting for the hub to go (1 left).',
      target: { type: 'team', team: slug, user: null },
    });
    await api.reach(await api.record(team), waiting('Waiting for the profiles to go (1 left).', 10));
    assert.equal((await asKari.get(location)).json().progress, 25, 'it never decreases');

    await remove(team);
    for (const member of [asKari, asOla, admin]) {
      const over: Operation = (await member.get(location)).json();
      assertSucceeded(over);
      assert.partialDeepStrictEqual(over, { progress: 100, message: 'The team is deleted.' });
    }
    assertProblem(await asKari.get(team), 'not_found');
    assertProblem(await asKari.get(`${team}/operations`), 'not_found');
    assertProblem(await asKari.get(`${team}/history`), 'not_found');
  });

  it('is for a stranger as if it had never been, before and after the team is gone', async () => {
    const { team, location } = await leaving();
    const answerOf = async (url: string) => {
      const { statusCode, headers, body } = await stranger.get(url);
      const id = String(headers['x-request-id']);
      const { date: _, ...rest } = headers;
      return JSON.stringify([statusCode, rest, body])
        .replaceAll(id, '')
        .replaceAll(/"ratelimit[^,]*,/g, '');
    };
    const nothing = await answerOf(`${team}/operations/op-0000000000000000`);
    assert.equal(await answerOf(location), nothing);
    assert.equal(await answerOf(`${location}/events`), nothing);
    await remove(team);
    assert.equal(await answerOf(location), nothing);
    assert.equal(await answerOf(`${location}/events`), nothing);
  });

  it('is not inherited by a new team of the same slug, nor shown to its members', async () => {
    const { team, slug, operation, location } = await leaving();
    await remove(team);
    const order = { slug, members: [{ email: 'stranger@nav.no' }] };
    assert.equal((await stranger.post('/v1/teams', order)).statusCode, 201);
    assertProblem(await stranger.get(location), 'not_found');
    assertProblem(await stranger.get(`${location}/events`), 'not_found');
    assert.deepEqual((await stranger.get(`${team}/operations`)).json(), { items: [], nextCursor: null });
    assertSucceeded((await asKari.get(location)).json());
    assertProblem(await asKari.get(team), 'not_found');
    const next: Operation = (await stranger.delete(team)).json();
    assert.notEqual(next.id, operation.id);
    assert.equal(next.done, false);
    assertProblem(await asKari.get(`${team}/operations/${next.id}`), 'not_found');
  });

  it('answers the same operation again, also when its first request died before it was stored', async () => {
    const { team, operation } = await leaving();
    assert.equal((await asKari.delete(team)).json().id, operation.id);
    const other = await api.newTeam();
    const id = 'op-00000000000000aa';
    await api.store.change(other.replace('/v1/teams/', ''), (current) => ({
      next: {
        ...current,
        deletion: { requestedAt: api.now(), deleteHomes: false, deleteSecret: false, operation: id },
      },
    }));
    assertProblem(await asKari.get(`${other}/operations/${id}`), 'not_found');
    assert.equal((await asKari.delete(other)).json().id, id);
    assert.equal((await asKari.get(`${other}/operations/${id}`)).json().kind, 'delete_team');
  });

  it('gets an operation when it was requested of the version before, which knew none', async () => {
    const team = await api.newTeam();
    await api.store.change(team.replace('/v1/teams/', ''), (current) => ({
      next: { ...current, deletion: { requestedAt: api.now(), deleteHomes: false, deleteSecret: false } },
    }));
    const { id } = (await asKari.delete(team)).json();
    await remove(team);
    assertSucceeded((await asKari.get(`${team}/operations/${id}`)).json());
  });

  it('streams until the team is gone', async () => {
    const { team, location } = await leaving();
    const origin = await api.app.listen({ host: '127.0.0.1', port: 0 });
    const token = await api.issuer.token({ preferred_username: kari });
    const answer = await fetch(`${origin}${location}/events`, {
      headers: { authorization: `Bearer ${token}` },
      signal: AbortSignal.timeout(20_000),
    });
    const seen: Operation[] = [];
    let text = '';
    for await (const part of answer.body?.pipeThrough(new TextDecoderStream()) ?? []) {
      const frames = `${text}${part}`.split('\n\n');
      text = frames.pop() ?? '';
      for (const frame of frames) {
        const [, data] = /^event: operation\ndata: (.+)$/m.exec(frame) ?? [];
        assert.ok(data !== undefined, frame);
        seen.push(JSON.parse(data));
        if (seen.length === 1) await api.reach(await api.record(team), waiting('Waiting.', 40));
        if (seen.length === 2) await remove(team);
      }
    }
    assert.deepEqual(
      seen.map(({ done, progress }) => [done, progress]),
      [
        [false, 0],
        [false, 40],
        [true, 100],
      ],
    );
  });
});

describe('a retry', () => {
  it('is one operation for several requests, starts again with force, and ends when the notebook goes', async () => {
    const team = await api.newTeam();
    assert.equal((await asKari.put(`${team}/notebook`, {})).statusCode, 201);
    const retry = async (body: object): Promise<Operation> =>
      (await asKari.post(`${team}/notebook/retry`, body)).json();
    const first = await retry({});
    const { generation } = await api.record(team);
    api.advance(1_000);
    assert.equal((await retry({})).id, first.id);
    assert.equal((await api.record(team)).generation, generation, 'nothing is ordered again');
    assert.equal((await retry({ force: true })).id, first.id);
    assert.partialDeepStrictEqual((await api.record(team)).notebook?.retry, {
      at: api.now(),
      force: true,
      operation: first.id,
    });
    const both = await Promise.all([retry({}), retry({})]);
    assert.deepEqual(new Set(both.map(({ id }) => id)), new Set([first.id]));

    const deletion: Operation = (await asKari.delete(`${team}/notebook`)).json();
    assert.partialDeepStrictEqual((await asKari.get(`${team}/operations/${first.id}`)).json(), {
      done: true,
      error: { code: 'deleting', instance: `urn:knada:operation:${first.id}`, status: 409 },
    });
    assertProblem(await asKari.post(`${team}/notebook/retry`), 'deleting');
    assert.equal((await asKari.get(`${team}/operations/${deletion.id}`)).json().done, false);
  });

  it('is one operation for two requests at the same time', async () => {
    const team = await api.newTeam();
    assert.equal((await asKari.put(`${team}/notebook`, {})).statusCode, 201);
    const answers = await Promise.all([1, 2, 3].map(() => asKari.post(`${team}/notebook/retry`)));
    assert.equal(new Set(answers.map((answer) => answer.json().id)).size, 1);
  });
});

describe('listOperations', () => {
  it('finds what is open again, newest first, the deletion of the team too', async () => {
    const team = await api.newTeam();
    assert.equal((await asKari.put(`${team}/notebook`, {})).statusCode, 201);
    const retry: Operation = (await asKari.post(`${team}/notebook/retry`)).json();
    api.advance(1_000);
    const notebook: Operation = (await asKari.delete(`${team}/notebook`)).json();
    api.advance(1_000);
    const whole: Operation = (await asKari.delete(team)).json();
    await asKari.get(`${team}/operations/${retry.id}`);
    await asKari.get(`${team}/operations/${notebook.id}`);
    const list = async (query: string) => {
      const { items, nextCursor } = (await asKari.get(`${team}/operations${query}`)).json();
      return { ids: items.map(({ id }: Operation) => id), nextCursor };
    };
    assert.deepEqual(await list(''), { ids: [whole.id, notebook.id, retry.id], nextCursor: null });
    assert.deepEqual(await list('?open=true'), { ids: [whole.id], nextCursor: null });
    assert.deepEqual(await list('?open=false'), { ids: [notebook.id, retry.id], nextCursor: null });
    const first = await list('?limit=1');
    assert.deepEqual(first.ids, [whole.id]);
    const second = await list(`?limit=1&cursor=${first.nextCursor}`);
    assert.deepEqual(second.ids, [notebook.id]);
    const third = await list(`?limit=1&cursor=${second.nextCursor}`);
    assert.deepEqual(third, { ids: [retry.id], nextCursor: null });
    assertProblem(await stranger.get(`${team}/operations`), 'not_found');
    assertProblem(await asKari.get(`${team}/operations?open=maybe`), 'validation_failed', [
      '/query/open wrong_type',
    ]);
  });
});
