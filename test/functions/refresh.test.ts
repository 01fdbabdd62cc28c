import assert from 'node:assert/strict';
import { once } from 'node:events';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, describe, it } from 'node:test';
import { getTestServer } from '@google-cloud/functions-framework/testing';
import { type Registries, registryEndpoints, startRegistries } from '@knada/simulators/registries/server.ts';
import { registryContent } from '../../local/conventions.ts';
import { environmentOf } from '../../local/environment.ts';
import { openSqliteStore } from '../../src/adapters/sqlite.ts';
import { aNaming, aNotebook, anEvent, anOrderedRecord, aSpec } from '../support/records.ts';

const repository = 'navikt/team-notebook';
const reference = `ghcr.io/${repository}:main`;
const standard = 'navikt/knada-images/jupyter';
const otherDigest = `sha256:${'0'.repeat(64)}`;

describe('the function refresh', () => {
  let folder: string;
  let registries: Registries;
  let url: string;
  let close: () => Promise<void>;
  const givenBefore = { ...process.env };

  const call = async (): Promise<unknown> => {
    const response = await fetch(url, { method: 'POST' });
    assert.equal(response.status, 200);
    return response.json();
  };
  const opened = () => openSqliteStore({ file: join(folder, 'store.sqlite'), naming: aNaming });

  before(async () => {
    folder = await mkdtemp(join(tmpdir(), 'knada-refresh-'));
    registries = await startRegistries(registryContent);
    Object.assign(process.env, {
      ...environmentOf({
        port: 8080,
        storeFile: join(folder, 'store.sqlite'),
        hubMasterKeys: `local:${'5ec0'.repeat(16)}`,
        issuer: 'http://localhost:8084',
        kubeconfig: false,
        given: {},
      }),
      REGISTRY_ENDPOINTS: registryEndpoints(registries.url),
      // It has nothing to do with the cluster.
      CLUSTER: 'http://127.0.0.1:1',
      LOG_LEVEL: 'silent',
    });
    await import('../../functions/index.ts');
    const server = getTestServer('refresh').listen(0, '127.0.0.1');
    await once(server, 'listening');
    const address = server.address();
    assert.ok(typeof address === 'object' && address !== null);
    url = `http://127.0.0.1:${address.port}/`;
    close = async () => {
      server.closeAllConnections();
      server.close();
      await once(server, 'close');
    };
  });
  after(async () => {
    await close();
    await registries.close();
    await rm(folder, { recursive: true, force: true });
    for (const name of Object.keys(process.env)) if (!(name in givenBefore)) delete process.env[name];
    Object.assign(process.env, givenBefore);
  });

  it('fills the catalogue, reports what it did, and finds nothing new the next time', async () => {
    const first = await call();
    assert.ok(registries.requests.length <= 10, `${registries.requests.length} requests`);
    const store = opened();
    try {
      // How many are offered depends on today’s date.
      const { items, revision } = (await store.catalogue()) ?? assert.fail('there is no catalogue');
      assert.equal(revision, 1);
      assert.ok(items.length > 0);
      for (const { tag, digest } of items) assert.equal(digest, registries.digest(standard, tag));
      assert.deepEqual(first, {
        environments: items.length,
        changed: true,
        silent: [],
        imagesChecked: 0,
        hosts: 0,
      });
      assert.deepEqual(await call(), { ...Object(first), changed: false });
      assert.equal((await store.catalogue())?.revision, 2);
    } finally {
      await store.close();
    }
  });

  it('shows a team that its tag has moved', async () => {
    const image = {
      reference,
      digest: otherDigest,
      resolvedAt: '2026-11-23T09:00:00.000Z',
      newerDigest: null,
    };
    const store = opened();
    try {
      const notebook = aNotebook({ spec: aSpec({ image: reference }), image });
      await store.create(anOrderedRecord({ notebook }), anEvent());
      assert.partialDeepStrictEqual(await call(), { imagesChecked: 1, hosts: 0 });
      const told = (await store.team('team-a'))?.notebook?.image;
      assert.deepEqual(told, { ...image, newerDigest: registries.digest(repository, 'main') });
    } finally {
      await store.close();
    }
  });

  it('answers 200 with the names of the sources that failed, so the scheduler does not retry', async () => {
    const end = registries.fault(/^\/api\//, { status: 404 });
    const report = await call();
    end();
    const silent = ['peps.python.org', 'quay.io/jupyter/base-notebook'];
    assert.partialDeepStrictEqual(report, { changed: false, silent });
  });
});
