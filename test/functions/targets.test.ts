import assert from 'node:assert/strict';
import { once } from 'node:events';
import { mkdtemp, rm } from 'node:fs/promises';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, describe, it } from 'node:test';
import { getTestServer } from '@google-cloud/functions-framework/testing';
import { environmentOf } from '../../local/environment.ts';
import { type Kubernetes, startKubernetes } from '../../local/kubernetes/server.ts';
import { openSqliteStore } from '../../src/adapters/sqlite.ts';
import { heavyPackages, importing } from '../support/imports.ts';
import { anEvent, aRecord } from '../support/records.ts';

describe('a function of the scheduler', () => {
  let folder: string;
  let kubernetes: Kubernetes;
  const urls = new Map<string, string>();
  const closers: (() => Promise<void>)[] = [];
  const givenBefore = { ...process.env };

  const call = (name = 'reconcile', method = 'POST') => fetch(urls.get(name) ?? '', { method });

  before(async () => {
    folder = await mkdtemp(join(tmpdir(), 'knada-function-'));
    kubernetes = await startKubernetes();
    const environment = {
      ...environmentOf({
        port: 8080,
        storeFile: join(folder, 'store.sqlite'),
        hubMasterKeys: `local:${'5ec0'.repeat(16)}`,
        issuer: 'http://localhost:8084',
        kubeconfig: false,
        given: {},
      }),
      CLUSTER: kubernetes.url,
      LOG_LEVEL: 'silent',
    };
    Object.assign(process.env, environment);
    await import('../../functions/index.ts');
    for (const name of ['reconcile', 'cull', 'refresh']) {
      const server = getTestServer(name).listen(0, '127.0.0.1');
      await once(server, 'listening');
      urls.set(name, `http://127.0.0.1:${(server.address() as AddressInfo).port}/`);
      closers.push(async () => {
        server.closeAllConnections();
        server.close();
        await once(server, 'close');
      });
    }
  });
  after(async () => {
    for (const close of closers) await close();
    await kubernetes.close();
    await rm(folder, { recursive: true, force: true });
    for (const name of Object.keys(process.env)) if (!(name in givenBefore)) delete process.env[name];
    Object.assign(process.env, givenBefore);
  });

  it('takes POST alone, and opens nothing for anything else', async () => {
    const { HUB_MASTER_KEYS } = process.env;
    // Would be a failure, were the configuration read.
    delete process.env.HUB_MASTER_KEYS;
    try {
      for (const name of urls.keys()) {
        for (const method of ['GET', 'PUT', 'DELETE']) {
          const response = await call(name, method);
          assert.equal(response.status, 405);
          assert.equal(response.headers.get('allow'), 'POST');
          assert.equal(await response.text(), '');
        }
      }
    } finally {
      process.env.HUB_MASTER_KEYS = HUB_MASTER_KEYS;
    }
  });

  it('that cannot start says 500 and no more, and tries again at the next call', async (t) => {
    const { STORE, HUB_MASTER_KEYS } = process.env;
    // The framework reports on the console what it caught.
    const reported = t.mock.method(console, 'error', () => {});
    process.env.STORE = 'postgres';
    const answers = await Promise.all([call(), call(), call('refresh')]);
    process.env.STORE = STORE;
    for (const answer of answers) {
      assert.equal(answer.status, 500);
      const text = `${await answer.text()}${JSON.stringify([...answer.headers])}`;
      assert.ok(!text.includes('postgres') && !text.includes(String(HUB_MASTER_KEYS)), text);
    }
    assert.match(JSON.stringify(reported.mock.calls.map(({ arguments: args }) => args.map(String))), /STORE/);
    assert.deepEqual(await (await call()).json(), {
      looked: 0,
      rolledOut: 0,
      operations: 0,
      hosts: 0,
      runs: 0,
    });
  });

  it('of the culling says what it did, and costs a query when nothing is due', async () => {
    const response = await call('cull');
    assert.equal(response.status, 200);
    assert.deepEqual(await response.json(), { hubsAsked: 0, stopped: 0, postponed: 0, failed: 0 });
  });

  it('brings a team that is due to the cluster, and says what it did', async () => {
    const store = openSqliteStore({ file: join(folder, 'store.sqlite') });
    try {
      await store.create(aRecord(), anEvent());
      const response = await call();
      assert.equal(response.status, 200);
      assert.match(response.headers.get('content-type') ?? '', /^application\/json/);
      assert.deepEqual(await response.json(), { looked: 1, rolledOut: 0, operations: 0, hosts: 0, runs: 0 });
      const client = kubernetes.client('test');
      assert.ok(await client.get('namespaces', '', 'team-team-a-3f9c'));
      assert.ok(await client.get('serviceaccounts', 'team-team-a-3f9c', 'team-a-3f9c'));
      assert.equal((await store.team('team-a'))?.status.phase, 'Ready');
      assert.deepEqual(
        await (await call()).json(),
        { looked: 0, rolledOut: 0, operations: 0, hosts: 0, runs: 0 },
        'nothing is due any more',
      );
    } finally {
      await store.close();
    }
  });
});

describe('the functions’ entry point', () => {
  it('loads no client of an outside system, reads no configuration and opens nothing', async () => {
    const { packages, open } = await importing('functions/index.ts');
    assert.deepEqual(
      packages.filter((name) => heavyPackages.some((heavy) => heavy === name)),
      [],
    );
    assert.ok(packages.includes('@google-cloud/functions-framework'), 'the packages are seen at all');
    assert.deepEqual(open, []);
  });
});
