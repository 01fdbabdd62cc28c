import assert from 'node:assert/strict';
import { after, describe, it } from 'node:test';
import { assertProblem, creators, kari, openApi } from '../support/api.ts';

const api = await openApi();
after(() => api.close());
const asKari = api.asPerson(kari, creators);

/** Removes the team at this path with everything, and creates one with the same slug. */
const recreate = async (path: string): Promise<void> => {
  const { slug, id, generation } = await api.record(path);
  assert.equal(await api.store.remove(slug, { id, generation }), 'removed');
  assert.equal((await asKari.post('/v1/teams', { slug })).statusCode, 201);
  assert.notEqual((await api.record(path)).id, id);
};

describe('an ETag of a team that was deleted and created again', () => {
  it('does not match the new team: a conditional change and deletion are rejected, a read is answered', async () => {
    const path = await api.newTeam();
    const { etag } = (await asKari.get(path)).headers;
    await recreate(path);
    const stale = { 'if-match': String(etag) };
    assertProblem(
      await api.writesNothing(() => asKari.patch(path, { ghcrRepositories: ['one'] }, stale)),
      'revision_mismatch',
    );
    assertProblem(await api.writesNothing(() => asKari.delete(path, stale)), 'revision_mismatch');
    const read = await asKari.get(path, { 'if-none-match': String(etag) });
    assert.equal(read.statusCode, 200);
    assert.notEqual(read.headers.etag, etag);
  });

  it('does not match the new team’s notebook either', async () => {
    const team = await api.newTeam();
    const path = `${team}/notebook`;
    const { etag } = (await asKari.put(path, {})).headers;
    await recreate(team);
    const again = await asKari.put(path, {});
    assert.equal(again.statusCode, 201);
    const stale = { 'if-match': String(etag) };
    const order = { culling: { timeoutSeconds: 7200 } };
    for (const write of [
      () => asKari.put(path, order, stale),
      () => asKari.patch(path, order, stale),
      () => asKari.delete(path, stale),
      () => asKari.post(`${team}/history/1/restore`, undefined, stale),
    ]) {
      assertProblem(await api.writesNothing(write), 'revision_mismatch');
    }
    assert.equal((await asKari.get(path, { 'if-none-match': String(etag) })).statusCode, 200);
    const fresh = { 'if-match': String(again.headers.etag) };
    assert.equal((await asKari.patch(path, order, fresh)).statusCode, 200);
  });
});
