import assert from 'node:assert/strict';
import { after, before, describe, it } from 'node:test';
import { buildImage } from '@knada/simulators/registries/image.ts';
import { strFromU8, unzipSync } from 'fflate';
import type { ProblemCode } from '../../src/model/problems.ts';
import { type Answer, assertProblem, kari } from '../support/api.ts';
import { openWithRegistries } from '../support/registries.ts';

const gar = 'europe-north1-docker.pkg.dev/nais-management-233d';
const notebook = 'ghcr.io/navikt/team-notebook';
const newestTag = '20261115-090000-5d6e7f8';

let world: Awaited<ReturnType<typeof openWithRegistries>>;
before(async () => {
  world = await openWithRegistries();
  await world.refresh();
});
after(() => world.close());

const asKari = () => world.asPerson(kari);
const slugOf = (path: string) => path.replace('/v1/teams/', '');

const assertSays = (answer: Answer, code: ProblemCode, ...says: readonly RegExp[]) => {
  assertProblem(answer, code);
  for (const sentence of says) assert.match(answer.json().detail, sentence);
};

describe('resolveImage', () => {
  const resolve = (image: string, team?: string) =>
    asKari().post('/v1/images/resolve', { image, ...(team !== undefined && { team }) });

  it('returns the digest of a tag, with two requests when GHCR is cold and one when it is warm', async () => {
    const fresh = await openWithRegistries();
    try {
      const ask = () =>
        fresh.asPerson(kari).post('/v1/images/resolve', { image: `${notebook}:${newestTag}` });
      const first = await ask();
      const { sizeBytes, ...resolved } = first.json();
      assert.deepEqual(resolved, {
        reference: `${notebook}:${newestTag}`,
        digest: fresh.simulator.digest('navikt/team-notebook', newestTag),
        platforms: ['linux/amd64'],
        createdAt: '2026-11-15T09:00:00.000Z',
        warnings: [],
      });
      assert.ok(sizeBytes > 0);
      const methods = fresh.simulator.requests.map(({ method, path }) => `${method} ${path.split('?')[0]}`);
      assert.deepEqual(methods.slice(0, 2), [
        'GET /token',
        `HEAD /v2/navikt/team-notebook/manifests/${newestTag}`,
      ]);
      assert.equal(await fresh.requests(ask), 1);
    } finally {
      await fresh.close();
    }
  });

  it('warns about what is not a reason to refuse the image', async () => {
    const answer = await resolve(`${notebook}:main`);
    assert.deepEqual(
      answer.json().warnings.map(({ code }: { code: string }) => code),
      ['moving_tag'],
    );
  });

  for (const [what, image, code, ...says] of [
    ['what is no reference', 'ghcr.io/navikt/team notebook:1', 'image_invalid'],
    ['a reference without a tag', notebook, 'tag_required'],
    [
      'another registry, and names those that there are',
      'docker.io/jupyter/base-notebook:1',
      'registry_not_allowed',
      /ghcr\.io/,
    ],
    [
      'another owner’s images in GHCR, and names the owner',
      'ghcr.io/evil/notebook:1',
      'image_not_allowed',
      /ghcr\.io\/navikt/,
    ],
    ['Artifact Registry without a team', `${gar}/team-a/notebook:1`, 'image_not_allowed', /garTeam/],
    [
      'a tag that does not exist, and names those near it',
      `${notebook}:20261115-090000-5d6e7f9`,
      'tag_not_found',
      /no tag "20261115-090000-5d6e7f9"/,
      /"20261115-090000-5d6e7f8"/,
    ],
    [
      'a private image, and says how to make it public',
      'ghcr.io/navikt/private-notebook:1.0',
      'image_not_found_or_private',
      /https:\/\/github\.com\/orgs\/navikt\/packages\/container\/private-notebook\/settings/,
    ],
    [
      'an image that does not exist',
      'ghcr.io/navikt/no-such:1.0',
      'image_not_found_or_private',
      /does not exist/,
    ],
    [
      'an image that lost a part, and says what to do',
      'ghcr.io/navikt/broken-notebook:1.0',
      'image_broken',
      /push it again/,
    ],
    [
      'an image for another processor, and says how to build it',
      'ghcr.io/navikt/arm-notebook:1.0',
      'platform_missing',
      /linux\/arm64/,
      /--platform linux\/amd64/,
    ],
  ] as const) {
    it(`refuses ${what}`, async () => assertSays(await resolve(image), code, ...says));
  }

  it('opens no connection for an image that is not allowed', async () => {
    const hostile = [
      'ghcr.io@evil.example/navikt/x:1',
      'evil.example/navikt/x:1',
      '127.0.0.1:8080/navikt/x:1',
      'ghcr.io/navikt/../evil/x:1',
      'ghcr.io/navikt/x:1?y=http://evil.example',
      `${gar}/team-a/notebook:1`,
      'ghcr.io.evil.example/navikt/x:1',
      'ghcr.io/evil/x:1',
    ];
    const { connections } = world.simulator;
    const requests = await world.requests(async () => {
      for (const image of hostile) assert.equal((await resolve(image)).statusCode, 422, image);
    });
    assert.deepEqual([requests, world.simulator.connections], [0, connections]);
  });

  it('allows a team its own images in Artifact Registry, and no other team’s', async () => {
    const path = await world.newTeam({ garTeam: 'team-a' });
    const tag = '2026.11.15-09.00-5d6e7f8';
    const own = await resolve(`${gar}/team-a/notebook:${tag}`, slugOf(path));
    assert.equal(own.json().digest, world.simulator.digest('nais-management-233d/team-a/notebook', tag));
    const other = await resolve(`${gar}/team-b/notebook:2026.11.02-08.00-0f1e2d3`, slugOf(path));
    assertSays(other, 'image_not_allowed', /team-a/);
    const none = await resolve(`${gar}/team-a/notebook:${tag}`, slugOf(await world.newTeam()));
    assertSays(none, 'image_not_allowed', /garTeam/);
  });

  it('answers 404 to a caller outside the team', async () => {
    const path = await world.newTeam({ garTeam: 'team-a' });
    const ola = world.asPerson('ola@nav.no');
    const image = `${gar}/team-a/notebook:2026.11.15-09.00-5d6e7f8`;
    const requests = await world.requests(async () => {
      const stranger = await ola.post('/v1/images/resolve', { image, team: slugOf(path) });
      const missing = await ola.post('/v1/images/resolve', { image, team: 'no-such-team' });
      assertProblem(stranger, 'not_found');
      assertProblem(missing, 'not_found');
      for (const url of [`${path}/images`, `${path}/images/tags?image=${notebook}`])
        assertProblem(await ola.get(url), 'not_found');
    });
    assert.equal(requests, 0);
  });

  it('never reports an image as absent while the registry is unavailable', async () => {
    const answer = await world.away(() => resolve('ghcr.io/navikt/attested-notebook:1.0'));
    assertSays(answer, 'registry_unavailable', /ghcr\.io answered 500\./);
    assert.match(String(answer.headers['retry-after']), /^[1-9][0-9]*$/);
    assert.equal((await resolve('ghcr.io/navikt/attested-notebook:1.0')).statusCode, 200);
  });

  it('returns the Retry-After of the registry', async () => {
    const throttled = await openWithRegistries();
    try {
      throttled.simulator.fault(/./, { status: 429, headers: { 'retry-after': '90' } });
      const order = { image: `${notebook}:${newestTag}` };
      const answer = await throttled.asPerson(kari).post('/v1/images/resolve', order);
      assertSays(answer, 'registry_unavailable', /is rate-limiting requests/);
      assert.equal(answer.headers['retry-after'], '90');
    } finally {
      await throttled.close();
    }
  });
});

describe('listTeamImages', () => {
  it('lists the team’s images in Artifact Registry and its registered GHCR repositories', async () => {
    const path = await world.newTeam({ garTeam: 'team-a', ghcrRepositories: ['team-notebook'] });
    const { items, unknown } = (await asKari().get(`${path}/images`)).json();
    assert.deepEqual(unknown, []);
    assert.deepEqual(
      items.map(({ image, registry }: { image: string; registry: string }) => [registry, image]),
      [
        ['gar', `${gar}/team-a/models/train`],
        ['gar', `${gar}/team-a/notebook`],
        ['ghcr', notebook],
      ],
    );
  });

  it('sends no request for a team without Artifact Registry', async () => {
    const path = await world.newTeam({ ghcrRepositories: ['team-notebook'] });
    const requests = await world.requests(async () => {
      const { items } = (await asKari().get(`${path}/images`)).json();
      assert.deepEqual(items, [{ image: notebook, registry: 'ghcr', updatedAt: null }]);
    });
    assert.equal(requests, 0);
  });

  it('reports what it could not list, and lists the rest', async () => {
    const path = await world.newTeam({ garTeam: 'team-b', ghcrRepositories: ['team-notebook'] });
    const { items, unknown } = (await world.away(() => asKari().get(`${path}/images`))).json();
    assert.equal(items.length, 1);
    assert.equal(unknown.length, 1);
    assert.match(unknown[0], /\.$/);
  });
});

describe('listImageTags', () => {
  interface Tags {
    readonly items: readonly { readonly tag: string }[];
    readonly nextCursor: string | null;
    readonly partial: boolean;
  }
  const page = async (path: string, image: string, query: string): Promise<Tags> => {
    const answer = await asKari().get(`${path}/images/tags?image=${encodeURIComponent(image)}${query}`);
    assert.equal(answer.statusCode, 200, answer.body);
    return answer.json();
  };
  /** Every tag, page by page; `between` happens after the first page. */
  const walk = async (path: string, image: string, between = async () => {}): Promise<readonly string[]> => {
    const seen: string[] = [];
    let cursor = '';
    for (let pages = 0; pages < 20; pages += 1) {
      const { items, nextCursor, partial } = await page(path, image, `&limit=200${cursor}`);
      assert.equal(partial, false);
      seen.push(...items.map(({ tag }) => tag));
      if (nextCursor === null) return seen;
      cursor = `&cursor=${nextCursor}`;
      if (pages === 0) await between();
    }
    return assert.fail('the list has no end');
  };
  const many = 'ghcr.io/navikt/many-tags';
  const all = Array.from({ length: 1100 }, (_, i) => `build-${1100 - i}`);

  it('pages through 1,100 tags, the newest first', async () => {
    assert.deepEqual(await walk(await world.newTeam(), many), all);
  });

  it('shows no tag twice and misses none while newer ones are pushed', async () => {
    const image = buildImage({ platforms: ['linux/amd64'], created: null, text: 'pushed meanwhile' });
    const seen = await walk(await world.newTeam(), many, async () => {
      for (const n of [1101, 1102, 1103])
        world.simulator.push('navikt/many-tags', image, { tag: `build-${n}` });
      // The list that was read is not good any more.
      world.advance(11 * 60_000);
    });
    assert.deepEqual(seen, all);
    for (const n of [1101, 1102, 1103]) world.simulator.remove('navikt/many-tags', `build-${n}`);
    world.advance(11 * 60_000);
  });

  it('continues at its position when the last listed tag was deleted', async () => {
    const digest = world.simulator.digest('navikt/many-tags', 'build-1');
    const seen = await walk(await world.newTeam(), many, async () => {
      world.simulator.remove('navikt/many-tags', 'build-901');
      world.advance(11 * 60_000);
    });
    assert.equal(new Set(seen).size, seen.length, 'a tag was shown twice');
    assert.ok(seen.length >= 1099 && seen.at(-1) === 'build-1', `${seen.length} tags`);
    world.simulator.moveTag('navikt/many-tags', 'build-901', digest);
  });

  it('accepts an image with a tag, and returns digests where the registry has them', async () => {
    const path = await world.newTeam({ garTeam: 'team-a' });
    const { items } = await page(path, `${gar}/team-a/notebook:whatever`, '');
    assert.deepEqual(items[0], {
      tag: '2026.11.15-09.00-5d6e7f8',
      digest: world.simulator.digest('nais-management-233d/team-a/notebook', '2026.11.15-09.00-5d6e7f8'),
      pushedAt: '2026-11-15T09:00:00.000Z',
    });
  });

  it('refuses an image that is not allowed, one that does not exist, and the cursor of another image', async () => {
    const path = await world.newTeam({ garTeam: 'team-a' });
    const ask = (image: string, query = '') => asKari().get(`${path}/images/tags?image=${image}${query}`);
    assertProblem(await ask('docker.io/library/python'), 'registry_not_allowed');
    assertProblem(await ask(`${gar}/team-b/notebook`), 'image_not_allowed');
    assertProblem(await ask('ghcr.io/navikt/no-such'), 'image_not_found_or_private');
    assertProblem(await world.away(() => ask('ghcr.io/navikt/arm-notebook')), 'registry_unavailable');
    const { nextCursor } = await page(path, many, '&limit=1');
    assertProblem(await ask(notebook, `&cursor=${nextCursor}`), 'invalid_cursor');
  });
});

describe('createImageScaffold', () => {
  const order = {
    registry: 'ghcr',
    team: 'team-a',
    name: 'my-notebook',
    python: '3.13',
    requirements: 'pandas==2.3.3\npolars\n',
  } as const;
  const zipped = { accept: 'application/zip' };

  it('builds on the newest standard image of the chosen Python, pinned', async () => {
    const answer = await asKari().post('/v1/images/scaffold', order);
    const { files } = answer.json();
    assert.deepEqual(Object.keys(files), [
      'Dockerfile',
      'requirements.txt',
      '.dockerignore',
      '.github/workflows/image.yaml',
    ]);
    const digest = world.simulator.digest('navikt/knada-images/jupyter', '20261123-040000-3.13');
    assert.ok(files.Dockerfile.includes(`@${digest}`), files.Dockerfile);
    assert.equal(files['requirements.txt'], order.requirements);
  });

  it('returns the same files as a zip, with the same bytes each time', async () => {
    for (const registry of ['ghcr', 'gar']) {
      const wanted = { ...order, registry };
      const { files } = (await asKari().post('/v1/images/scaffold', wanted)).json();
      const answer = await asKari().post('/v1/images/scaffold', wanted, zipped);
      assert.equal(answer.statusCode, 200, answer.body);
      assert.equal(answer.headers['content-type'], 'application/zip');
      assert.equal(answer.headers['content-disposition'], 'attachment; filename="my-notebook.zip"');
      const unzipped = Object.entries(unzipSync(answer.rawPayload)).map(([name, bytes]) => [
        name,
        strFromU8(bytes),
      ]);
      assert.deepEqual(Object.fromEntries(unzipped), files);
      world.advance(60_000);
      const again = await asKari().post('/v1/images/scaffold', wanted, zipped);
      assert.ok(again.rawPayload.equals(answer.rawPayload));
    }
  });

  it('refuses a Python version that is not offered, and names those that are', async () => {
    for (const python of ['3.10', '3.99']) {
      const answer = await asKari().post('/v1/images/scaffold', { ...order, python });
      assertProblem(answer, 'validation_failed', ['/python not_in_list']);
      assert.match(answer.json().errors[0].message, /3\.13, 3\.12, 3\.11/);
    }
  });

  it('refuses pip options in the requirements, and an invalid name', async () => {
    const faults = {
      '--extra-index-url https://evil.example': 'option_not_allowed',
      '-r other.txt': 'option_not_allowed',
      '--hash=sha256:00': 'invalid_hash',
      './wheels/a.whl': 'path_not_allowed',
      'https://evil.example/a.whl': 'url_without_name',
      'a @ git+https://github.com/navikt/a': 'vcs_not_allowed',
      'a @ http://evil.example/a.whl': 'https_required',
      'a @ https://me:secret@evil.example/a.whl': 'credentials_not_allowed',
      'a @ https://evil.example/${TOKEN}/a.whl': 'variable_not_allowed',
      'a[': 'invalid_extras',
      'a=1.0': 'invalid_version',
      'a; python_version': 'invalid_marker',
      '???': 'invalid_requirement',
      'a\u0000b': 'control_character',
    };
    for (const [line, code] of Object.entries(faults)) {
      const requirements = `pandas\n${line}\n`;
      const answer = await asKari().post('/v1/images/scaffold', { ...order, requirements });
      assertProblem(answer, 'validation_failed', [`/requirements ${code}`]);
      assert.match(answer.json().errors[0].message, /^Line 2: /);
    }
    const name = await asKari().post(
      '/v1/images/scaffold',
      { ...order, name: 'x"\r\nset-cookie: y' },
      zipped,
    );
    assert.equal(name.statusCode, 400);
  });

  it('offers no other format', async () => {
    const answer = await asKari().post('/v1/images/scaffold', order, { accept: 'text/html' });
    assertProblem(answer, 'not_acceptable');
  });

  it('works from the stored catalogue while every registry is unavailable', async () => {
    const answer = await world.away(() => asKari().post('/v1/images/scaffold', order));
    assert.equal(answer.statusCode, 200, answer.body);
  });
});
