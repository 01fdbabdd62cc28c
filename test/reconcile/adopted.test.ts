import assert from 'node:assert/strict';
import { after, before, describe, it, type TestContext } from 'node:test';
import { googleEndpoints, startGoogle } from '@knada/simulators/google/server.ts';
import { openServiceAccounts } from '../../src/adapters/iam.ts';
import { openSecretManager } from '../../src/adapters/secret-manager.ts';
import type { TeamNames } from '../../src/model/names.ts';
import { notebookView } from '../../src/notebooks/rules.ts';
import { provisioningWith } from '../../src/secrets/provisioning.ts';
import { secretView } from '../../src/secrets/secret.ts';
import { teamView } from '../../src/teams/rules.ts';
import { aNaming } from '../support/records.ts';
import { type OpenedSimulator, openSimulator } from '../support/simulated-kubernetes.ts';
import { aWorld, eventually, render } from '../support/world.ts';

/** Names that this product would never derive. */
const given: TeamNames = {
  namespace: 'nada-notebooks',
  releaseName: 'nada-jupyter',
  serviceAccount: 'nada-runner',
  googleServiceAccount: { id: 'nada-sa', email: 'nada-sa@knada-gcp.iam.gserviceaccount.com' },
  secret: { id: 'nada-secret', name: 'projects/knada-gcp/secrets/nada-secret' },
  hubUrl: 'https://nada.example.org',
};

describe('a team with names that were given elsewhere', () => {
  let kubernetes: OpenedSimulator;
  before(async () => {
    kubernetes = await openSimulator();
  });
  after(() => kubernetes.close());

  const adopted = async (t: TestContext) => {
    const world = await aWorld(t, kubernetes);
    const project = aNaming.googleProject;
    const google = await startGoogle({ project });
    t.after(() => google.close());
    const endpoints = JSON.parse(googleEndpoints(google.url));
    const provisioning = provisioningWith({
      secretManager: openSecretManager({ project, region: 'europe-north1', endpoints }),
      serviceAccounts: openServiceAccounts({ project, endpoints }),
      clock: world.clock,
      workloadPool: `${project}.svc.id.goog`,
      wait: async () => undefined,
      random: () => 0,
    });
    const reconcile = () => world.reconcile({ google: provisioning });
    const team = await world.create({ names: given });
    await world.order({ allowlist: { enabled: true, hosts: ['pypi.org'] } });
    await reconcile();
    return { world, google, reconcile, team };
  };

  it('is rendered and reconciled under them', async (t) => {
    const { world, google, team } = await adopted(t);
    const record = await world.record();
    assert.equal(record.status.appliedGeneration, record.generation, JSON.stringify(record.status));
    const rendered = render(record).map(
      ({ kind, metadata }) => `${metadata.namespace ?? ''}/${kind}/${metadata.name}`,
    );
    assert.ok(rendered.includes('/Namespace/nada-notebooks'), rendered.join());
    assert.ok(rendered.includes('nada-notebooks/ServiceAccount/nada-runner'), rendered.join());
    assert.ok(!rendered.join().includes(team.id), rendered.join());
    const objects = await world.objects('nada-notebooks');
    assert.ok(objects.has('ServiceAccount nada-runner'), [...objects.keys()].join());
    const release = objects.get('HelmRelease jupyterhub')?.spec;
    assert.partialDeepStrictEqual(release, {
      releaseName: 'nada-jupyter',
      values: {
        singleuser: { serviceAccountName: 'nada-runner', extraEnv: { KNADA_TEAM_SECRET: given.secret.name } },
      },
    });
    assert.equal(await world.raw('Namespace', `team-${team.id}`, `team-${team.id}`), undefined);
    assert.ok(google.secret('nada-secret') !== undefined);
    assert.equal(google.secret(team.id), undefined);
    assert.ok(google.account(given.googleServiceAccount.email) !== undefined);
    assert.match(
      JSON.stringify(google.policies.account(given.googleServiceAccount.email)),
      /\[nada-notebooks\/nada-runner\]/,
    );
    assert.match(JSON.stringify(google.policies.secret('nada-secret')), /serviceAccount:nada-sa@/);
  });

  it('is shown under them', async (t) => {
    const { world } = await adopted(t);
    const record = await world.record();
    assert.partialDeepStrictEqual(teamView(record), {
      namespace: 'nada-notebooks',
      hubUrl: 'https://nada.example.org',
      serviceAccount: given.googleServiceAccount.email,
    });
    assert.equal(notebookView(record)?.status.url, 'https://nada.example.org');
    assert.partialDeepStrictEqual(secretView(record, aNaming.googleProject, []), {
      name: given.secret.name,
      serviceAccount: given.googleServiceAccount.email,
    });
    assert.deepEqual(
      (await world.store.restricted()).map(({ namespace }) => namespace),
      ['nada-notebooks'],
    );
  });

  it('is torn down under them', async (t) => {
    const { world, google, reconcile } = await adopted(t);
    await world.deleteTeam();
    await eventually(async () => (await reconcile()) === undefined);
    assert.equal(await world.raw('Namespace', 'nada-notebooks', 'nada-notebooks'), undefined);
    assert.equal(google.secret('nada-secret'), undefined);
    assert.equal(google.account(given.googleServiceAccount.email), undefined);
  });
});
