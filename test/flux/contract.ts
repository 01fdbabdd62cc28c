import assert from 'node:assert/strict';
import { after, before, it } from 'node:test';
import { type Google, startGoogle } from '@knada/simulators/google/server.ts';
import type { ReleaseState } from '../../src/reconcile/release-state.ts';
import { startIssuer } from '../http/issuer.ts';
import { entraValues } from '../notebooks/platform.ts';
import { until } from '../support/cluster-files.ts';
import { pathOf } from '../support/world.ts';
import {
  aNotebook,
  type FluxUnderTest,
  type Journal,
  type NotebookOnFlux,
  type Surroundings,
} from './notebook.ts';

/** Platform values with something of the hub besides. */
const hubValues = (hub: object) => ({ ...entraValues, hub: { ...Object(entraValues.hub), ...hub } });
const sound = { values: entraValues };
/** The hub’s pod never becomes ready, and its Deployment is said to have failed soon. */
const broken = { values: hubValues({ annotations: { 'simulators.test/broken': 'true' } }) };
/** Refused by the chart’s schema, as a misspelt `resources`. */
const misspelt = { values: hubValues({ resource: {} }) };
/** The hub’s pod waits for its image for ever. */
const hanging = {
  values: hubValues({ image: { name: 'registry.invalid/hub', tag: 'missing' } }),
  timeout: '15s',
};

/** The notebook said nothing but these, and the last one at the end. */
const assertOnly = ({ journal }: Journal, ...allowed: readonly string[]): void => {
  assert.deepEqual(
    journal.filter((said) => !allowed.includes(said)),
    [],
    journal.join(' → '),
  );
  assert.equal(journal.at(-1), allowed.at(-1), journal.join(' → '));
};
/** The HelmRelease passed these states on its way, in this order. */
const assertPasses = ({ states }: Journal, ...wanted: readonly ReleaseState['state'][]): void => {
  let from = 0;
  for (const state of wanted) {
    const at = states.indexOf(state, from);
    assert.notEqual(at, -1, `${state} is not in ${states.slice(from).join(' → ')}`);
    from = at;
  }
};

/**
 * What getNotebook says while Flux works on a hub, on Flux and on its simulator; to be called inside a `describe` that
 * names it. `open` is asked inside the tests.
 */
export const notebookOnFlux = (open: () => FluxUnderTest): void => {
  let google: Google;
  let issuer: Awaited<ReturnType<typeof startIssuer>>;
  const surroundings = (): Surroundings => ({ flux: open(), google, issuer });

  before(async () => {
    google = await startGoogle({ project: 'knada-gcp', workloadPool: 'knada-gcp.svc.id.goog' });
    issuer = await startIssuer();
  });
  after(async () => {
    await google.close();
    await issuer[Symbol.asyncDispose]();
  });

  const installed = async (t: Parameters<typeof aNotebook>[0], platform = sound): Promise<NotebookOnFlux> => {
    const notebook = await aNotebook(t, surroundings(), platform);
    await notebook.order();
    await notebook.until('Ready Installed');
    return notebook;
  };
  const annotation = async ({ release }: NotebookOnFlux, name: string) =>
    (await release())?.metadata.annotations?.[`reconcile.fluxcd.io/${name}`];

  it('Flux: a first install is Pending, Applying and then Ready', async (t) => {
    const notebook = await aNotebook(t, surroundings(), sound);
    await notebook.order();
    const journal = await notebook.until('Ready Installed');
    assertOnly(journal, 'Applying Pending', 'Applying Applying', 'Ready Installed');
    assertPasses(journal, 'pending', 'applying', 'applied');
    const release = await notebook.release();
    assert.equal(release?.status?.observedGeneration, 1);
    assert.match(
      release?.status?.helmChart ?? '',
      new RegExp(`^flux-system/${notebook.namespace}-jupyterhub$`),
    );
    const { metadata, spec } = (await notebook.deployment())?.spec.template ?? assert.fail();
    assert.partialDeepStrictEqual(metadata.labels, { app: 'jupyterhub', component: 'hub' });
    const profiles = spec.volumes.find(({ name }) => name === 'notebook-profiles');
    assert.equal(profiles?.configMap?.name, 'notebook-profiles');
    assert.deepEqual(await notebook.records(), ['1 deployed']);
    const before = await notebook.record();
    assert.equal((await notebook.look()).phase, 'Ready');
    assert.equal((await notebook.record()).statusVersion, before.statusVersion, 'the same again is no news');
    assert.equal((await notebook.release())?.metadata.generation, 1);
  });

  it('Flux: a version bump is Applying, and never a failure', async (t) => {
    const notebook = await installed(t);
    await notebook.deploy({ ...sound, chartVersion: '4.4.1' });
    const journal = await notebook.follow(
      (said, { hub }) => said === 'Ready Installed' && /@4\.4\.1/.test(hub?.message ?? ''),
    );
    assertOnly(journal, 'Applying Pending', 'Applying Applying', 'Ready Installed');
    assert.deepEqual(await notebook.records(), ['2 deployed', '1 superseded']);
  });

  it('Flux: values that break the chart’s schema fail a first install, and sound values recover it', async (t) => {
    const notebook = await aNotebook(t, surroundings(), misspelt);
    await notebook.order();
    const journal = await notebook.until('Degraded Failed');
    assertOnly(journal, 'Applying Pending', 'Applying Applying', 'Applying Retrying', 'Degraded Failed');
    assertPasses(journal, 'retrying', 'failed');
    const { hub } = await notebook.show();
    assert.match(
      hub?.message ?? '',
      /^Helm install failed .* values don't meet the specifications of the schema/,
    );
    assert.deepEqual(await notebook.records(), [], 'Helm has stored no release');
    const { status } = (await notebook.release()) ?? {};
    assert.equal(status?.installFailures ?? 0, 0, 'no failure of an install is counted');
    assert.ok((status?.failures ?? 0) >= 3);
    await notebook.deploy(sound);
    assertOnly(
      await notebook.until('Ready Installed'),
      ...['Applying Pending', 'Applying Applying', 'Degraded Failed', 'Ready Installed'],
    );
  });

  it('Flux: values that break the chart’s schema fail an upgrade, and the hub stays as it was', async (t) => {
    const notebook = await installed(t);
    const before = await notebook.deployment();
    await notebook.deploy(misspelt);
    const journal = await notebook.until('Degraded Failed');
    assertOnly(
      journal,
      ...['Ready Installed', 'Applying Pending', 'Applying Applying', 'Degraded Retrying', 'Degraded Failed'],
    );
    assertPasses(journal, 'applying', 'retrying');
    assert.match((await notebook.show()).hub?.message ?? '', /^Helm upgrade failed .* values don't meet/);
    assert.deepEqual(await notebook.deployment(), before);
    assert.deepEqual(await notebook.records(), ['1 deployed']);
    // The same values as before: Flux finds the release in sync and upgrades nothing.
    await notebook.deploy(sound);
    await notebook.until('Ready Installed');
    assert.deepEqual(await notebook.records(), ['1 deployed']);
  });

  it('Flux: a failed upgrade is retried and rolled back, and a retry recovers it once the cause is gone', async (t) => {
    const notebook = await installed(t);
    const allow = await deny(
      notebook,
      t,
      "!object.spec.template.spec.containers[0].image.endsWith(':4.4.1')",
    );
    await notebook.deploy({ ...sound, chartVersion: '4.4.1' });
    const journal = await notebook.until('Degraded RolledBack');
    assertOnly(
      journal,
      ...[
        'Applying Pending',
        'Applying Applying',
        'Degraded Retrying',
        'Degraded Failed',
        'Degraded RolledBack',
      ],
    );
    assertPasses(journal, 'applying', 'retrying', 'rolled_back');
    const { hub } = await notebook.show();
    assert.match(
      hub?.message ?? '',
      /^Helm rollback to previous release .*\.v5 .* succeeded\. Helm upgrade failed/,
    );
    assert.match(hub?.message ?? '', /server-side apply failed for object .*\/hub apps\/v1, Kind=Deployment/);
    assert.deepEqual((await notebook.records()).slice(0, 2), ['7 deployed', '6 failed']);
    assert.equal((await notebook.release())?.status?.upgradeFailures, 3);
    const [image] = (await notebook.deployment())?.spec.template.spec.containers ?? [];
    assert.match(image?.image ?? '', /:4\.4\.0$/, 'the hub of before is back');

    await allow();
    await notebook.followOperation(await notebook.retry(false));
    const at = await annotation(notebook, 'requestedAt');
    assert.ok(at !== undefined);
    assert.equal(await annotation(notebook, 'resetAt'), at);
    assert.equal(await annotation(notebook, 'forceAt'), undefined);
    assert.match((await notebook.show()).hub?.message ?? '', /@4\.4\.1$/);
    assert.partialDeepStrictEqual((await notebook.release())?.status, {
      lastHandledReconcileAt: at,
      lastHandledResetAt: at,
    });
  });

  it('Flux: a failed upgrade is recovered by the platform’s next version', async (t) => {
    const notebook = await installed(t);
    await notebook.deploy(broken);
    const journal = await notebook.follow((_said, { hub }) => hub?.status === 'False');
    assertPasses(journal, 'applying', 'retrying');
    const { hub } = await notebook.show();
    assert.match(hub?.message ?? '', new RegExp(`Deployment/${notebook.namespace}/hub status: 'Failed'`));
    await notebook.deploy({ ...sound, chartVersion: '4.4.1' });
    const recovery = await notebook.until('Ready Installed');
    assertOnly(
      recovery,
      ...[
        'Degraded Retrying',
        'Degraded Failed',
        'Degraded RolledBack',
        'Applying Pending',
        'Applying Applying',
      ],
      'Ready Installed',
    );
  });

  it('Flux: a retry after a failed install gives it new attempts once the cause is gone', async (t) => {
    const notebook = await aNotebook(t, surroundings(), sound);
    const allow = await deny(notebook, t, 'false');
    await notebook.order();
    const journal = await notebook.until('Degraded Failed');
    assertOnly(journal, 'Applying Pending', 'Applying Applying', 'Applying Retrying', 'Degraded Failed');
    assert.equal((await notebook.release())?.status?.installFailures, 3);
    await allow();
    const id = await notebook.retry(false);
    await notebook.followOperation(id);
  });

  it('Flux: a forced retry of a hub that is in order upgrades it', async (t) => {
    const notebook = await installed(t);
    await notebook.followOperation(await notebook.retry(true));
    const at = await annotation(notebook, 'requestedAt');
    assert.ok(at !== undefined);
    assert.equal(await annotation(notebook, 'forceAt'), at);
    assert.equal((await notebook.release())?.status?.lastHandledForceAt, at);
    assert.deepEqual(await notebook.records(), ['2 deployed', '1 superseded']);
    assert.equal((await notebook.show()).hub?.reason, 'Installed');
  });

  it('Flux: a release that its operator suspends waits with its changes, and goes on when resumed', async (t) => {
    const notebook = await installed(t);
    await notebook.suspend(true);
    await notebook.follow((said) => said === 'Degraded Suspended');
    await notebook.deploy({ ...sound, chartVersion: '4.4.1' });
    assertOnly(await notebook.follow((_said, { hub }) => hub?.reason === 'Suspended'), 'Degraded Suspended');
    assert.match((await notebook.show()).hub?.message ?? '', /flux resume helmrelease jupyterhub/);
    assert.deepEqual(await notebook.records(), ['1 deployed']);
    await notebook.suspend(false);
    await notebook.until('Ready Installed');
    assert.deepEqual(await notebook.records(), ['2 deployed', '1 superseded']);
  });

  it('Flux: an object of the chart that was deleted is restored', async (t) => {
    const notebook = await installed(t);
    const policy = pathOf(notebook.namespace, 'NetworkPolicy', 'singleuser');
    assert.equal((await notebook.send('DELETE', policy)).code, 200);
    const request = await notebook.reconcileNow();
    const journal = await notebook.until('Ready Installed', request);
    assertOnly(journal, 'Degraded Drifted', 'Applying Applying', 'Degraded Applying', 'Ready Installed');
    assert.equal((await notebook.send('GET', policy)).code, 200);
    assert.deepEqual(await notebook.records(), ['1 deployed'], 'restored without an upgrade');
  });

  it('Flux: a release that was uninstalled by hand is not Ready until it is installed again', async (t) => {
    const notebook = await installed(t);
    await notebook.uninstall();
    await notebook.untilDue();
    const shown = await notebook.look();
    assert.equal(shown.phase, 'Degraded');
    assert.equal(shown.hub?.reason, 'Drifted');
    const request = await notebook.reconcileNow();
    const journal = await notebook.until('Ready Installed', request);
    assertOnly(journal, 'Degraded Drifted', 'Applying Pending', 'Applying Applying', 'Ready Installed');
    assert.match((await notebook.records())[0] ?? '', / deployed$/);
  });

  it('Flux: a chart that cannot be fetched is named while its repository does not answer, and nothing counts as failed', async (t) => {
    const notebook = await aNotebook(t, surroundings(), sound);
    notebook.repository.answers(false);
    await notebook.order();
    const journal = await notebook.follow((_said, { hub }) =>
      /^HelmChart '.*' is not ready: /.test(hub?.message ?? ''),
    );
    assertOnly(journal, 'Applying Pending', 'Applying Applying');
    notebook.repository.answers(true);
    assertOnly(
      await notebook.until('Ready Installed'),
      'Applying Pending',
      'Applying Applying',
      'Ready Installed',
    );
  });

  it('Flux: a notebook that is deleted while its install hangs is gone once Flux has given up', async (t) => {
    const notebook = await aNotebook(t, surroundings(), hanging);
    await notebook.order();
    await notebook.follow((_said, { hub }) => /Running 'install' action/.test(hub?.message ?? ''));
    await notebook.deleteNotebook();
    const { journal } = await notebook.until('absent');
    assert.ok(
      journal.slice(0, -1).every((said) => said.startsWith('Deleting ')),
      journal.join(' → '),
    );
    assert.equal(await notebook.deployment(), undefined);
    assert.deepEqual(await notebook.records(), []);
  });
};

/** The platform takes only Deployments of which the expression holds in the notebook’s namespace, until the result is called. */
const deny = async (
  { namespace, send }: NotebookOnFlux,
  t: Parameters<typeof aNotebook>[0],
  expression: string,
): Promise<() => Promise<void>> => {
  const name = `no-deployments-in-${namespace}`;
  const group = '/apis/admissionregistration.k8s.io/v1';
  const policy = {
    apiVersion: 'admissionregistration.k8s.io/v1',
    kind: 'ValidatingAdmissionPolicy',
    metadata: { name },
    spec: {
      failurePolicy: 'Fail',
      matchConstraints: {
        namespaceSelector: { matchLabels: { 'kubernetes.io/metadata.name': namespace } },
        resourceRules: [
          {
            apiGroups: ['apps'],
            apiVersions: ['v1'],
            operations: ['CREATE', 'UPDATE'],
            resources: ['deployments'],
          },
        ],
      },
      validations: [{ expression, message: 'The platform does not take this Deployment.' }],
    },
  };
  const binding = {
    apiVersion: 'admissionregistration.k8s.io/v1',
    kind: 'ValidatingAdmissionPolicyBinding',
    metadata: { name },
    spec: { policyName: name, validationActions: ['Deny'] },
  };
  const paths = [`${group}/validatingadmissionpolicybindings`, `${group}/validatingadmissionpolicies`];
  for (const [index, object] of [binding, policy].entries()) {
    const { code, body } = await send('POST', paths[index] ?? '', object);
    assert.equal(code, 201, JSON.stringify(body));
  }
  const allow = async (): Promise<void> => {
    for (const path of paths) await send('DELETE', `${path}/${name}`);
    await until(async () => !(await isDenied()));
  };
  const probe = {
    apiVersion: 'apps/v1',
    kind: 'Deployment',
    metadata: { name: 'probe' },
    spec: {
      selector: { matchLabels: { probe: 'yes' } },
      template: {
        metadata: { labels: { probe: 'yes' } },
        spec: { containers: [{ name: 'probe', image: 'probe:4.4.1' }] },
      },
    },
  };
  /** An admission policy takes effect a moment after it was stored. */
  const isDenied = async (): Promise<boolean> =>
    (await send('POST', `/apis/apps/v1/namespaces/${namespace}/deployments?dryRun=All`, probe)).code === 422;
  t.after(allow);
  await until(isDenied);
  return allow;
};
