import assert from 'node:assert/strict';
import { it } from 'node:test';
import { raiseAboveCluster } from '../../../src/reconcile/after-restore.ts';
import {
  aWorld,
  conditionOf,
  eventually,
  type Kubernetes,
  versions,
  type World,
} from '../../support/world.ts';

const restricted = { allowlist: { enabled: true, hosts: ['pypi.org'] } };

/** Takes the database back to what it was before the last orders. */
const restored = async (world: World) => {
  const backup = await world.ordered();
  await world.order(restricted);
  await world.look();
  await world.order({ ...restricted, culling: { timeoutSeconds: 7200 } });
  await world.look();
  await world.change(() => ({ next: backup }));
  return backup;
};

const runTheStep = ({ store, cluster, clock }: World, slug: string) => {
  const log = { info: () => {}, warn: () => {}, error: () => {} };
  const own: Pick<World['store'], 'teams' | 'change'> = {
    change: (...args) => store.change(...args),
    teams: async (query) => {
      const page = await store.teams(query);
      return { ...page, items: page.items.filter((team) => team.slug === slug) };
    },
  };
  return raiseAboveCluster({ store: own, cluster, clock, log });
};

/** What becomes of a team whose database was restored; to be called inside a `describe` that names the API server. */
export const restore = (open: () => Kubernetes): void => {
  it('reports a database older than the cluster in a condition and in the log, and writes nothing', async (t) => {
    const world = await aWorld(t, open());
    await restored(world);
    const before = versions(await world.objects());
    const team = await world.look();
    const applied = conditionOf(team, 'Applied');
    assert.partialDeepStrictEqual(applied, { status: 'False', reason: 'StoreBehindCluster' });
    assert.match(applied?.message ?? '', /restored from a backup/);
    assert.ok(world.events.some(({ event }) => event === 'store is behind the cluster'));
    assert.deepEqual(versions(await world.objects()), before);
    const wait = Date.parse(team?.reconcile.dueAt ?? '') - world.clock.now();
    assert.ok(wait > 0 && wait <= 60_000, `looked at again in ${wait} ms`);
  });

  it('makes the restored database the truth again after the operator’s step', async (t) => {
    const world = await aWorld(t, open());
    await restored(world);
    await world.look();
    const { raised } = await runTheStep(world, world.slug);
    assert.deepEqual(
      raised.map(({ slug }) => slug),
      [world.slug],
    );
    const team = await world.look();
    assert.equal(conditionOf(team, 'Applied')?.status, 'True');
    const policies = (await world.list('NetworkPolicy', await world.namespace())).map(
      ({ metadata }) => metadata.name,
    );
    assert.deepEqual(policies, ['notebook-egress-open'], 'the backup had not opted in');
    assert.deepEqual((await runTheStep(world, world.slug)).raised, []);
  });

  it('reports it for a team that is being deleted, and deletes the team after the operator’s step', async (t) => {
    const world = await aWorld(t, open());
    await restored(world);
    await world.deleteTeam();
    const team = await world.look();
    assert.equal(team?.status.phase, 'Deleting');
    assert.equal(conditionOf(team, 'Applied')?.reason, 'StoreBehindCluster');
    await runTheStep(world, world.slug);
    await eventually(async () => (await world.look()) === undefined);
    assert.equal(await world.store.team(world.slug), undefined);
  });
};
