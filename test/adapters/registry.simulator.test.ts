import { after, before, describe } from 'node:test';
import { type Registries, startRegistries } from '../../local/registries/server.ts';
import { type RegistryUnderTest, registryContract, tagsContract } from '../contracts/registry.ts';

describe('registries: the simulator', () => {
  let registries: Registries;
  before(async () => {
    registries = await startRegistries();
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
});
