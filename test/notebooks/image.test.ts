import assert from 'node:assert/strict';
import { after, before, describe, it } from 'node:test';
import { buildImage } from '@knada/simulators/registries/image.ts';
import { type Answer, assertProblem, kari } from '../support/api.ts';
import { openWithRegistries } from '../support/registries.ts';

const repository = 'navikt/team-notebook';
const newestTag = '20261115-090000-5d6e7f8';
const olderTag = '20261101-090000-1a2b3c4';
const image = `ghcr.io/${repository}:${newestTag}`;
const moving = `ghcr.io/${repository}:main`;

let world: Awaited<ReturnType<typeof openWithRegistries>>;
before(async () => {
  world = await openWithRegistries();
  await world.refresh();
});
after(() => world.close());

const asKari = () => world.asPerson(kari);
const digestOf = (tag: string) => world.simulator.digest(repository, tag);
const imageOf = (answer: Answer) => answer.json().status.image;

/** A team with a notebook ordered; the notebook’s path. */
const ordered = async (order: object): Promise<string> => {
  const path = `${await world.newTeam()}/notebook`;
  const answer = await asKari().put(path, order);
  assert.equal(answer.statusCode, 201, answer.body);
  return path;
};

/** Points `main` to a new build; its digest. */
let builds = 0;
const moveMain = (): string => {
  builds += 1;
  const built = buildImage({
    platforms: ['linux/amd64'],
    created: '2026-11-20T09:00:00.000Z',
    text: `build ${builds}`,
  });
  return world.simulator.push(repository, built, { tag: 'main' });
};

/** The images of the team’s profiles by slug, out of the objects that are applied. */
const profilesOf = async (path: string): Promise<Readonly<Record<string, string>>> => {
  const { items } = (await asKari().get(`${path}/manifests`)).json();
  const { data } = items.find(
    (item: { kind: string; metadata: { name: string } }) =>
      item.kind === 'ConfigMap' && item.metadata.name === 'notebook-profiles',
  );
  const profiles = Object.values(data).flatMap((text) => {
    const parsed: unknown = JSON.parse(String(text));
    return Array.isArray(parsed) ? parsed : [];
  });
  return Object.fromEntries(profiles.map((each) => [each.slug, each.kubespawner_override.image]));
};

describe('a team’s own image', () => {
  it('an ordered image is pinned to the digest of its tag', async () => {
    const path = await ordered({ image });
    const pinned = {
      reference: image,
      digest: digestOf(newestTag),
      resolvedAt: world.now(),
      newerDigest: null,
    };
    assert.deepEqual(imageOf(await asKari().get(path)), pinned);
  });

  it('is in the profiles by digest, beside the standard environments, also pinned', async () => {
    const profiles = await profilesOf(await ordered({ image }));
    const standard = (tag: string) =>
      `ghcr.io/navikt/knada-images/jupyter:${tag}@${world.simulator.digest('navikt/knada-images/jupyter', tag)}`;
    assert.deepEqual(profiles, {
      'own-image': `${image}@${digestOf(newestTag)}`,
      'python-3-13': standard('20261123-040000-3.13'),
      'python-3-12': standard('20260810-060000-3.12'),
      'python-3-11': standard('20251124-120000-3.11'),
    });
  });

  it('is stored, pinned and planned in canonical form, in any spelling of the order', async () => {
    const written = image.replace('ghcr.io', 'GHCR.io');
    const path = await ordered({ image: written });
    const answer = await asKari().get(path);
    assert.equal(answer.json().spec.image, image);
    assert.equal(imageOf(answer).reference, image);
    assert.equal((await profilesOf(path))['own-image'], `${image}@${digestOf(newestTag)}`);
    for (const again of [written, image, image.replace('ghcr.io', 'Ghcr.IO')]) {
      const change = { image: again };
      assert.deepEqual((await asKari().post(`${path}/plan`, change)).json().changes, []);
      const before = await world.everything();
      assert.equal((await asKari().patch(path, change)).statusCode, 200);
      assert.equal((await asKari().put(path, change)).statusCode, 200);
      assert.deepEqual(await world.everything(), before);
    }
    const [entry] = (await asKari().get(`${path.replace('/notebook', '')}/history?limit=1`)).json().items;
    assert.equal(entry.spec.image, image);
  });

  for (const around of ['\n', ' ', '\t', '\u00a0', '\r\n', '\ufeff']) {
    it(`is never stored with ${JSON.stringify(around)} around it`, async () => {
      const path = `${await world.newTeam()}/notebook`;
      const answer = await asKari().put(path, { image: `${around}${image}${around}` });
      if (answer.statusCode === 201) assert.equal(answer.json().spec.image, image);
      else assertProblem(answer, 'image_invalid');
    });
  }

  it('keeps its digest and gets its canonical form if an earlier version stored another spelling', async () => {
    const path = await ordered({ image: moving });
    const slug = path.split('/')[3] ?? '';
    const stored = moving.replace('ghcr.io', 'GHCR.io');
    const { digest } = imageOf(await asKari().get(path));
    await world.store.change(slug, ({ notebook, ...team }) => {
      assert.ok(notebook?.image);
      const image = { ...notebook.image, reference: stored };
      return {
        next: { ...team, notebook: { ...notebook, spec: { ...notebook.spec, image: stored }, image } },
      };
    });
    moveMain();
    const answer = await asKari().patch(path, { culling: { timeoutSeconds: 7200 } });
    assert.equal(answer.json().spec.image, moving);
    assert.partialDeepStrictEqual(imageOf(answer), { reference: moving, digest });
  });

  it('is removed by null, and the standard environments stay', async () => {
    const path = await ordered({ image });
    const answer = await asKari().patch(path, { image: null });
    assert.deepEqual([answer.json().spec.image, imageOf(answer)], [null, undefined]);
    assert.deepEqual(Object.keys(await profilesOf(path)), ['python-3-13', 'python-3-12', 'python-3-11']);
  });

  it('another ordered image is pinned to its own digest', async () => {
    const path = await ordered({ image });
    const older = `ghcr.io/${repository}:${olderTag}`;
    assert.partialDeepStrictEqual(imageOf(await asKari().patch(path, { image: older })), {
      reference: older,
      digest: digestOf(olderTag),
    });
  });

  it('is resolved by a plan, which writes nothing', async () => {
    const path = await ordered({});
    const answer = await world.writesNothing(() => asKari().post(`${path}/plan?manifests=true`, { image }));
    const { changes, restartsHub, runningServers, manifests } = answer.json();
    assert.deepEqual(changes, [{ pointer: '/image', from: null, to: image, takesEffect: 'next_start' }]);
    assert.deepEqual([restartsHub, runningServers], [false, 'next_start']);
    assert.ok(JSON.stringify(manifests).includes(`${image}@${digestOf(newestTag)}`));
  });

  it('is refused by order, patch and plan if it cannot run, and nothing is written', async () => {
    const path = await ordered({ image });
    const fresh = await world.newTeam();
    for (const [wanted, code] of [
      [`ghcr.io/${repository}:no-such-tag`, 'tag_not_found'],
      ['ghcr.io/navikt/private-notebook:1.0', 'image_not_found_or_private'],
      ['ghcr.io/navikt/broken-notebook:1.0', 'image_broken'],
      ['ghcr.io/navikt/arm-notebook:1.0', 'platform_missing'],
      ['docker.io/library/python:3', 'registry_not_allowed'],
      ['europe-north1-docker.pkg.dev/nais-management-233d/team-a/notebook:1', 'image_not_allowed'],
      ['ghcr.io/navikt/team-notebook', 'tag_required'],
    ] as const) {
      for (const attempt of [
        () => asKari().put(path, { image: wanted }),
        () => asKari().put(`${fresh}/notebook`, { image: wanted }),
        () => asKari().patch(path, { image: wanted }),
        () => asKari().post(`${path}/plan`, { image: wanted }),
      ])
        assertProblem(await world.writesNothing(attempt), code);
    }
  });
});

describe('while the registry is unavailable', () => {
  it('a change of other fields succeeds without a request to the registry', async () => {
    const path = await ordered({ image });
    const requests = await world.requests(() =>
      world.away(async () => {
        const changed = await asKari().patch(path, { resources: { cpu: { limit: 2 } } });
        assert.deepEqual([changed.statusCode, changed.json().spec.resources.cpu.limit], [200, 2]);
        assert.equal(imageOf(changed).digest, digestOf(newestTag));
        const same = await asKari().put(path, { image, culling: { timeoutSeconds: 7200 } });
        assert.equal(same.statusCode, 200, same.body);
        assert.equal((await asKari().patch(path, { image: null })).statusCode, 200);
      }),
    );
    assert.equal(requests, 0);
  });

  it('an order of an image is refused with Retry-After', async () => {
    const path = await ordered({});
    const wanted = 'ghcr.io/navikt/attested-notebook:1.0';
    for (const attempt of [
      () => asKari().put(path, { image: wanted }),
      () => asKari().patch(path, { image: wanted }),
      () => asKari().post(`${path}/plan`, { image: wanted }),
    ]) {
      const answer = await world.away(() => world.writesNothing(attempt));
      assertProblem(answer, 'registry_unavailable');
      assert.match(String(answer.headers['retry-after']), /^[1-9][0-9]*$/);
      assert.match(answer.json().detail, /Nothing was changed/);
    }
    assert.equal((await asKari().patch(path, { image: wanted })).statusCode, 200);
  });
});

describe('a tag that has moved', () => {
  it('a newer digest is used by neither a reconcile nor another change', async () => {
    const path = await ordered({ image: moving });
    const before = imageOf(await asKari().get(path));
    const moved = moveMain();
    assert.deepEqual(imageOf(await asKari().get(path)), before);
    assert.deepEqual(imageOf(await asKari().put(path, { image: moving, pip: {} })), before);
    assert.deepEqual(imageOf(await asKari().patch(path, { storage: { home: '20Gi' } })), before);
    await world.refresh();
    assert.deepEqual(imageOf(await asKari().get(path)), { ...before, newerDigest: moved });
    assert.ok(JSON.stringify(await profilesOf(path)).includes(before.digest), 'it is told, not taken');
  });

  it('is shown with a new ETag, without a history entry, until the tag is back', async () => {
    const path = await ordered({ image: moving });
    const etag = (await asKari().get(path)).headers.etag;
    const pinned = digestOf('main');
    moveMain();
    await world.refresh();
    const told = await asKari().get(path, { 'if-none-match': String(etag) });
    assert.equal(told.statusCode, 200);
    assert.equal((await asKari().get(`${path.replace('/notebook', '')}/history`)).json().items.length, 2);
    world.simulator.moveTag(repository, 'main', pinned);
    await world.refresh();
    assert.equal(imageOf(await asKari().get(path)).newerDigest, null);
  });

  it('refreshImage uses the newer digest, once, with a history entry', async () => {
    const path = await ordered({ image: moving });
    const before = imageOf(await asKari().get(path)).digest;
    const moved = moveMain();
    await world.refresh();
    world.advance(60_000);
    const taken = await asKari().post(`${path}/refresh-image`);
    assert.deepEqual(imageOf(taken), {
      reference: moving,
      digest: moved,
      resolvedAt: world.now(),
      newerDigest: null,
    });
    assert.equal(taken.json().revision, 2);
    assert.equal((await profilesOf(path))['own-image'], `${moving}@${moved}`);
    const [entry] = (await asKari().get(`${path.replace('/notebook', '')}/history`)).json().items;
    assert.partialDeepStrictEqual(entry, {
      action: 'image_refreshed',
      by: kari,
      revision: 2,
      changes: [{ pointer: '/image/digest', from: before, to: moved }],
    });
    const again = await asKari().post(`${path}/refresh-image`);
    assert.deepEqual([again.json().revision, imageOf(again).digest], [2, moved]);
  });

  it('refreshImage is refused while the registry is unavailable, without an image, or if it cannot run', async () => {
    const path = await ordered({ image: moving });
    assertProblem(
      await world.away(() => world.writesNothing(() => asKari().post(`${path}/refresh-image`))),
      'registry_unavailable',
    );
    const arm = buildImage({ platforms: ['linux/arm64'], created: null, text: 'arm only' });
    const pinned = digestOf('main');
    world.simulator.push(repository, arm, { tag: 'main' });
    assertProblem(
      await world.writesNothing(() => asKari().post(`${path}/refresh-image`)),
      'platform_missing',
    );
    world.simulator.moveTag(repository, 'main', pinned);
    const without = await ordered({});
    assertProblem(await world.writesNothing(() => asKari().post(`${without}/refresh-image`)), 'not_found');
    assertProblem(await world.asPerson('ola@nav.no').post(`${path}/refresh-image`), 'not_found');
  });
});
