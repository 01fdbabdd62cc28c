import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { describe, it, type TestContext } from 'node:test';
import { buildImage } from '@knada/simulators/registries/image.ts';
import { registryEndpoints, startRegistries } from '@knada/simulators/registries/server.ts';
import fc from 'fast-check';
import { registryContent } from '../../local/conventions.ts';
import { openRegistries } from '../../src/adapters/oci-registry.ts';
import { nearestTags } from '../../src/images/nearest-tags.ts';
import type { ImagePolicy } from '../../src/images/reference.ts';
import { newerDigest, resolveImage, stillThere } from '../../src/images/resolve.ts';
import { listImageTags, listTeamImages } from '../../src/images/team-images.ts';
import { Problem, type ProblemCode } from '../../src/model/problems.ts';
import { sharedFile, withoutShared } from '../support/shared.ts';

const now = Date.parse('2026-11-23T09:00:00.000Z');
const policy: ImagePolicy = {
  ghcrOwner: 'navikt',
  garRegion: 'europe-north1',
  garProject: 'nais-management-233d',
  garTeam: 'team-a',
};
const garTeamA = 'europe-north1-docker.pkg.dev/nais-management-233d/team-a';
const signal = () => AbortSignal.timeout(20_000);

const opened = async (t: TestContext, chosen: Partial<ImagePolicy> = {}) => {
  const simulator = await startRegistries({ ...registryContent, now: () => now });
  t.after(() => simulator.close());
  const registries = openRegistries({
    garRegion: 'europe-north1',
    garProject: 'nais-management-233d',
    origins: JSON.parse(registryEndpoints(simulator.url)),
    clock: { now: () => now },
    random: () => 0,
    wait: async () => {},
  });
  const deps = { registries, policy: { ...policy, ...chosen }, now };
  const resolve = (text: string) => resolveImage(deps, text, signal());
  const refused = async (text: string, code: ProblemCode, says: RegExp): Promise<Problem> => {
    const problem = await resolve(text).then(
      () => assert.fail(`${text} was resolved`),
      (error: unknown) => error,
    );
    assert.ok(problem instanceof Problem, String(problem));
    assert.equal(problem.code, code, problem.detail);
    assert.match(problem.detail, says);
    return problem;
  };
  return { simulator, registries, deps, resolve, refused };
};

describe('resolving an image', () => {
  it('pins the digest of a tag in GHCR', async (t) => {
    const { simulator, resolve } = await opened(t);
    const image = 'ghcr.io/navikt/team-notebook:20261115-090000-5d6e7f8';
    const { sizeBytes, ...resolved } = await resolve(`  ${image.replace('ghcr', 'GHCR')} `);
    assert.deepEqual(resolved, {
      reference: image,
      digest: simulator.digest('navikt/team-notebook', '20261115-090000-5d6e7f8'),
      platforms: ['linux/amd64'],
      createdAt: '2026-11-15T09:00:00.000Z',
      warnings: [],
    });
    assert.ok(sizeBytes > 0);
  });

  it('pins the digest of a tag in Artifact Registry, also of a nested image', async (t) => {
    const { simulator, resolve } = await opened(t);
    const { digest } = await resolve(`${garTeamA}/models/train:2026.11.10-12.30-9a8b7c6`);
    const path = 'nais-management-233d/team-a/models/train';
    assert.equal(digest, simulator.digest(path, '2026.11.10-12.30-9a8b7c6'));
  });

  it('pins the index of an image for several platforms, without its attestations', async (t) => {
    const { simulator, resolve } = await opened(t);
    const resolved = await resolve('ghcr.io/navikt/attested-notebook:1.0');
    assert.equal(resolved.digest, simulator.digest('navikt/attested-notebook', '1.0'));
    assert.deepEqual(resolved.platforms, ['linux/amd64', 'linux/arm64']);
  });

  it('keeps a digest, and warns that the tag beside it has no effect', async (t) => {
    const { simulator, resolve } = await opened(t);
    const digest = simulator.digest('navikt/team-notebook', '20261101-090000-1a2b3c4');
    const resolved = await resolve(`ghcr.io/navikt/team-notebook:main@${digest}`);
    assert.equal(resolved.digest, digest);
    assert.deepEqual(
      resolved.warnings.map(({ code }) => code),
      ['digest_decides'],
    );
  });

  it('warns about a moving tag, an old build, and a build of unknown age', async (t) => {
    const { simulator, resolve } = await opened(t);
    const push = (tag: string, created: string | null) =>
      simulator.push('navikt/team-notebook', buildImage({ platforms: ['linux/amd64'], created, text: tag }), {
        tag,
      });
    push('old', '2025-01-01T00:00:00.000Z');
    push('timeless', null);
    const codes = async (tag: string) =>
      (await resolve(`ghcr.io/navikt/team-notebook:${tag}`)).warnings.map(({ code }) => code);
    assert.deepEqual(await codes('main'), ['moving_tag']);
    assert.deepEqual(await codes('old'), ['old']);
    assert.deepEqual(await codes('timeless'), ['created_unknown']);
  });

  it('returns the new digest as soon as a tag has moved', async (t) => {
    const { simulator, registries, resolve } = await opened(t);
    const image = 'ghcr.io/navikt/team-notebook:main';
    const first = await resolve(image);
    assert.equal(await newerDigest(registries, first, signal()), null);
    const moved = simulator.digest('navikt/team-notebook', '20261101-090000-1a2b3c4');
    simulator.moveTag('navikt/team-notebook', 'main', moved);
    assert.equal((await resolve(image)).digest, moved);
    assert.equal(await newerDigest(registries, first, signal(), { fresh: true }), moved);
  });

  it('reports nothing newer for an ordered digest, nor while the registry is unavailable', async (t) => {
    const { simulator, registries } = await opened(t);
    const digest = simulator.digest('navikt/team-notebook', 'main');
    const reference = 'ghcr.io/navikt/team-notebook';
    const pinned = { reference: `${reference}:main@${digest}`, digest };
    assert.equal(await newerDigest(registries, pinned, signal()), null);
    simulator.fault(/./, { status: 500 });
    const tagged = { reference: `${reference}:main`, digest };
    assert.equal(await newerDigest(registries, tagged, signal()), undefined);
    assert.equal(await stillThere(registries, tagged, signal()), undefined);
  });

  it('reports that a pinned image, or a part of it, was deleted', async (t) => {
    const { simulator, registries, resolve } = await opened(t);
    const whole = buildImage({ platforms: ['linux/amd64', 'linux/arm64'], created: null, text: 'pinned' });
    const path = 'navikt/team-notebook';
    simulator.push(path, whole, { tag: 'pinned' });
    const image = await resolve(`ghcr.io/${path}:pinned`);
    assert.equal(await stillThere(registries, image, signal()), true);
    simulator.remove(path, whole.children[0]?.digest ?? '');
    assert.equal(await stillThere(registries, image, signal()), false);
  });
});

describe('refusing an image', () => {
  it('gives a private image the same answer as an absent one, and says how to make it public', async (t) => {
    const { refused } = await opened(t);
    const url = /github\.com\/orgs\/navikt\/packages\/container\/private-notebook\/settings/;
    await refused('ghcr.io/navikt/private-notebook:1.0', 'image_not_found_or_private', url);
    await refused('ghcr.io/navikt/not/there:1.0', 'image_not_found_or_private', /container\/not%2Fthere\//);
    await refused(`${garTeamA}/not-there:1.0`, 'image_not_found_or_private', /not-there does not exist/);
  });

  it('suggests similar tags', async (t) => {
    const { refused } = await opened(t);
    const similar = /has no tag "20261115-090000-5d6e7f9"\. It has "20261115-090000-5d6e7f8"/;
    await refused('ghcr.io/navikt/team-notebook:20261115-090000-5d6e7f9', 'tag_not_found', similar);
    const newest = /Its newest are "main", "20261115-090000-5d6e7f8", "20261101-090000-1a2b3c4"/;
    await refused('ghcr.io/navikt/team-notebook:v2', 'tag_not_found', newest);
    await refused(`${garTeamA}/notebook:2026.11.15`, 'tag_not_found', /"2026\.11\.15-09\.00-5d6e7f8"/);
    await refused('ghcr.io/navikt/many-tags:build-1101', 'tag_not_found', /"build-1100"/);
  });

  it('reports an image as broken when a clean-up deleted a part of it', async (t) => {
    const { refused } = await opened(t);
    await refused('ghcr.io/navikt/broken-notebook:1.0', 'image_broken', /deleted/);
  });

  it('reports the platform of an image that does not run here', async (t) => {
    const { refused } = await opened(t);
    await refused(
      'ghcr.io/navikt/arm-notebook:1.0',
      'platform_missing',
      /only linux\/arm64.*--platform linux\/amd64/,
    );
  });

  it('reports that a digest no longer exists', async (t) => {
    const { refused } = await opened(t);
    const digest = `sha256:${'d'.repeat(64)}`;
    await refused(`ghcr.io/navikt/team-notebook@${digest}`, 'image_not_found_or_private', /has no build/);
  });

  it('reports that a registry does not answer, with Retry-After', async (t) => {
    const { simulator, refused } = await opened(t);
    simulator.fault(/manifests/, { status: 429, headers: { 'retry-after': '30' } });
    const problem = await refused(
      'ghcr.io/navikt/team-notebook:main',
      'registry_unavailable',
      /is rate-limiting requests/,
    );
    assert.equal(problem.retryAfterSeconds, 30);
    await refused(
      `${garTeamA}/notebook:1`,
      'registry_unavailable',
      /is not available|answered|rate-limiting/,
    );
  });

  it('reports a tag as absent even if the other tags cannot be listed', async (t) => {
    const { simulator, refused } = await opened(t);
    simulator.fault(/tags\/list/, { status: 500 });
    await refused('ghcr.io/navikt/team-notebook:v2', 'tag_not_found', /has no tag "v2"\.$/);
  });
});

describe('a hostile reference', () => {
  const vectors = sharedFile('vectors/images.json');
  const refusals: readonly string[] = [
    'https://ghcr.io/navikt/x:1',
    'ghcr.io@127.0.0.1/navikt/x:1',
    '127.0.0.1:80/navikt/x:1',
    'localhost/navikt/x:1',
    '[::1]/navikt/x:1',
    'ghcr.io:443/navikt/x:1',
    'ghcr.io.evil.example/navikt/x:1',
    'ghcr.io/navikt/../../token:1',
    'ghcr.io/navikt/x:1\r\nhost: evil',
    'ghcr.io/other/x:1',
    'europe-north1-docker.pkg.dev/nais-management-233d/team-b/notebook:1',
    'europe-west1-docker.pkg.dev/nais-management-233d/team-a/notebook:1',
    'quay.io/jupyter/base-notebook:latest',
    'metadata.google.internal/computeMetadata/v1:1',
  ];

  it('opens no connection', async (t) => {
    const { simulator, resolve, deps } = await opened(t);
    for (const text of refusals) {
      await assert.rejects(resolve(text), Problem, text);
      await assert.rejects(listImageTags(deps, text, signal()), Problem, text);
    }
    assert.equal(simulator.connections, 0);
  });

  it('opens no connection: the shared vectors', { skip: withoutShared(vectors) }, async (t) => {
    const { simulator, resolve } = await opened(t);
    const { references }: { references: readonly { image: string; expect: { code?: string } }[] } =
      JSON.parse(readFileSync(vectors, 'utf8'));
    const refused = references.filter(({ expect }) => expect.code !== undefined);
    assert.ok(refused.length > 10);
    for (const { image, expect } of refused) {
      await assert.rejects(resolve(image), (error) => error instanceof Problem && error.code === expect.code);
    }
    assert.equal(simulator.connections, 0);
  });

  it('opens no connection: any text', async (t) => {
    const { simulator, resolve } = await opened(t);
    const part = fc.constantFrom(
      'ghcr.io',
      'navikt',
      'evil.example',
      '/',
      ':',
      '@',
      '..',
      '%2f',
      '#',
      '?',
      '\\',
      'x',
      ' ',
    );
    const text = fc.oneof(
      fc.string({ unit: 'binary', maxLength: 60 }),
      fc.array(part, { maxLength: 12 }).map((parts) => parts.join('')),
    );
    const isAllowed = /^\s*ghcr\.io\/navikt\/[a-z]/i;
    await fc.assert(
      fc.asyncProperty(
        text.filter((written) => !isAllowed.test(written)),
        async (written) => {
          await assert.rejects(resolve(written), Problem);
          return simulator.connections === 0;
        },
      ),
    );
  });
});

describe('listing a team’s images', () => {
  it('lists its repository in Artifact Registry and its registered GHCR repositories', async (t) => {
    const { deps } = await opened(t);
    const { items, unknown } = await listTeamImages(deps, ['team-notebook'], signal());
    assert.deepEqual(unknown, []);
    assert.deepEqual(items, [
      { image: `${garTeamA}/models/train`, registry: 'gar', updatedAt: '2026-11-10T12:30:00.000Z' },
      { image: `${garTeamA}/notebook`, registry: 'gar', updatedAt: '2026-11-15T09:00:00.000Z' },
      { image: 'ghcr.io/navikt/team-notebook', registry: 'ghcr', updatedAt: null },
    ]);
  });

  it('sends no request for a team without a repository in Artifact Registry', async (t) => {
    const { simulator, deps } = await opened(t, { garTeam: null });
    assert.equal((await listTeamImages(deps, ['team-notebook'], signal())).items.length, 1);
    assert.equal(simulator.connections, 0);
  });

  it('is incomplete, with the reason, while Artifact Registry is unavailable', async (t) => {
    const { simulator, deps } = await opened(t);
    simulator.fault(/./, { status: 500 });
    const { items, unknown } = await listTeamImages(deps, ['team-notebook'], signal());
    assert.equal(items.length, 1);
    assert.equal(unknown.length, 1);
  });

  it('lists the tags of an image, newest first, without its signatures', async (t) => {
    const { simulator, deps } = await opened(t);
    const digest = simulator.digest('navikt/team-notebook', 'main');
    simulator.moveTag('navikt/team-notebook', `${digest.replace(':', '-')}.sig`, digest);
    const { items, partial } = await listImageTags(deps, 'ghcr.io/navikt/team-notebook', signal());
    assert.deepEqual(
      items.map(({ tag }) => tag),
      ['main', '20261115-090000-5d6e7f8', '20261101-090000-1a2b3c4'],
    );
    assert.equal(partial, false);
    const gar = await listImageTags(deps, `${garTeamA}/notebook:any`, signal());
    assert.deepEqual(gar.items[0], {
      tag: '2026.11.15-09.00-5d6e7f8',
      digest: simulator.digest('nais-management-233d/team-a/notebook', '2026.11.15-09.00-5d6e7f8'),
      pushedAt: '2026-11-15T09:00:00.000Z',
    });
  });

  it('refuses the tags of another team’s image, and of an absent one', async (t) => {
    const { deps } = await opened(t);
    const code = (expected: ProblemCode) => (error: unknown) =>
      error instanceof Problem && error.code === expected;
    const other = garTeamA.replace('team-a', 'team-b');
    await assert.rejects(listImageTags(deps, `${other}/notebook`, signal()), code('image_not_allowed'));
    const missing = 'ghcr.io/navikt/not-there';
    await assert.rejects(listImageTags(deps, missing, signal()), code('image_not_found_or_private'));
  });
});

describe('the tags nearest to an absent one', () => {
  const tags = ['1.0', '1.1', '2.0', 'latest'].map((tag, index) => ({ tag, index }));

  it('are those with a similar name', () => {
    assert.deepEqual(nearestTags(tags, 'v1.1').tags[0], '1.1');
    assert.deepEqual(nearestTags(tags, 'Latest').tags[0], 'latest');
  });

  it('are the newest if none is similar', () => {
    assert.deepEqual(nearestTags(tags, 'zzzzzz'), { similar: false, tags: ['latest', '2.0', '1.1'] });
    assert.deepEqual(nearestTags([], 'x'), { similar: false, tags: [] });
  });
});
