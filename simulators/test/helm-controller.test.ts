import assert from 'node:assert/strict';
import { after, before, beforeEach, describe, it } from 'node:test';
import { brokenAnnotation, failAnnotation } from '../annotations.ts';
import { startDeployments } from '../cluster/deployments.ts';
import { startKubelet } from '../cluster/kubelet.ts';
import { startHelmController } from '../helm-controller/controller.ts';
import type { Client } from '../kubernetes/client.ts';
import { asList, asMap, asText, at, type Json, type JsonMap } from '../kubernetes/json.ts';
import { type KubeObject, nameOf, namespaceOf, uidOf } from '../kubernetes/object.ts';
import { type Kubernetes, startKubernetes } from '../kubernetes/server.ts';

const namespace = 'team-a-0001';
const release = (values: JsonMap = {}, spec: JsonMap = {}): JsonMap => ({
  apiVersion: 'helm.toolkit.fluxcd.io/v2',
  kind: 'HelmRelease',
  metadata: { name: 'jupyterhub', namespace },
  spec: {
    interval: '30m',
    timeout: '10m',
    releaseName: 'jupyterhub-a-0001',
    chart: {
      spec: {
        chart: 'jupyterhub',
        version: '4.4.0',
        sourceRef: { kind: 'HelmRepository', name: 'jupyterhub', namespace: 'flux-system' },
      },
    },
    install: { remediation: { retries: 2 } },
    upgrade: { remediation: { retries: 2, strategy: 'rollback' } },
    values,
    ...spec,
  },
});

const condition = (object: KubeObject | undefined, type: string): JsonMap =>
  asMap(asList(at(object, 'status', 'conditions')).find((one) => at(one, 'type') === type));
const isReady = (object: KubeObject): boolean =>
  condition(object, 'Ready').status === 'True' &&
  condition(object, 'Ready').observedGeneration === object.metadata.generation &&
  condition(object, 'Reconciling').status === undefined;
const isStalled = (object: KubeObject): boolean => condition(object, 'Stalled').status === 'True';
const history = (object: KubeObject): Json[] =>
  asList(at(object, 'status', 'history')).map((item) => `${at(item, 'version')} ${at(item, 'status')}`);

describe('the simulated helm-controller', () => {
  let kubernetes: Kubernetes;
  let client: Client;
  let parts: { close(): Promise<void> }[];

  /** The release’s states, in order, until one is as wanted. */
  const statesUntil = async (wanted: (object: KubeObject) => boolean): Promise<KubeObject[]> => {
    const seen: KubeObject[] = [];
    const { promise, resolve } = Promise.withResolvers<void>();
    const stop = client.watch('helmreleases', { namespace }, (_type, object) => {
      seen.push(object);
      if (wanted(object)) resolve();
    });
    await promise;
    stop();
    return seen;
  };
  const until = async (wanted: (object: KubeObject) => boolean): Promise<KubeObject> => {
    const last = (await statesUntil(wanted)).at(-1);
    assert.ok(last);
    return last;
  };
  const untilGone = async (plural: string, but: readonly string[] = []): Promise<void> => {
    const { promise, resolve } = Promise.withResolvers<void>();
    const look = async () => {
      const left = (await client.list(plural, { namespace })).map(nameOf);
      if (left.every((name) => but.includes(name))) resolve();
    };
    const stop = client.watch(plural, { namespace }, () => void look());
    await look();
    await promise;
    stop();
  };
  const hubPods = () => client.list('pods', { namespace, labelSelector: 'component=hub' });

  before(async () => {
    kubernetes = await startKubernetes();
    client = kubernetes.client('test');
    // A controller that fails tries again; what it said helps when a test hangs.
    const onFailure = (what: string, error: unknown) => console.error(what, error);
    const options = { client: kubernetes.client('sandbox'), onFailure };
    parts = [
      startKubelet({ ...options, podReadyMs: 5, podStopMs: 1 }),
      startDeployments(options),
      startHelmController({
        ...options,
        client: kubernetes.client('helm-controller'),
        actionMs: 5,
        sourceMs: 5,
        retryMs: 20,
      }),
    ];
  });
  after(async () => {
    for (const part of parts) await part.close();
    await kubernetes.close();
  });
  beforeEach(async () => {
    if ((await client.get('namespaces', '', namespace)) === undefined) {
      await client.create({ apiVersion: 'v1', kind: 'Namespace', metadata: { name: namespace } });
    }
    await client.delete('helmreleases', namespace, 'jupyterhub');
    await untilGone('helmreleases');
    await untilGone('pods');
    await untilGone('persistentvolumeclaims');
  });

  it('helm-controller: installs with the conditions of each step, and is ready when the hub is', async () => {
    await client.create(release());
    const states = await statesUntil(isReady);
    const seen = states.map(
      (object) => `${condition(object, 'Ready').status} ${condition(object, 'Ready').reason}`,
    );
    assert.deepEqual(
      [...new Set(seen)],
      ['undefined undefined', 'False SourceNotReady', 'Unknown Progressing', 'True InstallSucceeded'],
    );
    assert.equal(at(states[0], 'status', 'observedGeneration') ?? -1, -1);
    const fetching = states.find((object) => condition(object, 'Ready').reason === 'SourceNotReady');
    assert.equal(condition(fetching, 'Reconciling').message, 'Fulfilling prerequisites');
    assert.equal(
      condition(fetching, 'Ready').message,
      "HelmChart 'flux-system/team-a-0001-jupyterhub' is not ready: latest generation of object has not been reconciled",
    );
    const running = states.find((object) => condition(object, 'Ready').status === 'Unknown');
    assert.equal(condition(running, 'Reconciling').message, "Running 'install' action with timeout of 10m0s");

    const last = states.at(-1);
    assert.ok(last);
    assert.equal(
      condition(last, 'Released').message,
      'Helm install succeeded for release team-a-0001/jupyterhub-a-0001.v1 with chart jupyterhub@4.4.0',
    );
    assert.deepEqual(condition(last, 'Reconciling'), {});
    assert.equal(at(last, 'status', 'observedGeneration'), 1);
    assert.deepEqual(history(last), ['1 deployed']);
    assert.deepEqual(last.metadata.finalizers, ['finalizers.fluxcd.io']);
    const [pod] = await hubPods();
    assert.ok(pod);
    assert.equal(at(pod, 'status', 'phase'), 'Running');
  });

  it('helm-controller: installs the chart’s objects with Helm’s labels, as the values say', async () => {
    await client.create(
      release({
        hub: { extraVolumes: [{ name: 'notebook-profiles', configMap: { name: 'notebook-profiles' } }] },
        proxy: { service: { type: 'ClusterIP' } },
        singleuser: { networkPolicy: { egressAllowRules: { nonPrivateIPs: false } } },
      }),
    );
    await until(isReady);
    const plurals = ['deployments', 'services', 'networkpolicies', 'persistentvolumeclaims'];
    const names = await Promise.all(
      plurals.map(async (plural) => (await client.list(plural, { namespace })).map(nameOf)),
    );
    assert.deepEqual(names, [
      ['hub', 'proxy'],
      ['hub', 'proxy-api', 'proxy-public'],
      ['hub', 'proxy', 'singleuser'],
      ['hub-db-dir'],
    ]);
    const service = await client.get('services', namespace, 'proxy-public');
    assert.equal(at(service, 'spec', 'type'), 'ClusterIP');
    assert.partialDeepStrictEqual(service?.metadata.labels, {
      'app.kubernetes.io/managed-by': 'Helm',
      'helm.toolkit.fluxcd.io/name': 'jupyterhub',
    });
    const singleuser = JSON.stringify(await client.get('networkpolicies', namespace, 'singleuser'));
    assert.equal(singleuser.includes('0.0.0.0/0'), false);
    assert.equal(singleuser.includes('169.254.169.254/32'), true);
    const [pod] = await hubPods();
    assert.partialDeepStrictEqual(
      asList(at(pod, 'spec', 'volumes')).map((volume) => at(volume, 'name')),
      ['config', 'secret', 'pvc', 'notebook-profiles'],
    );
  });

  it('helm-controller: ignores a change of metadata', async () => {
    await client.create(release());
    const ready = await until(isReady);
    const [pod] = await hubPods();
    const writes: string[] = [];
    const stop = kubernetes.onRequest(({ isWrite, path, manager }) => {
      if (isWrite && manager !== 'test') writes.push(path);
    });
    await client.patch('helmreleases', namespace, 'jupyterhub', {
      metadata: { annotations: { seen: 'yes' } },
    });
    await client.create({
      ...release(),
      metadata: { name: 'later', namespace },
      spec: asMap(release().spec),
    });
    await until((object) => nameOf(object) === 'later' && isReady(object));
    stop();
    assert.deepEqual(
      writes.filter((path) => path.includes('/helmreleases/jupyterhub')),
      [],
    );
    const after = await client.get('helmreleases', namespace, 'jupyterhub');
    assert.deepEqual(after?.status, ready.status);
    assert.ok((await hubPods()).some((other) => pod !== undefined && uidOf(other) === uidOf(pod)));
    await client.delete('helmreleases', namespace, 'later');
  });

  it('helm-controller: replaces the hub’s pod when a value changes, and the proxy’s at the first upgrade only', async () => {
    await client.create(release({ cull: { timeout: 3600 } }));
    await until(isReady);
    const uids = async (component: string) =>
      (await client.list('pods', { namespace, labelSelector: `component=${component}` })).map(uidOf);
    const pods = async () => ({ hub: await uids('hub'), proxy: await uids('proxy') });
    const upgrade = async (generation: number) => {
      await client.patch('helmreleases', namespace, 'jupyterhub', {
        spec: { values: { cull: { timeout: 3600 * generation } } },
      });
      return until((object) => object.metadata.generation === generation && isReady(object));
    };
    const before = await pods();
    const ready = await upgrade(2);
    assert.equal(condition(ready, 'Released').reason, 'UpgradeSucceeded');
    assert.deepEqual(history(ready), ['2 deployed', '1 superseded']);
    const once = await pods();
    assert.equal(once.hub.length, 1);
    assert.notDeepEqual(once.hub, before.hub);
    assert.notDeepEqual(once.proxy, before.proxy);
    await upgrade(3);
    const twice = await pods();
    assert.notDeepEqual(twice.hub, once.hub);
    assert.deepEqual(twice.proxy, once.proxy);
  });

  it('helm-controller: rolls back a failed upgrade, and stalls when its retries are exhausted', async () => {
    await client.create(release({ debug: { enabled: false } }));
    await until(isReady);
    await client.patch('helmreleases', namespace, 'jupyterhub', {
      metadata: { annotations: { [failAnnotation]: 'upgrade' } },
      spec: { values: { debug: { enabled: true } } },
    });
    const failed = await until(isStalled);
    assert.equal(condition(failed, 'Stalled').reason, 'RetriesExceeded');
    assert.equal(condition(failed, 'Stalled').message, 'Failed to upgrade after 3 attempt(s)');
    assert.partialDeepStrictEqual(condition(failed, 'Ready'), {
      status: 'False',
      reason: 'RollbackSucceeded',
    });
    assert.partialDeepStrictEqual(condition(failed, 'Remediated'), {
      status: 'True',
      reason: 'RollbackSucceeded',
    });
    assert.match(
      asText(condition(failed, 'Released').message),
      /^Helm upgrade failed .* failed early due to stalled resources: \[Deployment\/team-a-0001\/hub status: 'Failed'/,
    );
    assert.equal(at(failed, 'status', 'upgradeFailures'), 3);
    const [pod] = await hubPods();
    assert.equal(asMap(pod?.metadata.annotations)[brokenAnnotation], undefined, 'the old hub is back');
  });

  it('helm-controller: retries after a reset, and succeeds once the cause is gone', async () => {
    await client.create(release({}, { install: { remediation: { retries: 0 } } }));
    await client.patch('helmreleases', namespace, 'jupyterhub', {
      metadata: { annotations: { [failAnnotation]: 'install' } },
    });
    const failed = await until(isStalled);
    assert.partialDeepStrictEqual(condition(failed, 'Ready'), { status: 'False', reason: 'InstallFailed' });
    assert.equal(at(failed, 'status', 'installFailures'), 1);
    const token = '2026-11-23T12:00:00Z';
    await client.patch('helmreleases', namespace, 'jupyterhub', {
      metadata: {
        annotations: {
          [failAnnotation]: null,
          'reconcile.fluxcd.io/requestedAt': token,
          'reconcile.fluxcd.io/resetAt': token,
          'reconcile.fluxcd.io/forceAt': token,
        },
      },
    });
    const ready = await until(isReady);
    assert.partialDeepStrictEqual(ready.status, {
      lastHandledReconcileAt: token,
      lastHandledResetAt: token,
      lastHandledForceAt: token,
      installFailures: 0,
    });
    assert.deepEqual(condition(ready, 'Stalled'), {});
  });

  it('helm-controller: uninstalls a failed install before it retries', async () => {
    await client.create(release({}, { install: { remediation: { retries: 1 } } }));
    await client.patch('helmreleases', namespace, 'jupyterhub', {
      metadata: { annotations: { [failAnnotation]: 'install' } },
    });
    const states = await statesUntil(isStalled);
    const remediated = states.map((object) => condition(object, 'Remediated').reason);
    assert.ok(remediated.includes('UninstallSucceeded'));
    const between = states.find((object) => condition(object, 'Remediated').status === 'True');
    assert.partialDeepStrictEqual(condition(between, 'Ready'), { status: 'False', reason: 'InstallFailed' });
    assert.deepEqual(between && history(between), ['1 uninstalling']);
    assert.equal(at(states.at(-1), 'status', 'installFailures'), 2);
  });

  it('helm-controller: uninstalls its own objects and no others on deletion', async () => {
    await client.create(release());
    await until(isReady);
    await client.create({
      apiVersion: 'v1',
      kind: 'PersistentVolumeClaim',
      metadata: { name: 'claim-kari', namespace, labels: { component: 'singleuser-storage' } },
      spec: { accessModes: ['ReadWriteOnce'], resources: { requests: { storage: '1Gi' } } },
    });
    await client.delete('helmreleases', namespace, 'jupyterhub');
    for (const plural of ['helmreleases', 'deployments', 'services', 'networkpolicies', 'pods']) {
      await untilGone(plural);
    }
    await untilGone('persistentvolumeclaims', ['claim-kari']);
    assert.ok(await client.get('persistentvolumeclaims', namespace, 'claim-kari'));
    const secrets = await client.list('secrets', { namespace });
    assert.deepEqual(secrets.map(nameOf), []);
    await client.delete('persistentvolumeclaims', namespace, 'claim-kari');
  });

  it('helm-controller: ignores a suspended release', async () => {
    await client.create(release({}, { suspend: true }));
    await client.create({ ...release(), metadata: { name: 'other', namespace } });
    const other = await until((object) => nameOf(object) === 'other' && isReady(object));
    const suspended = await client.get('helmreleases', namespaceOf(other), 'jupyterhub');
    assert.equal(at(suspended, 'status', 'history'), undefined);
    assert.equal(at(suspended, 'status', 'observedGeneration'), 1);
    await client.delete('helmreleases', namespace, 'other');
  });
});
