import assert from 'node:assert/strict';
import { after, before, describe, it } from 'node:test';
import { absent, skopeoPush } from '@knada/simulators/real/docker-registry.ts';
import { buildImage } from '@knada/simulators/registries/image.ts';
import { type Registries, startRegistries } from '@knada/simulators/registries/server.ts';
import { registryContent } from '../../local/conventions.ts';
import { openRegistries } from '../../src/adapters/oci-registry.ts';
import { found, type RegistryUnderTest, registryContract, tagsContract } from '../contracts/registry.ts';

describe('registries: the simulator', () => {
  let registries: Registries;
  before(async () => {
    registries = await startRegistries(registryContent);
  });
  after(() => registries.close());

  const opened = (host: string, prefix: string) => async (): Promise<RegistryUnderTest> => ({
    host,
    prefix,
    origin: registries.url,
    push: async (path, image, tag) => {
      registries.push(path, image, { tag });
      registries.setVisibility(path, 'public');
    },
    tag: async (path, from, tags) => {
      for (const tag of tags) registries.moveTag(path, tag, registries.digest(path, from));
    },
    remove: async (path, digest) => registries.remove(path, digest),
  });

  describe('as ghcr.io', () => {
    const open = opened('ghcr.io', 'navikt/');
    registryContract(open);
    tagsContract(open);
  });
  describe('as Artifact Registry', () => {
    registryContract(opened('europe-north1-docker.pkg.dev', 'nais-management-233d/team-a/'));
  });

  describe('with a client that pushes images', { skip: absent() }, () => {
    const signal = () => AbortSignal.timeout(20_000);
    const image = buildImage({ platforms: ['linux/amd64', 'linux/arm64'], created: null, text: 'pushed' });
    const asked = (host: string) =>
      openRegistries({
        garRegion: 'europe-north1',
        garProject: 'nais-management-233d',
        origins: { [host]: registries.url },
        clock: { now: Date.now },
      });

    it('accepts a push to GHCR, and hides the image until it is made public', async () => {
      const tagged = { host: 'ghcr.io', path: 'navikt/pushed', tag: '1.0' };
      await skopeoPush(registries.url, tagged.path, image, tagged.tag, 'kari:token');
      const hidden = await asked('ghcr.io').digest(tagged, signal());
      assert.deepEqual(hidden, { answer: 'absent', missing: 'repository' });
      const settings = `${registries.url}/settings/${tagged.path}?visibility=public`;
      assert.equal((await fetch(settings, { method: 'POST' })).status, 200);
      assert.equal(found(await asked('ghcr.io').digest(tagged, signal())), image.top.digest);
    });

    it('accepts a push to an existing repository of Artifact Registry only', async () => {
      const host = 'europe-north1-docker.pkg.dev';
      const tagged = { host, path: 'nais-management-233d/team-a/pushed', tag: '1.0' };
      const login = 'oauth2accesstoken:local';
      await skopeoPush(registries.url, tagged.path, image, tagged.tag, login);
      assert.equal(found(await asked(host).digest(tagged, signal())), image.top.digest);
      const elsewhere = tagged.path.replace('team-a', 'team-z');
      await assert.rejects(skopeoPush(registries.url, elsewhere, image, tagged.tag, login), /403/);
    });
  });
});
