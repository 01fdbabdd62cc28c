import assert from 'node:assert/strict';
import { after, before, beforeEach, describe, it } from 'node:test';
import { type Google, startGoogle } from '@knada/simulators/google/server.ts';
import { openSecretManager } from '../../src/adapters/secret-manager.ts';
import type { SecretVersion } from '../../src/model/secret.ts';
import { payloadMaxBytes } from '../../src/model/secret.ts';
import { Unavailable } from '../../src/ports/unavailable.ts';
import { assertProblem, kari, openApi } from '../support/api.ts';

const canary = 'canary-5f2b81';

/** The API with Secret Manager simulated at the wire. */
describe('the secret of a team', () => {
  let api: Awaited<ReturnType<typeof openApi>>;
  let google: Google;
  const asKari = () => api.asPerson(kari);

  before(async () => {
    google = await startGoogle({ port: 0, project: 'knada-gcp', workloadPool: 'knada-gcp.svc.id.goog' });
    api = await openApi();
  });
  after(async () => {
    await api.close();
    await google.close();
  });
  beforeEach(() => {
    const origin = `http://127.0.0.1:${google.port}`;
    api.outside.secretManager = openSecretManager({
      project: 'knada-gcp',
      region: 'europe-north1',
      endpoints: { 'secretmanager.googleapis.com': origin },
    });
  });

  /** A team whose secret is there, as reconcile makes it. */
  const teamWithSecret = async (): Promise<{ path: string; id: string }> => {
    const path = await api.newTeam();
    const { id } = await api.record(path);
    await api.outside.secretManager.createSecret(id, {}, AbortSignal.timeout(5_000));
    return { path: `${path}/secret`, id };
  };

  it('is shown without versions before it exists', async () => {
    const path = await api.newTeam();
    const { id } = await api.record(path);
    const secret = (await asKari().get(`${path}/secret`)).json();
    assert.equal(secret.name, `projects/knada-gcp/secrets/${id}`);
    assert.deepEqual(secret.versions, []);
  });

  it('accepts versions as text and as base64, and returns only their metadata, newest first', async () => {
    const { path } = await teamWithSecret();
    const first = await asKari().post(`${path}/versions`, { data: canary });
    assert.equal(first.statusCode, 201);
    assert.ok(!first.body.includes(canary));
    const dataBase64 = Buffer.from([0, 255, 1]).toString('base64');
    assert.equal((await asKari().post(`${path}/versions`, { dataBase64 })).statusCode, 201);
    const { versions } = (await asKari().get(path)).json();
    assert.deepEqual(
      versions.map(({ version, state }: SecretVersion) => [version, state]),
      [
        ['2', 'enabled'],
        ['1', 'enabled'],
      ],
    );
  });

  it('a payload of 65,536 bytes is accepted and a larger one refused, in either encoding', async () => {
    const { path } = await teamWithSecret();
    // Each becomes six characters in the request.
    const escaped = JSON.stringify({ data: '\u0001'.repeat(payloadMaxBytes) });
    assert.equal((await asKari().post(`${path}/versions`, escaped)).statusCode, 201);
    const most = { dataBase64: Buffer.alloc(payloadMaxBytes, 7).toString('base64') };
    assert.equal((await asKari().post(`${path}/versions`, most)).statusCode, 201);
    const more = { dataBase64: Buffer.alloc(payloadMaxBytes + 1, 7).toString('base64') };
    assertProblem(await asKari().post(`${path}/versions`, more), 'validation_failed', [
      '/dataBase64 payload_too_large',
    ]);
  });

  it('disables and enables a version, and refuses an unknown or destroyed one', async () => {
    const { path, id } = await teamWithSecret();
    await asKari().post(`${path}/versions`, { data: canary });
    assert.equal((await asKari().post(`${path}/versions/1/disable`)).json().state, 'disabled');
    assert.equal((await asKari().post(`${path}/versions/1/disable`)).json().state, 'disabled');
    assert.equal((await asKari().post(`${path}/versions/1/enable`)).json().state, 'enabled');
    assertProblem(await asKari().post(`${path}/versions/7/enable`), 'not_found');
    api.outside.secretManager = {
      ...api.outside.secretManager,
      versions: async () => [{ version: '1', state: 'destroyed', createdAt: '2026-11-23T09:00:00.000Z' }],
      setEnabled: async () => 'destroyed',
    };
    assertProblem(await asKari().post(`${path}/versions/1/enable`), 'secret_version_destroyed');
    assert.ok(id !== '');
  });

  it('records in the history who changed which version, never its payload', async () => {
    const { path } = await teamWithSecret();
    await asKari().post(`${path}/versions`, { data: canary });
    await asKari().post(`${path}/versions/1/disable`);
    const history = await asKari().get(`${path.replace('/secret', '')}/history`);
    const [disabled, added] = history.json().items;
    assert.partialDeepStrictEqual(added, {
      by: kari,
      action: 'secret_version_added',
      changes: [{ pointer: '/secret/versions/1', from: null, to: 'enabled' }],
    });
    assert.equal(disabled.action, 'secret_version_disabled');
    assert.ok(!history.body.includes(canary));
  });

  it('records nothing for a version that already has the requested state', async () => {
    const { path } = await teamWithSecret();
    await asKari().post(`${path}/versions`, { data: canary });
    assert.equal((await asKari().post(`${path}/versions/1/enable`)).json().state, 'enabled');
    await asKari().post(`${path}/versions/1/disable`);
    await asKari().post(`${path}/versions/1/disable`);
    const { items } = (await asKari().get(`${path.replace('/secret', '')}/history`)).json();
    assert.deepEqual(items.map(({ action }: { action: string }) => action).slice(0, 2), [
      'secret_version_disabled',
      'secret_version_added',
    ]);
  });

  it('reconciles the team once when its secret does not exist yet, then answers with Retry-After', async () => {
    const path = await api.newTeam();
    const { id } = await api.record(path);
    const { secretManager } = api.outside;
    const later = await asKari().post(`${path}/secret/versions`, { data: canary });
    assertProblem(later, 'upstream_unavailable');
    assert.equal(later.headers['retry-after'], '30');
    api.outside.reconcile = async (team) => {
      await secretManager.createSecret(id, {}, AbortSignal.timeout(5_000));
      return team;
    };
    assert.equal((await asKari().post(`${path}/secret/versions`, { data: canary })).statusCode, 201);
    api.outside.reconcile = async (team) => team;
  });

  it('is unavailable, not empty, while Secret Manager does not answer', async () => {
    const { path } = await teamWithSecret();
    api.outside.secretManager = {
      ...api.outside.secretManager,
      versions: () => Promise.reject(new Unavailable('secret-manager', 'It did not answer.')),
    };
    assertProblem(await asKari().get(path), 'upstream_unavailable');
  });

  it('does not retry adding a version when the outcome of the first attempt is unknown', async () => {
    const { path } = await teamWithSecret();
    api.outside.secretManager = {
      ...api.outside.secretManager,
      addVersion: () => Promise.reject(new Unavailable('secret-manager', 'It did not answer in time.')),
    };
    const answer = await asKari().post(`${path}/versions`, { data: canary });
    assertProblem(answer, 'upstream_unavailable');
    assert.match(answer.json().detail, /may have been added.*check/);
  });

  it('blocks the deletion of its team unless its own deletion is requested', async () => {
    const path = await api.newTeam();
    api.outside.hasSecret = async () => true;
    assertProblem(await api.writesNothing(() => asKari().delete(path)), 'secret_exists');
    assert.equal((await asKari().delete(`${path}?deleteSecret=true`)).statusCode, 202);
    api.outside.hasSecret = async () => false;
  });
});
