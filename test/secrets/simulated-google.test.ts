import assert from 'node:assert/strict';
import { mkdtempSync, rmSync, statSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { describe, it } from 'node:test';
import { googleEndpoints, startGoogle } from '@knada/simulators/google/server.ts';
import { openServiceAccounts } from '../../src/adapters/iam.ts';
import { openSecretManager } from '../../src/adapters/secret-manager.ts';

const project = 'knada-gcp';
const id = 'team-a-3f9c';
const email = `${id}@${project}.iam.gserviceaccount.com`;
const signal = () => AbortSignal.timeout(10_000);
const asOwner = { authorization: 'Bearer local' };

describe('the simulated Google', () => {
  it('simulated Google: keeps its state over a restart, in a private file', async () => {
    const folder = mkdtempSync(join(tmpdir(), 'google-'));
    const file = join(folder, 'google.json');
    try {
      const first = await startGoogle({ project, file });
      const endpoints = JSON.parse(googleEndpoints(first.url));
      await openServiceAccounts({ project, endpoints }).createAccount(
        id,
        { name: id, description: 'x' },
        signal(),
      );
      const secretManager = openSecretManager({ project, region: 'europe-north1', endpoints });
      await secretManager.createSecret(id, { a: 'b' }, signal());
      await secretManager.addVersion(id, Buffer.from('x'), signal());
      const before = [await secretManager.secret(id, signal()), await secretManager.versions(id, signal())];
      await first.close();
      assert.equal(statSync(file).mode & 0o077, 0);

      const second = await startGoogle({ project, file });
      const again = openSecretManager({
        project,
        region: 'europe-north1',
        endpoints: JSON.parse(googleEndpoints(second.url)),
      });
      assert.deepEqual([await again.secret(id, signal()), await again.versions(id, signal())], before);
      assert.equal(second.account(email)?.description, 'x');
      await second.close();
    } finally {
      rmSync(folder, { recursive: true });
    }
  });

  it('simulated Google: hides conditions in older policy versions, and refuses to write those back', async () => {
    const google = await startGoogle({ project });
    try {
      google.putSecret(id, {});
      const condition = { title: 'x', expression: 'false' };
      google.policies.changeSecret(id, () => [
        { role: 'roles/secretmanager.viewer', members: ['user:kari@nav.no'], condition },
      ]);
      const secret = `${google.url}/v1/projects/${project}/secrets/${id}`;
      const read = await fetch(`${secret}:getIamPolicy`, { headers: asOwner });
      const policy: { version: number; bindings: { role: string; condition?: object }[] } = JSON.parse(
        await read.text(),
      );
      assert.equal(policy.version, 1);
      assert.match(policy.bindings[0]?.role ?? '', /^roles\/secretmanager\.viewer_withcond_/);
      assert.equal(policy.bindings[0]?.condition, undefined);
      const written = await fetch(`${secret}:setIamPolicy`, {
        method: 'POST',
        headers: asOwner,
        body: JSON.stringify({ policy }),
      });
      assert.equal(written.status, 400);
    } finally {
      await google.close();
    }
  });

  it('simulated Google: answers service account tokens as a metadata server, and refuses browsers', async () => {
    const google = await startGoogle({ project });
    try {
      google.putAccount(email, '');
      const url = `${google.url}/computeMetadata/v1/instance/service-accounts/${email}/token`;
      assert.equal((await fetch(url)).status, 403);
      const answer = await fetch(url, { headers: { 'metadata-flavor': 'Google' } });
      const { access_token: token } = JSON.parse(await answer.text());
      const secrets = `${google.url}/v1/projects/${project}/secrets/${id}`;
      const denied = await fetch(secrets, { headers: { authorization: `Bearer ${token}` } });
      assert.equal(denied.status, 403);
      assert.equal(google.calls().at(-1)?.caller, `serviceAccount:${email}`);
      assert.equal((await fetch(secrets)).status, 401);
      const missing = url.replace(id, 'team-b-0000');
      assert.equal((await fetch(missing, { headers: { 'metadata-flavor': 'Google' } })).status, 404);
    } finally {
      await google.close();
    }
  });
});
