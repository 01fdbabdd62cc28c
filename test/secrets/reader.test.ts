import assert from 'node:assert/strict';
import { execFile } from 'node:child_process';
import { after, before, describe, it } from 'node:test';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import { type Google, googleEndpoints, startGoogle } from '@knada/simulators/google/server.ts';
import { openServiceAccounts } from '../../src/adapters/iam.ts';
import { openSecretManager } from '../../src/adapters/secret-manager.ts';
import type { SecretManager } from '../../src/ports/secret-manager.ts';
import { provisionWith } from '../../src/secrets/provision.ts';
import { named } from '../support/records.ts';

const project = 'knada-gcp';
const ours = 'team-a-3f9c';
const theirs = 'team-b-0000';
const fixture = fileURLToPath(new URL('../../local/demo/notebook.ts', import.meta.url));
const run = promisify(execFile);
const signal = () => AbortSignal.timeout(20_000);

describe('a notebook', () => {
  let google: Google;
  let secretManager: SecretManager;

  before(async () => {
    google = await startGoogle({ project });
    const endpoints = JSON.parse(googleEndpoints(google.url));
    secretManager = openSecretManager({ project, region: 'europe-north1', endpoints });
    const provision = provisionWith({
      secretManager,
      serviceAccounts: openServiceAccounts({ project, endpoints }),
      clock: { now: () => Date.now() },
      workloadPool: `${project}.svc.id.goog`,
      wait: async () => {},
      random: () => 0.5,
    });
    for (const id of [ours, theirs]) {
      const members = [{ email: `kari-${id}@nav.no`, username: 'kari' }];
      assert.deepEqual(await provision({ ...named({ id, slug: id.slice(0, -5) }), members }, signal()), {
        state: 'ready',
      });
    }
    await secretManager.addVersion(ours, Buffer.from('old'), signal());
    await secretManager.addVersion(ours, Buffer.from('pässord'), signal());
  });
  after(() => google.close());

  /** Runs the code of the user documentation in a pod of a team, asking for the secret of another or the same one. */
  const read = async (team: string, secretOf: string, pod: { readonly namespace?: string } = {}) => {
    const metadata = await google.metadataFor({
      namespace: pod.namespace ?? `team-${team}`,
      serviceAccount: team,
      googleServiceAccount: `${team}@${project}.iam.gserviceaccount.com`,
    });
    const { stdout } = await run(process.execPath, [fixture], {
      env: {
        GCE_METADATA_HOST: metadata.host,
        KNADA_TEAM_SECRET: `projects/${project}/secrets/${secretOf}`,
        SIMULATOR: google.url,
      },
      timeout: 30_000,
    });
    return JSON.parse(stdout);
  };

  it('reads the newest version of its team’s secret as the team’s service account', async () => {
    assert.deepEqual(await read(ours, ours), { payload: 'pässord' });
    const { caller } = google.calls().at(-1) ?? {};
    assert.equal(caller, `serviceAccount:${ours}@${project}.iam.gserviceaccount.com`);
  });

  it('is denied the secret of another team', async () => {
    const { code, message } = await read(theirs, ours);
    assert.equal(code, 7, 'PERMISSION_DENIED');
    assert.match(message, /secretmanager\.versions\.access/);
  });

  it('gets the answer that its secret has no version yet, not that access is denied', async () => {
    assert.equal((await read(theirs, theirs)).code, 5, 'NOT_FOUND');
  });

  it('cannot be the team’s service account from another namespace', async () => {
    const { payload, message } = await read(ours, ours, { namespace: 'team-elsewhere' });
    assert.equal(payload, undefined);
    assert.match(message, /getAccessToken/);
  });
});

describe('a member', () => {
  it('adds, disables and reads versions, and can change neither the policy nor the secret itself', async () => {
    const google = await startGoogle({ project });
    try {
      const endpoints = JSON.parse(googleEndpoints(google.url));
      const owner = openSecretManager({ project, region: 'europe-north1', endpoints });
      const serviceAccounts = openServiceAccounts({ project, endpoints });
      const clock = { now: () => Date.now() };
      const workloadPool = `${project}.svc.id.goog`;
      const provision = provisionWith({
        secretManager: owner,
        serviceAccounts,
        clock,
        workloadPool,
        wait: async () => {},
        random: () => 0.5,
      });
      const email = 'kari@nav.no';
      const team = named({ id: ours, slug: 'team-a' });
      await provision({ ...team, members: [{ email }] }, signal());
      const vaultOf = (who: string) => {
        const token = google.tokenFor(who);
        return openSecretManager({
          project,
          region: 'europe-north1',
          endpoints,
          accessToken: async () => token,
        });
      };

      const kari = vaultOf(email);
      assert.equal((await kari.addVersion(ours, Buffer.from('x'), signal()))?.version, '1');
      assert.equal((await kari.versions(ours, signal()))?.length, 1);
      await kari.setEnabled(ours, '1', false, signal());
      const policy = await kari.policy(ours, signal());
      assert.ok(policy, 'and sees who else may');
      await assert.rejects(kari.setPolicy(ours, policy, signal()), {
        name: 'Unavailable',
        message: /denied/,
      });
      await assert.rejects(kari.deleteSecret(ours, signal()), { name: 'Unavailable', message: /denied/ });

      await assert.rejects(vaultOf('eve@nav.no').versions(ours, signal()), { name: 'Unavailable' });
    } finally {
      await google.close();
    }
  });
});
