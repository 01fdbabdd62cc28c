import assert from 'node:assert/strict';
import { it, type TestContext } from 'node:test';
import type { Cluster } from '../../../src/ports/cluster.ts';
import { Unavailable } from '../../../src/ports/unavailable.ts';
import { intercepted, type Moments, recorded } from '../../support/intercepted.ts';
import {
  aPod,
  aWorld,
  conditionOf,
  contents,
  eventually,
  type Kubernetes,
  type World,
} from '../../support/world.ts';

/** A cluster that is unavailable from one call on: it drops the request, or executes it and drops the answer. */
const away: Readonly<Record<string, (cluster: Cluster, from: number) => Cluster>> = {
  'does not answer': (cluster, from) => {
    let calls = 0;
    return intercepted(cluster, { before: () => goneAfter(calls++ >= from) });
  },
  'loses its answers': (cluster, from) => {
    let calls = 0;
    return intercepted(cluster, { after: () => goneAfter(calls++ >= from) });
  },
};

const goneAfter = (isAway: boolean): void => {
  if (isAway) throw new Unavailable('Kubernetes', 'Kubernetes cannot be reached.');
};

interface Situation {
  readonly title: string;
  readonly made: (world: World) => Promise<unknown>;
}

const situations: readonly Situation[] = [
  {
    title: 'applying a first order',
    made: async (world) => {
      await world.create();
      await world.order();
    },
  },
  {
    title: 'changing an order',
    made: async (world) => {
      await world.ordered();
      await world.put('Pod', aPod('hub-1', { component: 'hub' }));
      await world.order({
        allowlist: { enabled: true, hosts: ['pypi.org'] },
        resources: { cpu: { limit: 4 } },
      });
    },
  },
  {
    title: 'deleting a notebook',
    made: async (world) => {
      await world.ordered();
      await world.deleteNotebook(true);
    },
  },
];

const whole = (world: World) =>
  eventually(async () => {
    world.pass(600);
    const team = await world.look();
    return team?.status.appliedGeneration === team?.generation && team;
  });

const namesAside = (world: World, id: string, value: unknown): unknown =>
  JSON.parse(JSON.stringify(value).replaceAll(id, '<id>').replaceAll(world.slug, '<slug>'));

/** What the team’s objects say in the end, with the team’s names taken out. */
const outcome = async (world: World): Promise<unknown> => {
  const { id } = await world.record();
  const objects = [...(await world.objects())].filter(([name]) => name !== 'Pod hub-1');
  const said = Object.entries(contents(new Map(objects))).map(([name, content]) => [
    name,
    name.startsWith('Secret') ? Object.keys(content ?? {}) : content,
  ]);
  return namesAside(world, id, Object.fromEntries(said));
};

const survives = async (
  t: TestContext,
  kubernetes: Kubernetes,
  { made }: Situation,
  through: (cluster: Cluster) => Cluster,
  expected: unknown,
): Promise<void> => {
  const world = await aWorld(t, kubernetes);
  await made(world);
  const before = await world.record();
  const team = await world.look(through(world.cluster));
  assert.partialDeepStrictEqual(conditionOf(team, 'Applied'), {
    status: 'Unknown',
    reason: 'KubernetesUnavailable',
    message: 'Kubernetes cannot be reached.',
  });
  assert.equal(team?.status.appliedGeneration, before.status.appliedGeneration);
  assert.notEqual(team?.status.phase, 'Ready');
  assert.equal(team?.reconcile.failures, 1);
  assert.equal(Date.parse(team?.reconcile.dueAt ?? '') - world.clock.now(), 2_000);
  const completed = await whole(world);
  assert.equal(completed.reconcile.failures, 0);
  assert.deepEqual(await outcome(world), expected);
};

/**
 * The cluster may be away at any moment; to be called inside a `describe` that names the API server. `moments`:
 * from which of a look’s calls on.
 */
export const failures = (open: () => Kubernetes, moments: Moments): void => {
  for (const situation of situations) {
    for (const [title, wrap] of Object.entries(away)) {
      it(`reports it when the cluster ${title} at any moment of ${situation.title}, and completes it later`, async (t) => {
        const smooth = await aWorld(t, open());
        await situation.made(smooth);
        const { cluster, calls } = recorded(smooth.cluster);
        await smooth.look(cluster);
        await whole(smooth);
        const expected = await outcome(smooth);
        await Promise.all(
          moments(calls).map((n) => survives(t, open(), situation, (inner) => wrap(inner, n), expected)),
        );
      });
    }
  }

  it('waits longer from failure to failure, up to five minutes, and forgets them with the first success', async (t) => {
    const world = await aWorld(t, open());
    await world.create();
    await world.order();
    const broken = away['does not answer']?.(world.cluster, 0);
    assert.ok(broken !== undefined);
    const waits: number[] = [];
    for (let n = 0; n < 10; n++) {
      const team = await world.look(broken);
      const seconds = (Date.parse(team?.reconcile.dueAt ?? '') - world.clock.now()) / 1000;
      waits.push(seconds);
      world.pass(seconds);
    }
    assert.deepEqual(waits, [2, 4, 8, 16, 32, 64, 128, 256, 300, 300]);
    assert.equal((await world.record()).status.phase, 'Pending');
    const team = await world.look();
    assert.equal(conditionOf(team, 'Applied')?.status, 'True');
    assert.equal(team?.reconcile.failures, 0);
  });

  it('keeps the last known state of a Ready hub as Unknown while the cluster is unavailable', async (t) => {
    const world = await aWorld(t, open());
    await world.create();
    assert.equal((await world.look())?.status.phase, 'Ready');
    const broken = away['does not answer']?.(world.cluster, 0);
    const team = await world.look(broken);
    assert.equal(team?.status.phase, 'Applying');
    assert.equal(team?.status.wasReady, true);
    assert.equal(conditionOf(team, 'Applied')?.status, 'Unknown');
    assert.equal((await world.look())?.status.phase, 'Ready');
  });

  it('does not throw for an unexpected error, and does not show it to clients', async (t) => {
    const world = await aWorld(t, open());
    await world.create();
    const team = await world.look(
      intercepted(world.cluster, {
        before: () => {
          throw new TypeError('secret inner workings');
        },
      }),
    );
    assert.partialDeepStrictEqual(conditionOf(team, 'Applied'), {
      status: 'Unknown',
      reason: 'InternalError',
    });
    assert.doesNotMatch(JSON.stringify(team), /secret inner workings/);
    assert.ok(world.events.some(({ event }) => event === 'reconcile failed'));
  });
};
