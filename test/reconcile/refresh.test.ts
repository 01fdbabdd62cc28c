import assert from 'node:assert/strict';
import { after, before, describe, it } from 'node:test';
import { type Kubernetes, startKubernetes } from '@knada/simulators/kubernetes/server.ts';
import { buildImage } from '@knada/simulators/registries/image.ts';
import { openCluster } from '../../src/adapters/kubernetes.ts';
import type { Registries } from '../../src/ports/registries.ts';
import { kari } from '../support/api.ts';
import { openWithRegistries } from '../support/registries.ts';

const standard = 'navikt/knada-images/jupyter';
const repository = 'navikt/team-notebook';
const minute = 60_000;

let kubernetes: Kubernetes;
let cluster: ReturnType<typeof openCluster>;
let world: Awaited<ReturnType<typeof openWithRegistries>>;
before(async () => {
  kubernetes = await startKubernetes();
  cluster = openCluster({ kind: 'url', url: kubernetes.url });
  world = await openWithRegistries({ cluster });
  await world.refresh();
});
after(async () => {
  await world.close();
  await cluster.close();
  await kubernetes.close();
});

const slugOf = (path: string) => path.replace('/v1/teams/', '');
const built = (text: string) => buildImage({ platforms: ['linux/amd64'], created: null, text });

/** A team with a notebook ordered and applied; its path. */
const applied = async (order: object = {}): Promise<string> => {
  const path = await world.newTeam();
  assert.equal((await world.asPerson(kari).put(`${path}/notebook`, order)).statusCode, 201);
  await settle();
  return path;
};

/** Looks at every team that is due. */
const settle = async (): Promise<void> => {
  world.advance(1000);
  await world.tick();
};

/** An object of the team as the cluster has it. */
const objectOf = async (path: string, plural: string, name: string) => {
  const { id } = await world.record(path);
  const object = await kubernetes.client('test').get(plural, `team-${id}`, name);
  assert.ok(object, `${plural} ${name}`);
  return object;
};
const profilesOf = (path: string) => objectOf(path, 'configmaps', 'notebook-profiles');
const releaseOf = (path: string) => objectOf(path, 'helmreleases', 'jupyterhub');

/** The slugs that one refresh wrote. */
const writtenBy = async (work: () => Promise<unknown>): Promise<readonly string[]> => {
  const before = world.written.length;
  await work();
  return world.written.slice(before).toSorted();
};

const conditionOf = async (path: string) =>
  (await world.record(path)).status.conditions.find(({ type }) => type === 'ImageResolved');

const withNotebook = async () =>
  (await world.everything()).filter(({ team }) => team.notebook !== null).map(({ team }) => team.slug);

describe('refreshing when the offered environments change', () => {
  it('updates the profiles of every team with a notebook, and leaves the hub’s release unchanged', async () => {
    const paths = [await applied(), await applied({ image: `ghcr.io/${repository}:main` })];
    const without = await world.newTeam();
    const releases = await Promise.all(paths.map(releaseOf));
    const digest = world.simulator.push(standard, built('new environment'), { tag: '20261123-080000-3.13' });

    let changed: boolean | undefined;
    const written = await writtenBy(async () => {
      changed = (await world.refresh()).changed;
    });
    assert.equal(changed, true);
    assert.deepEqual([...written], (await withNotebook()).toSorted());
    assert.ok(!written.includes(slugOf(without)));
    const due = await world.store.due(world.now(), 100);
    for (const path of paths) assert.ok(due.includes(slugOf(path)));

    await settle();
    for (const [i, path] of paths.entries()) {
      assert.ok(JSON.stringify((await profilesOf(path)).data).includes(`20261123-080000-3.13@${digest}`));
      assert.deepEqual(await releaseOf(path), releases[i]);
    }
    for (const { action } of (await world.everything()).flatMap(({ history }) => history)) {
      assert.match(action, /^(team_created|notebook_ordered)$/);
    }
  });

  it('writes no team when they are the same, however often it runs', async () => {
    await applied({ image: `ghcr.io/${repository}:main` });
    const before = await world.everything();
    const profiles = await Promise.all((await withNotebook()).map((slug) => profilesOf(`/v1/teams/${slug}`)));
    const written = await writtenBy(async () => {
      for (let hour = 0; hour < 3; hour += 1) {
        world.advance(60 * minute);
        assert.equal((await world.refresh()).changed, false);
      }
    });
    assert.deepEqual(written, []);
    assert.deepEqual(await world.everything(), before);
    await settle();
    assert.deepEqual(
      await Promise.all((await withNotebook()).map((slug) => profilesOf(`/v1/teams/${slug}`))),
      profiles,
    );
  });

  it('writes no team and removes no environment when every source is unavailable', async () => {
    await applied({ image: `ghcr.io/${repository}:main` });
    const { items } = (await world.store.catalogue()) ?? assert.fail('there is no catalogue');
    const written = await writtenBy(() =>
      world.away(async () => {
        for (let look = 0; look < 3; look += 1) {
          world.advance(20 * minute);
          assert.equal((await world.refresh()).silent.length, 3);
        }
      }),
    );
    assert.deepEqual(written, []);
    assert.deepEqual((await world.store.catalogue())?.items, items);
  });

  it('happens once for two concurrent calls', async () => {
    const path = await applied();
    const before = await world.store.catalogue();
    const digest = world.simulator.push(standard, built('at once'), { tag: '20261123-083000-3.13' });
    const reports = await Promise.all([world.refresh(), world.refresh()]);
    assert.deepEqual(reports.map(({ changed }) => changed).toSorted(), [false, true]);
    const after = await world.store.catalogue();
    assert.equal(after?.revision, (before?.revision ?? 0) + 1);
    assert.equal(after?.items[0]?.digest, digest);
    await settle();
    assert.ok(JSON.stringify((await profilesOf(path)).data).includes(digest));
  });

  it('does not let a slow call overwrite a newer result', async () => {
    const path = await applied();
    const asked = Promise.withResolvers<void>();
    const later = Promise.withResolvers<void>();
    const slow: Registries = {
      ...world.registries,
      tags: async (...question) => {
        const answer = await world.registries.tags(...question);
        asked.resolve();
        await later.promise;
        return answer;
      },
    };
    const first = world.refresh({ registries: slow });
    await asked.promise;
    const digest = world.simulator.push(standard, built('later'), { tag: '20261123-084500-3.13' });
    assert.equal((await world.refresh()).changed, true);
    later.resolve();
    assert.equal((await first).changed, false);
    assert.equal((await world.store.catalogue())?.items[0]?.digest, digest);
    await settle();
    assert.ok(JSON.stringify((await profilesOf(path)).data).includes(digest));
  });

  it('logs which environment is no longer offered', async () => {
    const newest = '20251124-120000-3.11';
    const digest = world.simulator.digest(standard, newest);
    const older = ['20250307-50d82a3-3.11', '20250115-4cd26f3-3.11', '2024-03-20-984c58b-python-3.11'];
    const others = [...older, '2023-07-17-0580d64-3.11'].map((tag) => [
      tag,
      world.simulator.digest(standard, tag),
    ]);
    for (const [tag = ''] of [[newest], ...others]) world.simulator.remove(standard, tag);
    await world.refresh();
    world.advance(10 * minute);
    await world.refresh();
    const losses = world.logged.filter(({ event }) => event === 'environment no longer offered');
    assert.partialDeepStrictEqual(losses, [{ fields: { python: '3.11', reason: 'no_standard_image' } }]);
    for (const [tag = '', one = ''] of [[newest, digest], ...others])
      world.simulator.moveTag(standard, tag, one);
    await world.refresh();
  });
});

describe('refreshing when a team’s own image is deleted', () => {
  const gone = async (): Promise<{ path: string; digest: string }> => {
    const path = `navikt/gone-${world.simulator.requests.length}`;
    const digest = world.simulator.push(path, built(path), { tag: '1.0' });
    world.simulator.setVisibility(path, 'public');
    const team = await applied({ image: `ghcr.io/${path}:1.0` });
    assert.partialDeepStrictEqual(await conditionOf(team), { status: 'True', reason: 'Pinned' });
    world.simulator.remove(path, '1.0');
    world.simulator.remove(path, digest);
    return { path: team, digest };
  };

  it('reports it after two lookups ten minutes apart, and not earlier', async () => {
    const { path } = await gone();
    for (const [minutes, reason] of [
      [0, 'Pinned'],
      [9, 'Pinned'],
      [1, 'ImageGone'],
    ] as const) {
      world.advance(minutes * minute - (minutes === 0 ? 0 : 1000));
      await world.refresh();
      await settle();
      assert.equal((await conditionOf(path))?.reason, reason, `after ${minutes} more minutes`);
    }
    const { status, message } = (await conditionOf(path)) ?? assert.fail();
    assert.equal(status, 'False');
    assert.match(message, /was deleted from its registry/);
    assert.ok(world.logged.some(({ event }) => event === 'image in use was deleted'));
    const shown = (await world.asPerson(kari).get(`${path}/notebook`)).json().status;
    assert.ok(shown.conditions.some(({ reason }: { reason: string }) => reason === 'ImageGone'));
  });

  it('does not report it while the registry does not answer', async () => {
    const { path } = await gone();
    await world.refresh();
    world.advance(20 * minute);
    const written = await writtenBy(() => world.away(() => world.refresh()));
    assert.deepEqual(written, []);
    await settle();
    assert.equal((await conditionOf(path))?.reason, 'Pinned');
  });

  it('starts over if the image was there in between, and withdraws the report when it returns', async () => {
    const { path, digest } = await gone();
    const { reference } = (await world.record(path)).notebook?.image ?? assert.fail();
    const name = reference.replace('ghcr.io/', '').replace(':1.0', '');
    const back = () => world.simulator.push(name, built(name), { tag: '1.0' });
    await world.refresh();
    assert.equal(back(), digest);
    world.advance(9 * minute);
    await world.refresh();
    world.simulator.remove(name, digest);
    world.advance(9 * minute);
    await world.refresh();
    await settle();
    assert.equal((await conditionOf(path))?.reason, 'Pinned');
    world.advance(11 * minute);
    await world.refresh();
    await settle();
    assert.equal((await conditionOf(path))?.reason, 'ImageGone');
    back();
    await world.refresh();
    await settle();
    assert.equal((await conditionOf(path))?.reason, 'Pinned');
    assert.equal((await world.record(path)).notebook?.imageAbsence, undefined);
  });

  it('sends no request for a notebook that is being deleted', async () => {
    const { path } = await gone();
    await world.store.change(slugOf(path), (team) =>
      team.notebook === null
        ? undefined
        : {
            next: {
              ...team,
              deletion: { requestedAt: world.now(), deleteHomes: false, deleteSecret: false },
            },
          },
    );
    const written = await writtenBy(() => world.refresh());
    assert.ok(!written.includes(slugOf(path)));
  });
});
