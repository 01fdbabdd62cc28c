import assert from 'node:assert/strict';
import { randomUUID } from 'node:crypto';
import { it } from 'node:test';
import { buildImage, type Image } from '@knada/simulators/registries/image.ts';
import { openRegistries } from '../../src/adapters/oci-registry.ts';
import type { RegistryAnswer } from '../../src/ports/registries.ts';

/** A running registry: where it answers for which host, and a way to fill it. */
export interface RegistryUnderTest {
  /** The host whose part it plays, and its origin. */
  readonly host: string;
  readonly origin: string;
  /** Where the test's repositories are, with a slash at its end. */
  readonly prefix: string;
  readonly accessToken?: string;
  /** Pushes a public image. */
  push(path: string, image: Image, tag: string): Promise<void>;
  tag(path: string, from: string, tags: readonly string[]): Promise<void>;
  /** Takes a manifest away that an index may still name. */
  remove(path: string, digest: string): Promise<void>;
}

const signal = () => AbortSignal.timeout(20_000);

export const found = <T>(answer: RegistryAnswer<T>): T => {
  if (answer.answer !== 'found') assert.fail(JSON.stringify(answer));
  return answer.value;
};

/** What the adapter must find in every registry of Docker's protocol. */
export const registryContract = (open: () => Promise<RegistryUnderTest>): void => {
  const opened = async () => {
    const registry = await open();
    const { host, origin, accessToken } = registry;
    const registries = openRegistries({
      garRegion: 'europe-north1',
      garProject: 'nais-management-233d',
      origins: { [host]: origin },
      clock: { now: Date.now },
      ...(accessToken !== undefined && { accessToken: () => Promise.resolve(accessToken) }),
    });
    const repository = { host, path: `${registry.prefix}n${randomUUID().slice(0, 8)}` };
    return { registry, registries, repository };
  };
  const created = '2026-11-20T08:00:00.000Z';
  const image = (text: string, platforms = ['linux/amd64'], attested = false) =>
    buildImage({ platforms, created, text, attested });

  it('finds the digest that a tag points to, and the new one when the tag has moved', async () => {
    const { registry, registries, repository } = await opened();
    const [first, second] = [image('first'), image('second')];
    await registry.push(repository.path, first, '1.0');
    const one = { ...repository, tag: '1.0' };
    assert.equal(found(await registries.digest(one, signal())), first.top.digest);
    await registry.push(repository.path, second, '1.0');
    assert.equal(found(await registries.digest(one, signal(), { fresh: true })), second.top.digest);
  });

  it('reads platform, size and time of a single image', async () => {
    const { registry, registries, repository } = await opened();
    const pushed = image('single');
    await registry.push(repository.path, pushed, '1.0');
    const details = found(await registries.inspect({ ...repository, digest: pushed.top.digest }, signal()));
    const sizeBytes = pushed.blobs.reduce((sum, { bytes }) => sum + bytes.length, 0);
    assert.deepEqual(details, { platforms: ['linux/amd64'], amd64: { sizeBytes, createdAt: created } });
  });

  it('reads the platforms of an index and the details of its linux/amd64 image', async () => {
    const { registry, registries, repository } = await opened();
    const pushed = image('index', ['linux/amd64', 'linux/arm64'], true);
    await registry.push(repository.path, pushed, '1.0');
    assert.equal(found(await registries.digest({ ...repository, tag: '1.0' }, signal())), pushed.top.digest);
    const details = found(await registries.inspect({ ...repository, digest: pushed.top.digest }, signal()));
    const sizeBytes = pushed.blobs.slice(0, 2).reduce((sum, { bytes }) => sum + bytes.length, 0);
    assert.deepEqual(details, {
      platforms: ['linux/amd64', 'linux/arm64'],
      amd64: { sizeBytes, createdAt: created },
    });
  });

  it('returns no linux/amd64 image when only another platform exists', async () => {
    const { registry, registries, repository } = await opened();
    const arm = image('arm', ['linux/arm64']);
    await registry.push(repository.path, arm, '1.0');
    const details = found(await registries.inspect({ ...repository, digest: arm.top.digest }, signal()));
    assert.deepEqual(details, { platforms: ['linux/arm64'], amd64: null });
  });

  it('reports a missing part when an index names a deleted manifest', async () => {
    const { registry, registries, repository } = await opened();
    const pushed = image('broken', ['linux/amd64', 'linux/arm64']);
    await registry.push(repository.path, pushed, '1.0');
    await registry.remove(repository.path, pushed.children[0]?.digest ?? '');
    assert.equal(found(await registries.digest({ ...repository, tag: '1.0' }, signal())), pushed.top.digest);
    const answer = await registries.inspect({ ...repository, digest: pushed.top.digest }, signal());
    assert.deepEqual(answer, { answer: 'absent', missing: 'part' });
  });

  it('reports that a tag or a digest is absent', async () => {
    const { registry, registries, repository } = await opened();
    await registry.push(repository.path, image('tagged'), '1.0');
    const absent = { answer: 'absent', missing: 'manifest' };
    assert.deepEqual(await registries.digest({ ...repository, tag: '2.0' }, signal()), absent);
    const digest = `sha256:${'0'.repeat(64)}`;
    assert.deepEqual(await registries.inspect({ ...repository, digest }, signal()), absent);
  });

  it('reports that a repository is absent when its tags are listed', async () => {
    const { registries, repository } = await opened();
    if (repository.host === 'ghcr.io') {
      const answer = await registries.tags(repository, signal());
      assert.deepEqual(answer, { answer: 'absent', missing: 'repository' });
    }
    const answer = await registries.digest({ ...repository, tag: '1.0' }, signal());
    assert.equal(answer.answer, 'absent');
  });
};

/** Docker's own list of tags, which Artifact Registry's API stands in for. */
export const tagsContract = (open: () => Promise<RegistryUnderTest>): void => {
  it('lists every tag over all pages', async () => {
    const registry = await open();
    const registries = openRegistries({
      garRegion: 'europe-north1',
      garProject: 'nais-management-233d',
      origins: { [registry.host]: registry.origin },
      clock: { now: Date.now },
      pageSize: 50,
    });
    const path = `${registry.prefix}n${randomUUID().slice(0, 8)}`;
    const tags = Array.from({ length: 120 }, (_, n) => `build-${n}`);
    await registry.push(path, buildImage({ platforms: ['linux/amd64'], created: null, text: path }), 'first');
    await registry.tag(path, 'first', tags);
    const list = found(await registries.tags({ host: registry.host, path }, signal()));
    assert.equal(list.partial, false);
    assert.deepEqual(list.tags.map(({ tag }) => tag).toSorted(), ['first', ...tags].toSorted());
  });
};
