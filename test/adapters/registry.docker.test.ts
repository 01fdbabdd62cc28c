import assert from 'node:assert/strict';
import { after, before, describe, it } from 'node:test';
import {
  absent,
  type DockerRegistry,
  password,
  startDockerRegistry,
} from '@knada/simulators/real/docker-registry.ts';
import { buildImage } from '@knada/simulators/registries/image.ts';
import { openRegistries } from '../../src/adapters/oci-registry.ts';
import { registryContract, tagsContract } from '../contracts/registry.ts';

const signal = () => AbortSignal.timeout(20_000);

describe('registries: the real docker-registry with tokens, as ghcr.io', { skip: absent() }, () => {
  let registry: DockerRegistry;
  before(async () => {
    registry = await startDockerRegistry('token');
  });
  after(() => registry.close());
  const open = async () => ({ host: 'ghcr.io', origin: registry.url, prefix: 'navikt/', ...registry });
  registryContract(open);
  tagsContract(open);

  it('asks twice for the first digest of a repository and once for the next', async () => {
    const image = buildImage({ platforms: ['linux/amd64'], created: null, text: 'counted' });
    await registry.push('navikt/counted', image, '1.0');
    const registries = openRegistries({
      garRegion: 'europe-north1',
      garProject: 'nais-management-233d',
      origins: { 'ghcr.io': registry.url },
      clock: { now: Date.now },
    });
    const tagged = { host: 'ghcr.io', path: 'navikt/counted', tag: '1.0' };
    const start = registry.requests.length;
    await registries.digest(tagged, signal(), { fresh: true });
    assert.equal(registry.requests.length - start, 2);
    await registries.digest(tagged, signal(), { fresh: true });
    assert.equal(registry.requests.length - start, 3);
  });

  it('treats a repository that its token server denies as absent', async () => {
    registry.hide('navikt/hidden');
    const registries = openRegistries({
      garRegion: 'europe-north1',
      garProject: 'nais-management-233d',
      origins: { 'ghcr.io': registry.url },
      clock: { now: Date.now },
    });
    const answer = await registries.digest({ host: 'ghcr.io', path: 'navikt/hidden', tag: '1.0' }, signal());
    assert.deepEqual(answer, { answer: 'absent', missing: 'repository' });
  });
});

describe('registries: the real docker-registry with a login, as Artifact Registry', {
  skip: absent(),
}, () => {
  const host = 'europe-north1-docker.pkg.dev';
  const prefix = 'nais-management-233d/team-a/';
  let registry: DockerRegistry;
  before(async () => {
    registry = await startDockerRegistry('basic');
  });
  after(() => registry.close());
  registryContract(async () => ({ host, origin: registry.url, prefix, accessToken: password, ...registry }));

  it('answers unknown when the service’s token is rejected', async () => {
    const image = buildImage({ platforms: ['linux/amd64'], created: null, text: 'denied' });
    await registry.push(`${prefix}denied`, image, '1.0');
    const registries = openRegistries({
      garRegion: 'europe-north1',
      garProject: 'nais-management-233d',
      origins: { [host]: registry.url },
      clock: { now: Date.now },
      accessToken: () => Promise.resolve('not-this-one'),
    });
    const answer = await registries.digest({ host, path: `${prefix}denied`, tag: '1.0' }, signal());
    assert.equal(answer.answer, 'unknown');
  });
});
