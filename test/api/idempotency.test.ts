import assert from 'node:assert/strict';
import { after, describe, it } from 'node:test';
import type { SecretVersion } from '../../src/model/secret.ts';
import { Unavailable } from '../../src/ports/unavailable.ts';
import { assertProblem, kari, noVault, ola, openApi } from '../support/api.ts';

const api = await openApi();
after(() => api.close());
const creators = ['creators'];
const [asKari, asOla] = [kari, ola].map((email) => api.asPerson(email, creators));
assert.ok(asKari !== undefined && asOla !== undefined);

let keys = 0;
/** A new key, in the header. */
const aKey = () => {
  keys += 1;
  return { 'idempotency-key': `key-${keys}` };
};
const teams = async () => (await api.everything()).map(({ team }) => team.slug);

describe('createTeam with an Idempotency-Key', () => {
  it('answers the same result again and creates one team', async () => {
    const key = aKey();
    const first = await asKari.post('/v1/teams', { slug: 'once' }, key);
    assert.equal(first.statusCode, 201, first.body);
    api.advance(1000);
    const again = await api.writesNothing(() => asKari.post('/v1/teams', { slug: 'once' }, key));
    assert.equal(again.statusCode, 201, again.body);
    assert.deepEqual(again.json(), first.json());
    for (const header of ['location', 'etag']) assert.equal(again.headers[header], first.headers[header]);
    assertProblem(await asKari.post('/v1/teams', { slug: 'once' }), 'team_exists');
  });

  it('treats fields in another order as the same body', async () => {
    const key = aKey();
    const first = await asKari.post('/v1/teams', '{"slug": "order", "ghcrRepositories": []}', key);
    const again = await asKari.post('/v1/teams', '{"ghcrRepositories": [], "slug": "order"}', key);
    assert.deepEqual([again.statusCode, again.json()], [201, first.json()]);
  });

  it('rejects another body under the key, and the key for another operation', async () => {
    const key = aKey();
    await asKari.post('/v1/teams', { slug: 'reused' }, key);
    const answer = await asKari.post('/v1/teams', { slug: 'another' }, key);
    assertProblem(answer, 'idempotency_key_reused');
    assert.ok(!(await teams()).includes('another'));
    const secret = await asKari.post('/v1/teams/reused/secret/versions', { data: 'x' }, key);
    assertProblem(secret, 'idempotency_key_reused');
  });

  it('is per caller', async () => {
    const key = aKey();
    await asKari.post('/v1/teams', { slug: 'of-kari' }, key);
    const answer = await asOla.post('/v1/teams', { slug: 'of-ola' }, key);
    assert.equal(answer.statusCode, 201, answer.body);
  });

  it('creates one team for concurrent requests, and says that the first one is running', async (t) => {
    t.after(() => api.calm());
    const [entered, release] = [Promise.withResolvers<void>(), Promise.withResolvers<void>()];
    api.outside.reconcile = async (team) => {
      entered.resolve();
      await release.promise;
      return team;
    };
    const key = aKey();
    const first = asKari.post('/v1/teams', { slug: 'at-once' }, key);
    await entered.promise;
    const second = await asKari.post('/v1/teams', { slug: 'at-once' }, key);
    assertProblem(second, 'idempotency_key_in_use');
    assert.equal(second.headers['retry-after'], '2');
    release.resolve();
    const answer = await first;
    assert.equal(answer.statusCode, 201, answer.body);
    assert.deepEqual((await asKari.post('/v1/teams', { slug: 'at-once' }, key)).json(), answer.json());
  });

  it('leaves the key unused by a request that is refused', async () => {
    const key = aKey();
    assertProblem(await asKari.post('/v1/teams', { slug: 'once' }, key), 'team_exists');
    assert.equal((await asKari.post('/v1/teams', { slug: 'free' }, key)).statusCode, 201);
  });

  it('finds the team again that an interrupted attempt has created', async (t) => {
    t.after(() => api.calm());
    const key = aKey();
    const crash = new Error('the process ends here');
    api.outside.reconcile = () => Promise.reject(crash);
    await api.app.inject({
      method: 'POST',
      url: '/v1/teams',
      payload: { slug: 'crashed' },
      headers: {
        ...key,
        authorization: `Bearer ${await api.issuer.token({ preferred_username: kari, groups: creators })}`,
      },
    });
    assert.ok((await teams()).includes('crashed'));
    api.calm();
    const answer = await asKari.post('/v1/teams', { slug: 'crashed' }, key);
    assert.equal(answer.statusCode, 201, answer.body);
    assert.equal((await teams()).filter((slug) => slug === 'crashed').length, 1);
  });

  it('keeps a key for 24 hours', async () => {
    const key = aKey();
    await asKari.post('/v1/teams', { slug: 'day-one' }, key);
    api.advance(24 * 3_600_000 - 1000);
    assertProblem(await asKari.post('/v1/teams', { slug: 'day-two' }, key), 'idempotency_key_reused');
    api.advance(1000);
    assert.equal((await asKari.post('/v1/teams', { slug: 'day-two' }, key)).statusCode, 201);
  });

  it('accepts a key of visible characters, at most 255 of them', async () => {
    for (const [key, status] of [
      ['x'.repeat(255), 201],
      ['x'.repeat(256), 400],
      ['with space', 400],
    ] as const) {
      const slug = `k${key.length}`;
      const answer = await asKari.post('/v1/teams', { slug }, { 'idempotency-key': key });
      assert.equal(answer.statusCode, status, answer.body);
    }
  });
});

describe('addSecretVersion with an Idempotency-Key', () => {
  /** A Secret Manager that counts versions. */
  const counting = () => {
    const payloads: string[] = [];
    const addVersion = async (_id: string, payload: Uint8Array): Promise<SecretVersion> => {
      payloads.push(Buffer.from(payload).toString());
      return { version: String(payloads.length), state: 'enabled', createdAt: api.now() };
    };
    return { payloads, secretManager: { ...noVault, addVersion } };
  };

  it('adds one version, answers it again, and stores neither payload nor plain hash', async (t) => {
    t.after(() => api.calm());
    const { payloads, secretManager } = counting();
    api.outside.secretManager = secretManager;
    const path = `${await api.newTeam()}/secret/versions`;
    const key = aKey();
    const records: string[] = [];
    const { changeRequest } = api.store;
    t.mock.method(api.store, 'changeRequest', async (...asked: Parameters<typeof changeRequest>) => {
      const record = await changeRequest(...asked);
      records.push(JSON.stringify(record));
      return record;
    });
    const first = await asKari.post(path, { data: 'correct horse' }, key);
    assert.equal(first.statusCode, 201, first.body);
    const again = await asKari.post(path, { data: 'correct horse' }, key);
    assert.deepEqual([again.statusCode, again.json()], [201, first.json()]);
    assert.deepEqual(payloads, ['correct horse']);
    assertProblem(await asKari.post(path, { data: 'battery' }, key), 'idempotency_key_reused');
    assert.ok(records.length >= 4, 'what is stored was seen');
    assert.doesNotMatch(records.join(), /horse|battery|Y29ycmVjdA/);
  });

  it('adds nothing again when the first answer was lost, and says so', async (t) => {
    t.after(() => api.calm());
    const { payloads, secretManager } = counting();
    api.outside.secretManager = {
      ...secretManager,
      async addVersion(id, payload, signal) {
        await secretManager.addVersion(id, payload);
        signal.throwIfAborted();
        throw new Unavailable('secret-manager', 'Secret Manager does not answer.');
      },
    };
    const path = `${await api.newTeam()}/secret/versions`;
    const key = aKey();
    assertProblem(await asKari.post(path, { data: 'once' }, key), 'upstream_unavailable');
    api.outside.secretManager = secretManager;
    const again = await asKari.post(path, { data: 'once' }, key);
    assertProblem(again, 'idempotency_key_in_use');
    assert.match(again.json().detail, /may or may not have taken effect/);
    assert.deepEqual(payloads, ['once']);
    assert.equal((await asKari.post(path, { data: 'once' }, aKey())).statusCode, 201);
  });

  it('can be repeated with the same key when there was no secret to add it to', async (t) => {
    t.after(() => api.calm());
    api.outside.secretManager = { ...noVault, addVersion: async () => undefined };
    const path = `${await api.newTeam()}/secret/versions`;
    const key = aKey();
    assertProblem(await asKari.post(path, { data: 'early' }, key), 'upstream_unavailable');
    const { payloads, secretManager } = counting();
    api.outside.secretManager = secretManager;
    assert.equal((await asKari.post(path, { data: 'early' }, key)).statusCode, 201);
    assert.deepEqual(payloads, ['early']);
  });
});
