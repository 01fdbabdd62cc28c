import assert from 'node:assert/strict';
import { it } from 'node:test';
import { isWrite, recorded, spoken } from '../../support/intercepted.ts';
import {
  aHome,
  aPod,
  aWorld,
  conditionOf,
  eventually,
  type Kubernetes,
  pathOf,
  versions,
  type World,
} from '../../support/world.ts';

const finalizers = ['finalizers.fluxcd.io'];

const gone = (world: World) =>
  eventually(
    async () => (await world.look()) === undefined && (await world.store.team(world.slug)) === undefined,
  );

/** How a notebook and a team go away; to be called inside a `describe` that names the API server. */
export const teardown = (open: () => Kubernetes): void => {
  it('deletes a notebook from its servers to its profiles, and waits for Flux in between', async (t) => {
    const world = await aWorld(t, open());
    const { id } = await world.ordered();
    await world.put('Pod', aPod('jupyter-kari', { component: 'singleuser-server' }));
    await world.put('Pod', aPod('worker-1', { dag_id: 'nightly' }));
    await world.put('PersistentVolumeClaim', aHome('claim-kari', id));
    await world.edit('HelmRelease', 'jupyterhub', { metadata: { finalizers } });
    await world.deleteNotebook();

    const first = recorded(world.cluster);
    const waiting = await world.look(first.cluster);
    assert.deepEqual(first.calls.filter(isWrite).map(spoken), [
      'remove Pod jupyter-kari',
      'remove HelmRelease jupyterhub',
    ]);
    assert.equal(waiting?.status.phase, 'Deleting');
    assert.partialDeepStrictEqual(conditionOf(waiting, 'Applied'), { status: 'Unknown', reason: 'Deleting' });
    assert.match(conditionOf(waiting, 'Applied')?.message ?? '', /the hub/);
    const meanwhile = await world.objects();
    assert.ok(meanwhile.has('NetworkPolicy notebook-egress-open'));
    await world.look();
    assert.deepEqual(versions(await world.objects()), versions(meanwhile), 'it waits without writing');

    await world.edit('HelmRelease', 'jupyterhub', { metadata: { finalizers: null } });
    const second = recorded(world.cluster);
    const team = await world.look(second.cluster);
    assert.deepEqual(
      second.calls.filter(({ verb }) => verb === 'remove').map(spoken),
      ['NetworkPolicy notebook-egress-open', 'Secret notebook-hub', 'ConfigMap notebook-profiles'].map(
        (name) => `remove ${name}`,
      ),
    );
    assert.deepEqual([...(await world.objects()).keys()].sort(), [
      `Namespace team-${id}`,
      'PersistentVolumeClaim claim-kari',
      'Pod worker-1',
      `ServiceAccount ${id}`,
    ]);
    assert.equal(team?.notebook, null);
    assert.equal(team?.release, null);
    assert.equal(team?.status.phase, 'Ready');
  });

  it('removes homes if requested, and no other volume', async (t) => {
    const world = await aWorld(t, open());
    const { id } = await world.ordered();
    await world.put('PersistentVolumeClaim', aHome('claim-kari', id));
    await world.put('PersistentVolumeClaim', {
      ...aHome('models', id),
      metadata: { name: 'models', labels: { app: 'theirs' } },
    });
    world.pass(3600 * 24 * 365 * 10);
    await world.deleteNotebook(true);
    await eventually(async () => (await world.look())?.notebook === null);
    assert.equal(await world.raw('PersistentVolumeClaim', 'claim-kari'), undefined);
    assert.notEqual(await world.raw('PersistentVolumeClaim', 'models'), undefined);
  });

  it('keeps home volumes created after the request to delete them', async (t) => {
    const world = await aWorld(t, open());
    // The world’s clock stands long before the cluster’s: whatever is made in the cluster is made later.
    world.pass(-3600 * 24 * 365 * 10);
    const { id } = await world.ordered();
    await world.deleteNotebook(true);
    await world.put('PersistentVolumeClaim', aHome('claim-kari', id));
    await eventually(async () => (await world.look())?.notebook === null);
    assert.notEqual(await world.raw('PersistentVolumeClaim', 'claim-kari'), undefined);
  });

  it('continues the revision count when a notebook is ordered again', async (t) => {
    const world = await aWorld(t, open());
    await world.ordered();
    await world.deleteNotebook();
    await eventually(async () => (await world.look())?.notebook === null);
    const { notebookRevision, generation } = await world.order({ pip: { userInstallByDefault: true } });
    assert.deepEqual([notebookRevision, generation], [3, 5]);
    const team = await world.look();
    assert.equal(conditionOf(team, 'Applied')?.status, 'True');
    const release = await world.raw('HelmRelease', 'jupyterhub');
    assert.equal(release?.metadata.annotations?.['knada.io/revision'], '5');
  });

  it('deletes a whole team with its namespace and record, and keeps its id reserved', async (t) => {
    const world = await aWorld(t, open());
    const { id } = await world.ordered();
    await world.deleteTeam();
    const deleting = await world.look();
    if (deleting !== undefined) assert.equal(deleting.status.phase, 'Deleting');
    await gone(world);
    assert.equal(await world.raw('Namespace', `team-${id}`, `team-${id}`), undefined);
    assert.equal(await world.store.isTombstone(id), true);
    assert.ok(world.events.some(({ event }) => event === 'team deleted'));
  });

  it('deletes a team that has no objects', async (t) => {
    const world = await aWorld(t, open());
    await world.create();
    await world.deleteTeam();
    assert.equal(await world.look(), undefined);
    assert.equal(await world.store.team(world.slug), undefined);
  });

  it('stops at foreign objects, names them, and continues once they are removed', async (t) => {
    const world = await aWorld(t, open());
    const { id } = await world.ordered();
    await world.put('ConfigMap', { metadata: { name: 'their-settings' } });
    await world.put('PersistentVolumeClaim', {
      ...aHome('models', id),
      metadata: { name: 'models', labels: { app: 'theirs' } },
    });
    await world.deleteTeam(true);
    const blocked = await eventually(async () => {
      const team = await world.look();
      return conditionOf(team, 'Applied')?.status === 'False' && team;
    });
    assert.equal(blocked.status.phase, 'Deleting');
    assert.equal(conditionOf(blocked, 'Applied')?.reason, 'ForeignContent');
    const message = conditionOf(blocked, 'Applied')?.message ?? '';
    assert.match(message, /PersistentVolumeClaim models, ConfigMap their-settings\./);
    assert.equal(Date.parse(blocked.reconcile.dueAt) - world.clock.now(), 60_000);
    const kept = await world.objects();
    assert.deepEqual([...kept.keys()].sort(), [
      'ConfigMap their-settings',
      `Namespace team-${id}`,
      'PersistentVolumeClaim models',
      `ServiceAccount ${id}`,
    ]);
    await world.look();
    assert.deepEqual(versions(await world.objects()), versions(kept));

    await world.delete('ConfigMap', 'their-settings');
    assert.equal(conditionOf(await world.look(), 'Applied')?.reason, 'ForeignContent');
    await world.delete('PersistentVolumeClaim', 'models');
    await gone(world);
    assert.equal(await world.raw('Namespace', `team-${id}`, `team-${id}`), undefined);
  });

  it('keeps a namespace with a home volume that was not requested to be deleted', async (t) => {
    const world = await aWorld(t, open());
    const { id } = await world.ordered();
    await world.deleteTeam(false);
    // Made after the request was checked: KubeSpawner puts the team’s own labels on it.
    await world.put('PersistentVolumeClaim', aHome('claim-kari', id));
    const blocked = await eventually(async () => {
      const team = await world.look();
      assert.notEqual(team, undefined, 'the team went, and the home with it');
      return conditionOf(team, 'Applied')?.status === 'False' && team;
    });
    assert.equal(conditionOf(blocked, 'Applied')?.reason, 'ForeignContent');
    assert.match(conditionOf(blocked, 'Applied')?.message ?? '', /PersistentVolumeClaim claim-kari/);
    const home = await world.raw('PersistentVolumeClaim', 'claim-kari');
    assert.equal(home?.metadata.deletionTimestamp, undefined);

    world.pass(3600 * 24 * 365 * 10);
    await world.deleteTeam(true);
    await gone(world);
  });

  it('leaves a namespace alone that is no longer the team’s', async (t) => {
    const world = await aWorld(t, open());
    const { id } = await world.ordered();
    await world.edit('Namespace', `team-${id}`, {
      metadata: { labels: { 'knada.io/team-id': 'another-0000' } },
    });
    const before = await world.objects();
    await world.deleteTeam();
    const blocked = await world.look();
    assert.partialDeepStrictEqual(conditionOf(blocked, 'Applied'), { status: 'False', reason: 'Conflict' });
    assert.deepEqual(versions(await world.objects()), versions(before));
  });

  it('finishes the deletion of a team whose namespace is already deleted', async (t) => {
    const world = await aWorld(t, open());
    const { id } = await world.ordered();
    await world.send('DELETE', pathOf(`team-${id}`, 'Namespace'));
    await world.deleteTeam();
    await gone(world);
    assert.equal(await world.store.isTombstone(id), true);
  });

  it('deletes a team’s namespace together with the platform’s own objects', async (t) => {
    const world = await aWorld(t, open());
    await world.ordered();
    const named = (kind: string, name: string) => ({ apiVersion: 'v1', kind, metadata: { name } });
    await world.put('Secret', named('Secret', 'hub-login'));
    await world.put('ConfigMap', named('ConfigMap', 'istio-ca-root-cert'));
    await world.put('Secret', named('Secret', 'of-the-team'));
    await world.deleteTeam();
    const blocked = await eventually(async () => {
      const team = await world.look();
      return conditionOf(team, 'Applied')?.reason === 'ForeignContent' && team;
    });
    const message = conditionOf(blocked, 'Applied')?.message ?? '';
    assert.match(message, /Secret of-the-team/);
    assert.doesNotMatch(message, /hub-login|istio/);
    await world.delete('Secret', 'of-the-team');
    await gone(world);
  });
};
