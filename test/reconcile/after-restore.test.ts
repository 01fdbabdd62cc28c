import assert from 'node:assert/strict';
import { describe, it, type TestContext } from 'node:test';
import { openSqliteStore } from '../../src/adapters/sqlite.ts';
import type { Manifest } from '../../src/ports/cluster.ts';
import { raiseAboveCluster } from '../../src/reconcile/after-restore.ts';
import { aMoment, aNaming, anEvent, aRecord } from '../support/records.ts';

const object = (kind: string, id: string, revision: string | undefined): Manifest => ({
  apiVersion: 'v1',
  kind,
  metadata: {
    name: kind === 'Namespace' ? `team-${id}` : id,
    ...(kind === 'Namespace' ? {} : { namespace: `team-${id}` }),
    labels: { 'knada.io/team-id': id },
    ...(revision === undefined ? {} : { annotations: { 'knada.io/revision': revision } }),
  },
});

const restored = async (t: TestContext, objects: readonly Manifest[]) => {
  const store = openSqliteStore({ file: ':memory:', naming: aNaming });
  t.after(() => store.close());
  const reconcile = { dueAt: '2027-01-01T00:00:00.000Z', failures: 3 };
  for (const slug of ['team-a', 'team-b', 'team-c'])
    await store.create(aRecord({ slug, id: `${slug}-3f9c`, generation: 5, reconcile }), anEvent());
  const warned: string[] = [];
  const run = () =>
    raiseAboveCluster({
      store,
      clock: { now: () => Date.parse(aMoment) },
      log: { info: () => {}, error: () => {}, warn: (_fields, event) => void warned.push(event) },
      cluster: {
        list: async ({ kind }) => objects.filter((one) => one.kind === kind),
        read: async ({ name, kind }) =>
          objects.find((one) => one.kind === kind && one.metadata.name === name),
      },
    });
  return { store, run, warned };
};

describe('after a restore', () => {
  it('raises the revision of a team above the cluster’s, makes the team due, and repeats nothing', async (t) => {
    const { store, run, warned } = await restored(t, [
      object('ServiceAccount', 'team-a-3f9c', '7'),
      object('HelmRelease', 'team-a-3f9c', '9'),
      object('ServiceAccount', 'team-b-3f9c', '5'),
      object('NetworkPolicy', 'team-c-3f9c', '4'),
    ]);
    assert.deepEqual(await run(), { raised: [{ slug: 'team-a', from: 5, to: 10 }], unknown: [] });
    const team = await store.team('team-a');
    assert.equal(team?.generation, 10);
    assert.deepEqual(team?.reconcile, { dueAt: aMoment, failures: 0 });
    assert.equal((await store.team('team-b'))?.generation, 5);
    assert.equal((await store.team('team-c'))?.generation, 5);
    assert.deepEqual(await run(), { raised: [], unknown: [] });
    assert.deepEqual(warned, ['revision raised above the cluster']);
  });

  it('includes the namespace, which is stamped before its content', async (t) => {
    const { run } = await restored(t, [object('Namespace', 'team-b-3f9c', '6')]);
    assert.deepEqual((await run()).raised, [{ slug: 'team-b', from: 5, to: 7 }]);
  });

  it('names the namespaces of unknown teams, and leaves them alone', async (t) => {
    const { run } = await restored(t, [
      object('ServiceAccount', 'team-x-0000', '3'),
      object('HelmRelease', 'team-x-0000', '3'),
    ]);
    assert.deepEqual(await run(), { raised: [], unknown: ['team-team-x-0000'] });
  });

  it('treats a missing or mangled revision as none', async (t) => {
    const { run } = await restored(t, [
      object('ServiceAccount', 'team-a-3f9c', undefined),
      object('HelmRelease', 'team-a-3f9c', 'ninety'),
      object('NetworkPolicy', 'team-a-3f9c', '1e400'),
    ]);
    assert.deepEqual(await run(), { raised: [], unknown: [] });
  });
});
