import assert from 'node:assert/strict';
import { it } from 'node:test';
import { type TeamQuota, unlimited } from '../../../src/model/team-quota.ts';
import { patchTeam } from '../../../src/teams/rules.ts';
import { isWrite, recorded, spoken } from '../../support/intercepted.ts';
import {
  aHome,
  aPod,
  aWorld,
  conditionOf,
  eventually,
  type Kubernetes,
  type World,
} from '../../support/world.ts';

const admin = { requester: { email: 'admin@nav.no', isAdmin: true } };
const kind = 'ResourceQuota';
const name = 'notebook-quota';

const hardOf = async (world: World): Promise<unknown> => {
  const found = await world.raw(kind, name);
  return found && (found.spec as { hard?: unknown } | undefined)?.hard;
};

const limit = (world: World, quota: Partial<TeamQuota> | null) =>
  world.change((team) =>
    patchTeam(team, { quota }, { by: 'admin@nav.no', now: new Date(world.clock.now()).toISOString() }, admin),
  );

const written = async (world: World): Promise<readonly string[]> => {
  const { cluster, calls } = recorded(world.cluster);
  await world.look(cluster);
  return calls.filter(isWrite).map(spoken);
};

/** How a team’s quota reaches its namespace; to be called inside a `describe` that names the API server. */
export const quotaOfTheTeam = (open: () => Kubernetes): void => {
  it('applies a quota, writes nothing the second time, follows its changes and removes it', async (t) => {
    const world = await aWorld(t, open());
    const { id } = await world.create();
    await limit(world, { home: '1024Gi', members: 3 });
    assert.deepEqual(await written(world), [
      `apply Namespace team-${id}`,
      `apply ServiceAccount ${id}`,
      'apply ResourceQuota notebook-quota',
    ]);
    assert.deepEqual(await hardOf(world), { 'requests.storage': '1Ti' });
    const applied = await world.raw(kind, name);
    assert.equal(applied?.metadata.labels?.['knada.io/team-id'], id);
    assert.equal(applied?.metadata.annotations?.['knada.io/revision'], '2');
    assert.equal(conditionOf(await world.record(), 'Applied')?.status, 'True');
    assert.deepEqual(await written(world), []);

    await limit(world, { home: '1536Mi', cpu: 1.5, memory: '4Gi' });
    await world.look();
    const hard = { 'requests.cpu': '1500m', 'requests.memory': '4Gi', 'requests.storage': '1536Mi' };
    assert.deepEqual(await hardOf(world), hard);
    assert.deepEqual(await written(world), []);

    await limit(world, { cpu: null });
    await world.look();
    const { 'requests.cpu': _, ...without } = hard;
    assert.deepEqual(await hardOf(world), without);

    await limit(world, null);
    assert.ok((await written(world)).includes('remove ResourceQuota notebook-quota'));
    assert.equal(await world.raw(kind, name), undefined);
    assert.equal(conditionOf(await world.record(), 'Applied')?.status, 'True');
    assert.deepEqual(await written(world), []);
  });

  it('repairs a quota that another user changed, deleted, or added a resource to', async (t) => {
    const world = await aWorld(t, open());
    await world.create();
    await limit(world, { home: '20Gi' });
    await world.look();
    for (const hard of [{ 'requests.storage': '1Gi' }, { pods: '0' }, { 'limits.cpu': '1' }]) {
      await world.edit(kind, name, { spec: { hard } });
      await world.look();
      assert.deepEqual(await hardOf(world), { 'requests.storage': '20Gi' }, JSON.stringify(hard));
    }
    await world.delete(kind, name);
    await world.look();
    assert.deepEqual(await hardOf(world), { 'requests.storage': '20Gi' });
  });

  it('keeps a quota at what notebooks take now at least, and lowers it as they go', async (t) => {
    const world = await aWorld(t, open());
    const { id } = await world.create();
    await world.look();
    const pod = aPod('jupyter-kari', { component: 'singleuser-server', 'knada.io/team-id': id });
    const resources = { requests: { cpu: '3', memory: '6Gi' }, limits: { cpu: '4', memory: '8Gi' } };
    await world.put('Pod', { ...pod, spec: { containers: [{ ...pod.spec.containers[0], resources }] } });
    await world.put('PersistentVolumeClaim', aHome('claim-kari', id));
    await limit(world, { cpu: 2, memory: '4Gi', home: '5Gi' });
    await world.look();
    assert.deepEqual(await hardOf(world), {
      'requests.cpu': '3',
      'requests.memory': '6Gi',
      'requests.storage': '10Gi',
    });
    await world.delete('Pod', 'jupyter-kari');
    await world.look();
    assert.deepEqual(await hardOf(world), {
      'requests.cpu': '2',
      'requests.memory': '4Gi',
      'requests.storage': '10Gi',
    });
  });

  it('leaves another owner’s quota of that name alone, reports it, and applies the hub all the same', async (t) => {
    const world = await aWorld(t, open());
    await world.create();
    await world.look();
    const theirs = await world.put(kind, {
      metadata: { name },
      spec: { hard: { 'requests.storage': '99Gi' } },
    });
    await limit(world, { home: '20Gi' });
    await world.order();
    const blocked = await world.look();
    assert.partialDeepStrictEqual(conditionOf(blocked, 'Applied'), { status: 'False', reason: 'Conflict' });
    assert.match(conditionOf(blocked, 'Applied')?.message ?? '', /ResourceQuota notebook-quota/);
    assert.deepEqual((await world.raw(kind, name))?.spec, theirs.spec);
    assert.notEqual(await world.raw('HelmRelease', 'jupyterhub'), undefined);

    await limit(world, null);
    assert.equal(conditionOf(await world.look(), 'Applied')?.status, 'True');
    assert.deepEqual((await world.raw(kind, name))?.spec, theirs.spec);
    assert.deepEqual((await world.record()).quota, unlimited);
  });

  it('keeps the quota when the notebook is deleted, and deletes it with the team', async (t) => {
    const world = await aWorld(t, open());
    const { id } = await world.ordered();
    await limit(world, { home: '20Gi' });
    await world.look();
    assert.deepEqual(await hardOf(world), { 'requests.storage': '21Gi' }, 'with the hub’s database');
    await world.deleteNotebook();
    await eventually(async () => (await world.look())?.notebook === null);
    await world.look();
    assert.deepEqual(await hardOf(world), { 'requests.storage': '20Gi' });
    await world.deleteTeam();
    await eventually(async () => (await world.look()) === undefined);
    assert.equal(await world.raw(kind, name, `team-${id}`), undefined);
    assert.equal(await world.raw('Namespace', `team-${id}`, `team-${id}`), undefined);
  });
};
