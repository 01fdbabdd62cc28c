import assert from 'node:assert/strict';
import { it, type TestContext } from 'node:test';
import {
  asleepBefore,
  type Call,
  isWrite,
  type Moments,
  recorded,
  spoken,
} from '../../support/intercepted.ts';
import {
  aHome,
  aPod,
  aWorld,
  contents,
  eventually,
  type Kubernetes,
  pathOf,
  type Raw,
  render,
  versions,
  type World,
} from '../../support/world.ts';
import { reports } from './hub-status.ts';

const restricted = { allowlist: { enabled: true, hosts: ['pypi.org'] } };
const tenYears = 10 * 365 * 86_400;
const larger = { resources: { cpu: { limit: 4 } } };

/** What a look is asleep over: it has read the store, and acts on that. */
interface Wish {
  readonly title: string;
  /** Nothing was there before. */
  readonly isFirst?: true;
  /** Up to the wish, which no look has seen yet. */
  readonly made: (world: World) => Promise<unknown>;
}

const wishes: readonly Wish[] = [
  {
    title: 'a first order',
    isFirst: true,
    made: async (world) => {
      await world.create();
      await world.order(restricted);
    },
  },
  {
    title: 'an order that opts out',
    made: async (world) => {
      await world.ordered(restricted);
      await world.put('Pod', aPod('hub-1', { component: 'hub' }));
      await world.order(larger);
    },
  },
];

/** Another instance’s look, until the cluster is as wished. */
const otherInstance = (world: World) =>
  eventually(async () => {
    const team = await world.look();
    return (
      team === undefined || (team.status.appliedGeneration === team.generation && team.deletion === null)
    );
  });

/** Flux takes the hub’s pod away with its release. */
const withoutHub = async (world: World): Promise<void> => {
  if ((await world.raw('Pod', 'hub-1')) !== undefined) await world.delete('Pod', 'hub-1');
};

/** A new team of the same slug, with as many wishes as the old one had: only their ids tell the two apart. */
const successor = async (world: World, generation: number): Promise<void> => {
  await world.create();
  await world.order(restricted);
  while ((await world.record()).generation < generation) await world.retry(false);
  assert.equal((await world.record()).generation, generation);
  await otherInstance(world);
  // In a better state than the old one, so a record of the old one would be visible.
  await world.report(reports.ready);
  assert.equal((await world.look())?.status.phase, 'Ready');
};

/** What happens while it sleeps; another instance sees to it at once. */
const meanwhiles: readonly {
  readonly title: string;
  /** What the sleeper saw is there again, though it is something else. */
  readonly changesBack?: true;
  readonly happens: (world: World) => Promise<unknown>;
}[] = [
  {
    title: 'something newer is ordered and applied',
    happens: async (world) => {
      await world.order({ ...restricted, resources: { cpu: { limit: 8 } } });
      await otherInstance(world);
    },
  },
  {
    title: 'it is ordered back and forth, so the newest order equals an old one',
    changesBack: true,
    happens: async (world) => {
      const { notebook } = await world.record();
      assert.ok(notebook !== null);
      await world.order({ culling: { timeoutSeconds: 900 } });
      await otherInstance(world);
      await world.place(notebook.spec);
      await otherInstance(world);
    },
  },
  {
    title: 'the notebook is deleted',
    happens: async (world) => {
      await world.deleteNotebook();
      await withoutHub(world);
      await otherInstance(world);
      assert.equal((await world.record()).notebook, null);
    },
  },
  {
    title: 'the notebook is deleted and ordered again',
    changesBack: true,
    happens: async (world) => {
      await world.deleteNotebook();
      await withoutHub(world);
      await otherInstance(world);
      await world.order(restricted);
      await otherInstance(world);
    },
  },
  {
    title: 'the team is deleted and its slug used again',
    happens: async (world) => {
      const { generation } = await world.record();
      await world.deleteTeam();
      await withoutHub(world);
      await otherInstance(world);
      await successor(world, generation);
    },
  },
];

const napsOf = async (world: World, moments: Moments): Promise<readonly number[]> => {
  const { cluster, calls } = recorded(world.cluster);
  await world.look(cluster);
  return moments(calls);
};

/** What stands, and is not on its way out, in both namespaces of a slug: of the team it was and the one it is. */
const standing = async (world: World, before: string): Promise<ReadonlyMap<string, Raw>> => {
  const namespaces = [...new Set([before, await world.namespace()])];
  const maps = await Promise.all(namespaces.map((name) => world.objects(name)));
  return new Map(
    maps
      .flatMap((objects) => [...objects.values()])
      .filter(({ metadata }) => metadata.deletionTimestamp === undefined)
      // A nudge too many says nothing: it only has the kubelet look again.
      .filter(({ metadata }) => metadata.labels?.component !== 'hub')
      .map((object) => [`${object.kind} ${object.metadata.namespace}/${object.metadata.name}`, object]),
  );
};

/** Sleeps before one call, lets it happen, and wakes; false when the look came to an end before that call. */
const fenced = async (
  t: TestContext,
  kubernetes: Kubernetes,
  index: number,
  { made }: Wish,
  happens: (world: World) => Promise<unknown>,
): Promise<boolean> => {
  const world = await aWorld(t, kubernetes);
  await made(world);
  const before = await world.namespace();
  let call: Call | undefined;
  const sleeper = asleepBefore(world.cluster, (next, n) => {
    if (n === index) call = next;
    return n === index;
  });
  const look = world.look(sleeper.cluster);
  await Promise.race([sleeper.asleep, look]);
  if (call === undefined) return false;
  await happens(world);
  const [objects, record] = [await standing(world, before), await world.record()];
  sleeper.wake();
  await look;
  const at = `asleep before ${spoken(call)}`;
  assert.deepEqual(versions(await standing(world, before)), versions(objects), at);
  assert.deepEqual(await world.record(), record, at);
  return true;
};

/** The same for every call of such a look, each with a team of its own. */
const fencedThroughout = async (
  t: TestContext,
  kubernetes: Kubernetes,
  moments: Moments,
  wish: Wish,
  happens: (world: World) => Promise<unknown>,
): Promise<void> => {
  const rehearsal = await aWorld(t, kubernetes);
  await wish.made(rehearsal);
  const naps = await napsOf(rehearsal, moments);
  const slept = await Promise.all(naps.map((index) => fenced(t, kubernetes, index, wish, happens)));
  // How far a teardown gets in one look depends on how fast the cluster lets go of things.
  assert.ok(slept.filter(Boolean).length >= 2, 'it hardly slept at all');
};

/**
 * An instance that was paused between reading and writing changes nothing that is newer. To be called inside a
 * `describe` that names the API server. `moments`: before which of a look’s calls to pause.
 */
export const fencing = (open: () => Kubernetes, moments: Moments): void => {
  for (const wish of wishes) {
    for (const { title, happens, changesBack } of meanwhiles) {
      if (wish.isFirst && changesBack) continue;
      it(`leaves the newer state alone when it was suspended during ${wish.title} while ${title}`, (t) =>
        fencedThroughout(t, open(), moments, wish, happens));
    }
  }

  it('leaves a notebook alone that was ordered while it was suspended before the teardown of the previous one', async (t) => {
    const deletion: Wish = {
      title: '',
      made: async (world) => {
        const { id } = await world.ordered();
        await world.put('Pod', aPod('jupyter-kari', { component: 'singleuser-server' }));
        await world.put('PersistentVolumeClaim', aHome('claim-kari', id));
        // Asked for later, as the cluster’s clock has it, than anything that this test makes.
        world.pass(tenYears);
        await world.deleteNotebook(true);
      },
    };
    const again = async (world: World) => {
      await otherInstance(world);
      assert.equal((await world.record()).notebook, null);
      const { id } = await world.record();
      await world.order(restricted);
      await world.put('Pod', aPod('jupyter-kari', { component: 'singleuser-server' }));
      await world.put('PersistentVolumeClaim', aHome('claim-kari', id));
      await otherInstance(world);
    };
    await fencedThroughout(t, open(), moments, deletion, again);
  });

  it('leaves a new team alone when it was suspended before the deletion of the previous team of its slug', async (t) => {
    const deletion: Wish = {
      title: '',
      made: async (world) => {
        await world.ordered();
        await world.deleteTeam();
      },
    };
    const again = async (world: World) => {
      const { generation } = await world.record();
      await otherInstance(world);
      await successor(world, generation);
    };
    await fencedThroughout(t, open(), moments, deletion, again);
  });

  it('reads the record again before it creates an object', async (t) => {
    const world = await aWorld(t, open());
    await world.create();
    await world.order();
    const { cluster, calls } = recorded(world.cluster);
    const sleeper = asleepBefore(cluster, ({ verb, kind }) => verb === 'read' && kind === 'HelmRelease');
    const look = world.look(sleeper.cluster);
    await sleeper.asleep;
    await world.deleteNotebook();
    await otherInstance(world);
    sleeper.wake();
    await look;
    assert.deepEqual(calls.filter(isWrite).map(spoken), []);
  });

  it('does not delete an object that it created once a newer instance uses it', async (t) => {
    const world = await aWorld(t, open());
    await world.create();
    await world.order();
    const isHub = ({ kind }: Call) => kind === 'HelmRelease';
    const making = asleepBefore(world.cluster, (call) => call.verb === 'apply' && isHub(call));
    const takingBack = asleepBefore(making.cluster, (call) => call.verb === 'remove' && isHub(call));
    const look = world.look(takingBack.cluster);
    await making.asleep;
    await world.deleteNotebook();
    await otherInstance(world);
    making.wake();
    await takingBack.asleep;
    await world.order();
    await otherInstance(world);
    const namespace = await world.namespace();
    const objects = await standing(world, namespace);
    assert.ok(objects.has(`HelmRelease ${namespace}/jupyterhub`));
    takingBack.wake();
    await look;
    assert.deepEqual(versions(await standing(world, namespace)), versions(objects));
  });

  it('cannot apply an older revision over any object of the product', async (t) => {
    const world = await aWorld(t, open());
    const older = await world.ordered(restricted);
    await world.order(larger);
    await world.look();
    await world.order({ ...larger, ...restricted });
    await world.look();
    const objects = await world.objects();
    for (const manifest of render(older)) {
      const { kind, metadata } = manifest;
      const { code, body } = await world.send(
        'PATCH',
        `${pathOf(await world.namespace(), kind, metadata.name)}?fieldManager=knada-notebooks&force=true`,
        manifest,
        'application/apply-patch+yaml',
      );
      assert.equal(code, 422, `${kind}: ${JSON.stringify(body)}`);
      assert.match(JSON.stringify(body), /it cannot be set to \\?"2\\?"/);
    }
    assert.deepEqual(contents(await world.objects()), contents(objects));
    assert.deepEqual(versions(await world.objects()), versions(objects));
  });
};
