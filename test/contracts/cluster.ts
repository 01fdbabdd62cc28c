import assert from 'node:assert/strict';
import { randomUUID } from 'node:crypto';
import { it, type TestContext } from 'node:test';
import { openCluster } from '../../src/adapters/kubernetes.ts';
import type { ClusterAccess } from '../../src/adapters/kubernetes-connection.ts';
import type { ApplyOutcome, Manifest } from '../../src/ports/cluster.ts';
import { enforcePolicies } from '../support/cluster-files.ts';

/** A running API server: how our adapter connects, and another connection with every permission. */
export interface ClusterUnderTest {
  readonly access: ClusterAccess;
  /** One raw request; `path` starts at the server’s root. Answers the code and the parsed body. */
  send(
    method: string,
    path: string,
    body?: unknown,
    contentType?: string,
  ): Promise<{ readonly code: number; readonly body: unknown }>;
}

const signal = () => AbortSignal.timeout(20_000);

const applied = (outcome: ApplyOutcome): Manifest => {
  if (outcome.outcome !== 'applied') assert.fail(`${outcome.outcome}: ${outcome.message}`);
  return outcome.object;
};

/** The guard of an object that was read. */
const read = ({ metadata: { uid = '', resourceVersion = '' } }: Manifest) => ({ uid, resourceVersion });

/** What every Cluster must do; to be called inside a `describe` that names the API server. */
export const clusterContract = (open: () => Promise<ClusterUnderTest>): void => {
  /** An open cluster with a namespace of its own for the test. */
  const opened = async (t: TestContext, options: { pageSize?: number } = {}) => {
    const server = await open();
    const cluster = openCluster(server.access, options);
    t.after(() => cluster.close());
    const namespace = `team-${randomUUID().slice(0, 8)}`;
    applied(
      await cluster.apply({ apiVersion: 'v1', kind: 'Namespace', metadata: { name: namespace } }, signal()),
    );
    t.after(() => server.send('DELETE', `/api/v1/namespaces/${namespace}`));
    const ref = { apiVersion: 'v1', kind: 'ConfigMap', name: 'profiles', namespace };
    const map = (
      data: Record<string, string>,
      guard: { uid?: string; resourceVersion?: string } = {},
      name = ref.name,
    ): Manifest => ({ apiVersion: 'v1', kind: 'ConfigMap', metadata: { name, namespace, ...guard }, data });
    const put = async (manifest: Manifest) => applied(await cluster.apply(manifest, signal()));
    const found = (): Promise<Manifest | undefined> => cluster.read(ref, signal());
    return { server, cluster, namespace, ref, map, put, found };
  };

  it('returns undefined for an object that does not exist', async (t) => {
    const { cluster, ref, found } = await opened(t);
    assert.equal(await found(), undefined);
    assert.equal(await cluster.read({ ...ref, namespace: 'team-nobody-0000' }, signal()), undefined);
  });

  it('creates an absent object and reads it back without the server’s managed fields', async (t) => {
    const { cluster, ref, namespace, put, found } = await opened(t);
    const labels = { 'knada.io/team': 'red' };
    const annotations = { 'knada.io/revision': '1' };
    const object = await put({
      apiVersion: 'v1',
      kind: 'ConfigMap',
      metadata: { name: ref.name, namespace, labels, annotations },
      data: { a: '1' },
    });
    assert.deepEqual(await found(), object);
    assert.deepEqual(object.data, { a: '1' });
    assert.deepEqual(object.metadata.labels, labels);
    assert.deepEqual(object.metadata.annotations, annotations);
    assert.equal(object.apiVersion, 'v1');
    assert.equal(object.kind, 'ConfigMap');
    assert.ok(!('managedFields' in object.metadata));
    assert.match(object.metadata.uid ?? '', /./);
    assert.equal(typeof object.metadata.creationTimestamp, 'string');
    const [listed] = await cluster.list({ ...ref, labels }, signal());
    assert.deepEqual(listed, object);
  });

  it('keeps every character of a text', async (t) => {
    const { map, put } = await opened(t);
    const text = `\u0000\u0007\u001b\t\n\r "\\/ '#: \u007f\u0080\u0085\u009f\u00a0\u2028\u2029\ufeff\ufffe\uffff æøå 🚀`;
    assert.equal((await put(map({ text }))).data?.text, text);
  });

  it('keeps a Secret’s data as the base64 that it was given', async (t) => {
    const { namespace, put } = await opened(t);
    const data = { 'hub.config.JupyterHub.cookie_secret': Buffer.from('c0ffee').toString('base64') };
    const secret = await put({
      apiVersion: 'v1',
      kind: 'Secret',
      metadata: { name: 'notebook-hub', namespace },
      type: 'Opaque',
      data,
    });
    assert.deepEqual(secret.data, data);
    assert.equal(secret.type, 'Opaque');
  });

  it('lets exactly one of many concurrent creators create an object', async (t) => {
    const { cluster, map, found } = await opened(t);
    const outcomes = await Promise.all(
      Array.from({ length: 8 }, (_, n) => cluster.apply(map({ creator: String(n) }), signal())),
    );
    const winners = outcomes.flatMap((each) => (each.outcome === 'applied' ? [each.object] : []));
    assert.equal(winners.length, 1);
    assert.equal(outcomes.filter(({ outcome }) => outcome === 'conflict').length, 7);
    assert.deepEqual(await found(), winners[0]);
  });

  it('does not change an existing object on create', async (t) => {
    const { cluster, server, namespace, ref, map, found } = await opened(t);
    await server.send('POST', `/api/v1/namespaces/${namespace}/configmaps`, {
      metadata: { name: ref.name },
      data: { whose: 'foreign' },
    });
    const before = await found();
    assert.equal((await cluster.apply(map({ whose: 'foreign' }), signal())).outcome, 'conflict');
    assert.equal((await cluster.apply(map({ whose: 'ours' }), signal())).outcome, 'conflict');
    assert.deepEqual(await found(), before);
  });

  it('changes the object that was read, and writes nothing for the same content', async (t) => {
    const { map, put, found } = await opened(t);
    const first = await put(map({ a: '1' }));
    const second = await put(map({ a: '2' }, read(first)));
    assert.deepEqual(second.data, { a: '2' });
    assert.equal(second.metadata.uid, first.metadata.uid);
    assert.notEqual(second.metadata.resourceVersion, first.metadata.resourceVersion);
    const again = await put(map({ a: '2' }, read(second)));
    assert.equal(again.metadata.resourceVersion, second.metadata.resourceVersion);
    assert.deepEqual(await found(), second);
  });

  it('removes fields that a later apply leaves out, including those of the creation', async (t) => {
    const { namespace, ref, put } = await opened(t);
    const first = await put({
      apiVersion: 'v1',
      kind: 'ConfigMap',
      metadata: { name: ref.name, namespace, labels: { stays: 'a', goes: 'b' } },
      data: { stays: '1', goes: '2' },
    });
    const second = await put({
      apiVersion: 'v1',
      kind: 'ConfigMap',
      metadata: { name: ref.name, namespace, labels: { stays: 'a' }, ...read(first) },
      data: { stays: '1' },
    });
    assert.deepEqual(second.data, { stays: '1' });
    assert.deepEqual(second.metadata.labels, { stays: 'a' });
  });

  it('keeps fields of other managers, and restores its own', async (t) => {
    const { server, namespace, ref, map, put, found } = await opened(t);
    const first = await put(map({ ours: '1' }));
    const path = `/api/v1/namespaces/${namespace}/configmaps/${ref.name}`;
    const edited = await server.send(
      'PATCH',
      `${path}?fieldManager=somebody&force=true`,
      {
        apiVersion: 'v1',
        kind: 'ConfigMap',
        metadata: { name: ref.name },
        data: { ours: 'theirs', extra: '2' },
      },
      'application/apply-patch+yaml',
    );
    assert.equal(edited.code, 200);
    assert.equal((await found())?.data?.ours, 'theirs');
    const current = await found();
    assert.notEqual(current?.metadata.resourceVersion, first.metadata.resourceVersion);
    const second = await put(map({ ours: '1' }, read(current ?? first)));
    assert.deepEqual(second.data, { ours: '1', extra: '2' });
  });

  it('reports a conflict and changes nothing when the object has changed since it was read', async (t) => {
    const { cluster, map, put, found } = await opened(t);
    const first = await put(map({ a: '1' }));
    const second = await put(map({ a: '2' }, read(first)));
    const stale = await cluster.apply(map({ a: '3' }, read(first)), signal());
    assert.equal(stale.outcome, 'conflict');
    assert.deepEqual(await found(), second);
  });

  it('does not recreate a deleted object', async (t) => {
    const { cluster, ref, map, put, found } = await opened(t);
    const first = await put(map({ a: '1' }));
    assert.equal(await cluster.remove({ ...ref, ...read(first) }, signal()), 'removed');
    assert.equal((await cluster.apply(map({ a: '2' }, read(first)), signal())).outcome, 'conflict');
    assert.equal(
      (await cluster.patch({ ...ref, ...read(first) }, { data: { a: '2' } }, signal())).outcome,
      'conflict',
    );
    assert.equal(await found(), undefined);
  });

  it('does not confuse a recreated object of the same name with the one that was read', async (t) => {
    const { cluster, ref, map, put, found } = await opened(t);
    const first = await put(map({ a: '1' }));
    await cluster.remove({ ...ref, ...read(first) }, signal());
    const other = await put(map({ a: 'other' }));
    const { uid = '' } = first.metadata;
    const { resourceVersion = '' } = other.metadata;
    for (const guard of [read(first), { uid, resourceVersion }]) {
      assert.equal((await cluster.apply(map({ a: '2' }, guard), signal())).outcome, 'conflict');
      const patched = await cluster.patch({ ...ref, ...guard }, { data: { a: '2' } }, signal());
      assert.equal(patched.outcome, 'conflict');
    }
    assert.equal(await cluster.remove({ ...ref, uid }, signal()), 'conflict');
    assert.deepEqual(await found(), other);
  });

  it('patches only the given fields, and only the version that was read', async (t) => {
    const { cluster, ref, map, put, found } = await opened(t);
    const first = await put(map({ a: '1', b: '2' }));
    const patch = { metadata: { annotations: { seen: 'yes' } }, data: { b: null, c: '3' } };
    const second = applied(await cluster.patch({ ...ref, ...read(first) }, patch, signal()));
    assert.deepEqual(second.data, { a: '1', c: '3' });
    assert.deepEqual(second.metadata.annotations, { seen: 'yes' });
    const stale = await cluster.patch({ ...ref, ...read(first) }, { data: { a: '9' } }, signal());
    assert.equal(stale.outcome, 'conflict');
    assert.deepEqual(await found(), second);
  });

  it('lists by namespace and by every label that is asked for', async (t) => {
    const { cluster, namespace, ref, put } = await opened(t);
    const other = await opened(t);
    const run = randomUUID();
    for (const [where, name, colour] of [
      [namespace, 'one', 'red'],
      [namespace, 'two', 'blue'],
      [other.namespace, 'three', 'red'],
    ] as const) {
      const labels = { 'knada.io/run': run, 'knada.io/colour': colour };
      await put({ apiVersion: 'v1', kind: 'ConfigMap', metadata: { name, namespace: where, labels } });
    }
    const names = async (query: { namespace?: string; labels: Record<string, string> }) =>
      (await cluster.list({ apiVersion: 'v1', kind: 'ConfigMap', ...query }, signal()))
        .map((each) => each.metadata.name)
        .sort();
    assert.deepEqual(await names({ namespace, labels: { 'knada.io/run': run } }), ['one', 'two']);
    assert.deepEqual(await names({ labels: { 'knada.io/run': run } }), ['one', 'three', 'two']);
    assert.deepEqual(await names({ labels: { 'knada.io/run': run, 'knada.io/colour': 'red' } }), [
      'one',
      'three',
    ]);
    assert.deepEqual(await names({ labels: { 'knada.io/run': 'another' } }), []);
    assert.deepEqual(await cluster.list({ ...ref, namespace: 'team-nobody-0000' }, signal()), []);
  });

  it('lists objects that have a label with any value', async (t) => {
    const { cluster, namespace, put } = await opened(t);
    for (const [name, labels] of [
      ['one', { dag_id: 'a', team: 'red' }],
      ['two', { dag_id: '' }],
      ['three', { team: 'red' }],
    ] as const) {
      await put({ apiVersion: 'v1', kind: 'ConfigMap', metadata: { name, namespace, labels } });
    }
    const names = async (query: { labels?: Record<string, string>; withLabels: readonly string[] }) =>
      (await cluster.list({ apiVersion: 'v1', kind: 'ConfigMap', namespace, ...query }, signal()))
        .map((each) => each.metadata.name)
        .sort();
    assert.deepEqual(await names({ withLabels: ['dag_id'] }), ['one', 'two']);
    assert.deepEqual(await names({ withLabels: ['dag_id'], labels: { team: 'red' } }), ['one']);
    assert.deepEqual(await names({ withLabels: ['dag_id', 'run_id'] }), []);
  });

  it('reports whether a kind is served in a version', async (t) => {
    const { cluster } = await opened(t);
    const serves = (apiVersion: string, kind: string) => cluster.serves(apiVersion, kind, signal());
    assert.equal(await serves('networking.k8s.io/v1', 'NetworkPolicy'), true);
    assert.equal(await serves('networking.k8s.io/v1', 'NetworkRule'), false);
    assert.equal(await serves('networking.gke.io/v1alpha1', 'FQDNNetworkPolicy'), false);
    assert.equal(await serves('nobody.example/v1', 'NetworkPolicy'), false);
  });

  it('lists all pages', async (t) => {
    const { cluster, ref, map, put } = await opened(t, { pageSize: 2 });
    const names = ['a', 'b', 'c', 'd', 'e'];
    for (const name of names) await put(map({ name }, {}, name));
    const listed = await cluster.list(ref, signal());
    const ours = listed.filter(({ metadata }) => names.includes(metadata.name));
    assert.deepEqual(ours.map(({ data }) => data?.name).sort(), names);
    assert.equal(new Set(listed.map(({ metadata }) => metadata.name)).size, listed.length);
  });

  it('removes the object that was read, once', async (t) => {
    const { cluster, ref, map, put, found } = await opened(t);
    const { uid } = read(await put(map({ a: '1' })));
    assert.equal(await cluster.remove({ ...ref, uid: randomUUID() }, signal()), 'conflict');
    assert.notEqual(await found(), undefined);
    assert.equal(await cluster.remove({ ...ref, uid }, signal()), 'removed');
    assert.equal(await cluster.remove({ ...ref, uid }, signal()), 'gone');
    assert.equal(await found(), undefined);
  });

  it('does not create an object in a namespace that is absent or terminating', async (t) => {
    const { cluster, server, namespace, map } = await opened(t);
    const orphan = await cluster.apply(
      { ...map({}), metadata: { name: 'orphan', namespace: 'team-nobody-0000' } },
      signal(),
    );
    assert.equal(orphan.outcome, 'conflict');
    // A finalizer keeps the namespace Terminating for as long as the test looks at it.
    const claim = {
      apiVersion: 'v1',
      kind: 'ConfigMap',
      metadata: { name: 'held', finalizers: ['test.knada.io/hold'] },
    };
    const path = `/api/v1/namespaces/${namespace}`;
    assert.equal((await server.send('POST', `${path}/configmaps`, claim)).code, 201);
    await server.send('DELETE', path);
    const late = await cluster.apply(map({ a: '1' }), signal());
    assert.equal(late.outcome, 'conflict');
    const release = { metadata: { finalizers: null } };
    await server.send('PATCH', `${path}/configmaps/held`, release, 'application/merge-patch+json');
  });

  it('applies, changes and empties custom resources', async (t) => {
    const { server, namespace, put } = await opened(t);
    if ((await server.send('GET', '/apis/helm.toolkit.fluxcd.io/v2')).code !== 200) {
      assert.notEqual(process.env.CI, 'true');
      t.skip('HelmRelease is not installed in this cluster');
      return;
    }
    const release = (spec: object, guard = {}): Manifest => ({
      apiVersion: 'helm.toolkit.fluxcd.io/v2',
      kind: 'HelmRelease',
      metadata: { name: 'jupyterhub', namespace, ...guard },
      spec: {
        interval: '10m',
        chart: {
          spec: { chart: 'jupyterhub', sourceRef: { kind: 'HelmRepository', name: 'jupyterhub' } },
        },
        ...spec,
      },
    });
    const first = await put(release({ values: { hub: { db: 'sqlite', unknownToUs: [1, { deep: null }] } } }));
    assert.equal(first.kind, 'HelmRelease');
    assert.equal(first.metadata.generation, 1);
    const stamped = await put({
      ...release({ values: { hub: { db: 'sqlite', unknownToUs: [1, { deep: null }] } } }, read(first)),
      metadata: { name: 'jupyterhub', namespace, ...read(first), annotations: { 'knada.io/revision': '2' } },
    });
    assert.equal(stamped.metadata.generation, 1);
    assert.deepEqual(stamped.spec, first.spec);
    const emptied = await put(release({ values: { hub: { db: 'sqlite' } } }, read(stamped)));
    assert.equal(emptied.metadata.generation, 2);
    assert.ok(typeof emptied.spec === 'object' && emptied.spec !== null && 'values' in emptied.spec);
    assert.deepEqual(emptied.spec.values, { hub: { db: 'sqlite' } });
  });

  it('returns the server’s reason for refusing a manifest, and writes nothing', async (t) => {
    const { cluster, namespace, ref, map, found } = await opened(t);
    const label = await cluster.apply(
      { ...map({}), metadata: { name: ref.name, namespace, labels: { team: 'not a label!' } } },
      signal(),
    );
    assert.equal(label.outcome, 'refused');
    assert.match(label.message, /not a label!/);
    const field = await cluster.apply({ ...map({}), spec: { replicas: 1 } }, signal());
    assert.equal(field.outcome, 'refused');
    assert.match(field.message, /spec/);
    const key = await cluster.apply(map({ 'not/a/key': '1' }), signal());
    assert.equal(key.outcome, 'refused');
    assert.match(key.message, /not\/a\/key/);
    assert.equal(await found(), undefined);
  });

  it('cannot apply a lower revision, and returns the message of the admission policy', async (t) => {
    const { cluster, server, namespace, ref, put, found } = await opened(t);
    await enforcePolicies(server.send);
    const stamped = (revision: string, object?: Manifest): Manifest => ({
      apiVersion: 'v1',
      kind: 'ConfigMap',
      metadata: {
        name: ref.name,
        namespace,
        labels: { 'app.kubernetes.io/managed-by': 'knada-notebooks' },
        annotations: { 'knada.io/revision': revision },
        ...(object === undefined ? {} : read(object)),
      },
      data: { revision },
    });
    const second = await put(stamped('10', await put(stamped('9'))));
    assert.deepEqual(await cluster.apply(stamped('9', second), signal()), {
      outcome: 'refused',
      message: 'This object is at knada.io/revision 10; it cannot be set to "9".',
    });
    assert.deepEqual(await found(), second);
  });

  it('refuses a kind that it does not know and a name that is a path', async (t) => {
    const { cluster, ref, found } = await opened(t);
    await assert.rejects(cluster.read({ ...ref, kind: 'Node' }, signal()), TypeError);
    await assert.rejects(cluster.read({ ...ref, name: '..' }, signal()), TypeError);
    await assert.rejects(cluster.read({ ...ref, name: 'a/b' }, signal()), TypeError);
    await assert.rejects(cluster.read({ ...ref, namespace: '../kube-system' }, signal()), TypeError);
    await assert.rejects(
      cluster.read({ apiVersion: 'v1', kind: 'ConfigMap', name: 'a' }, signal()),
      TypeError,
    );
    assert.equal(await found(), undefined);
  });
};
