import assert from 'node:assert/strict';
import { once } from 'node:events';
import { mkdtemp, rm } from 'node:fs/promises';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, describe, it } from 'node:test';
import { http } from '@google-cloud/functions-framework';
import { getTestServer } from '@google-cloud/functions-framework/testing';
import { type Kubernetes, startKubernetes } from '@knada/simulators/kubernetes/server.ts';
import { environmentOf } from '../../local/environment.ts';
import { openSqliteStore } from '../../src/adapters/sqlite.ts';
import { heavyPackages, importing } from '../support/imports.ts';
import { aNaming, anEvent, aRecord } from '../support/records.ts';
import { aReview } from '../support/reviews.ts';

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

  it('accepts POST only, and opens nothing for other methods', async () => {
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

  it('answers 500 without details when it cannot start, and tries again at the next call', async (t) => {
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

  it('for culling reports what it did, and costs one query when nothing is due', async () => {
    const response = await call('cull');
    assert.equal(response.status, 200);
    assert.deepEqual(await response.json(), { hubsAsked: 0, stopped: 0, postponed: 0, failed: 0 });
  });

  it('for reconciling reconciles a team that is due, and reports what it did', async () => {
    const store = openSqliteStore({ file: join(folder, 'store.sqlite'), naming: aNaming });
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

describe('the admission function', () => {
  const secret = 'ab'.repeat(32);
  const givenBefore = { ...process.env };
  let folder: string;
  let kubernetes: Kubernetes;
  let url: string;
  let close: () => Promise<void>;
  before(async () => {
    folder = await mkdtemp(join(tmpdir(), 'knada-admission-'));
    kubernetes = await startKubernetes();
    Object.assign(process.env, {
      ...environmentOf({
        port: 8080,
        storeFile: join(folder, 'store.sqlite'),
        hubMasterKeys: `local:${'5ec0'.repeat(16)}`,
        admissionSecret: secret,
        issuer: 'http://localhost:8084',
        kubeconfig: false,
        given: {},
      }),
      CLUSTER: kubernetes.url,
      LOG_LEVEL: 'silent',
      // As the image says: errors of the framework tell nothing then.
      NODE_ENV: 'production',
    });
    // A module of its own: the other one’s process has the environment of before.
    const { admissionFunction } = await import(`../../functions/targets.ts?${secret}`);
    http('admission-here', admissionFunction);
    const server = getTestServer('admission-here').listen(0, '127.0.0.1');
    await once(server, 'listening');
    url = `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
    close = async () => {
      server.closeAllConnections();
      server.close();
      await once(server, 'close');
    };
  });
  after(async () => {
    await close();
    await kubernetes.close();
    await rm(folder, { recursive: true, force: true });
    for (const name of Object.keys(process.env)) if (!(name in givenBefore)) delete process.env[name];
    Object.assign(process.env, givenBefore);
  });

  const post = (path: string, body: string, contentType = 'application/json') =>
    fetch(`${url}${path}`, { method: 'POST', body, headers: { 'content-type': contentType } });
  const review = JSON.stringify(aReview({ labels: { component: 'singleuser-server' } }));

  it('answers the API server, with its query, and 404 to callers without the secret path', async () => {
    const answer = await post(`/${secret}?timeout=5s`, review);
    assert.equal(answer.status, 200);
    assert.match(answer.headers.get('content-type') ?? '', /^application\/json/);
    assert.deepEqual(await answer.json(), {
      apiVersion: 'admission.k8s.io/v1',
      kind: 'AdmissionReview',
      response: { uid: 'b6e6f9a0-0000-4000-8000-000000000001', allowed: true },
    });
    for (const path of ['/', `/${'0'.repeat(64)}`, `/x/${secret}`]) {
      const refused = await post(path, review);
      assert.deepEqual([refused.status, await refused.json()], [404, { error: 'Not found.' }]);
    }
    assert.equal((await fetch(`${url}/${secret}`)).status, 405);
  });

  it('answers 400 to an invalid body of any content type, and continues', async () => {
    for (const [body, contentType] of [
      ['{', 'application/json'],
      ['{', 'text/plain'],
      ['', 'application/json'],
      ['[]', 'application/json'],
      [`{"x":"${'y'.repeat(3 * 1024 * 1024)}"}`, 'application/json'],
    ] as const) {
      const answer = await post(`/${secret}`, body, contentType);
      const text = await answer.text();
      assert.equal(answer.status, 400, body.slice(0, 20));
      assert.doesNotMatch(text, /node_modules|\bat /);
    }
    assert.equal((await post(`/${secret}`, review)).status, 200);
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
