import assert from 'node:assert/strict';
import { asList, asMap, asText, at } from '@knada/simulators/kubernetes/json.ts';
import { expectStatus, firstOverride, hubPods, notebook, releaseOf, type Step } from './story.ts';

const ownRepository = 'navikt/team-notebook';
const ownImage = `ghcr.io/${ownRepository}:main`;

/** Environments and images. */
export const images: readonly Step[] = [
  {
    says: 'the environments are the newest standard image of each Python version, with reasons for those missing',
    async run({ kari, registries }) {
      const { items, gaps } = asMap(expectStatus(await kari.call('GET', '/environments'), 200));
      const offered = asList(items ?? null);
      assert.ok(offered.length > 0);
      for (const item of offered) {
        const [, path = '', tag = ''] = /^ghcr\.io\/([^:]+):(.+)$/.exec(asText(at(item, 'image'))) ?? [];
        assert.equal(at(item, 'digest'), registries.digest(path, tag));
      }
      assert.equal(offered.filter((item) => at(item, 'default') === true).length, 1);
      assert.ok(asList(gaps ?? null).every((gap) => asText(at(gap, 'message')) !== ''));
    },
  },
  {
    says: "the team's own image is pinned by digest and comes first in its profiles",
    async run(story) {
      const { kari, registries } = story;
      const wrong = await kari.call('PATCH', notebook, { body: { image: `${ownImage}x` } });
      assert.equal(at(expectStatus(wrong, 422), 'code'), 'tag_not_found');
      const patched = expectStatus(await kari.call('PATCH', notebook, { body: { image: ownImage } }), 200);
      const digest = registries.digest(ownRepository, 'main');
      assert.equal(at(patched, 'status', 'image', 'digest'), digest);
      assert.equal(at(await firstOverride(story), 'image'), `${ownImage}@${digest}`);
    },
  },
  {
    says: 'a moved tag is reported, and its new digest is used on request, without a hub restart',
    async run(story) {
      const { kari, registries, sandbox } = story;
      const before = { release: await releaseOf(story), pods: await hubPods(story) };
      const old = registries.digest(ownRepository, 'main');
      const moved = registries.digest(ownRepository, '20261101-090000-1a2b3c4');
      registries.moveTag(ownRepository, 'main', moved);
      const refreshed = await fetch(`${sandbox.url('functions')}/refresh`, { method: 'POST' });
      assert.equal(refreshed.status, 200);
      const told = expectStatus(await kari.call('GET', notebook), 200);
      assert.equal(at(told, 'status', 'image', 'digest'), old);
      assert.equal(at(told, 'status', 'image', 'newerDigest'), moved);
      const taken = expectStatus(await kari.call('POST', `${notebook}/refresh-image`), 200);
      assert.partialDeepStrictEqual(at(taken, 'status', 'image'), { digest: moved, newerDigest: null });
      assert.equal(at(await firstOverride(story), 'image'), `${ownImage}@${moved}`);
      assert.deepEqual((await releaseOf(story)).spec, before.release.spec);
      assert.deepEqual(await hubPods(story), before.pods);
    },
  },
];
