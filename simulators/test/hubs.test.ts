import assert from 'node:assert/strict';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, describe, it } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import { startDeployments } from '../cluster/deployments.ts';
import { isReady, startKubelet } from '../cluster/kubelet.ts';
import { installRelease, uninstallRelease } from '../helm-controller/helm.ts';
import { type Hubs, startHubs } from '../hubs/server.ts';
import type { Client } from '../kubernetes/client.ts';
import type { JsonMap } from '../kubernetes/json.ts';
import { nameOf } from '../kubernetes/object.ts';
import { type Kubernetes, startKubernetes } from '../kubernetes/server.ts';

const namespace = 'team-a-0001';
const token = 'a'.repeat(64);
const owner = { name: 'jupyterhub', namespace };
const wish = { release: 'jupyterhub-a-0001', namespace };
const base64 = (text: string): string => Buffer.from(text).toString('base64');

const values: JsonMap = {
  hub: {
    existingSecret: 'notebook-hub',
    services: { operator: {}, reader: {} },
    loadRoles: {
      operator: {
        services: ['operator'],
        scopes: ['read:hub', 'list:users', 'admin:users', 'servers'],
      },
      reader: { services: ['reader'], scopes: ['read:users:name'] },
    },
  },
};

const names = (users: unknown): unknown[] =>
  Array.isArray(users) ? users.map((user) => user.name) : assert.fail(String(users));

describe('the simulated hubs', () => {
  let folder: string;
  let kubernetes: Kubernetes;
  let client: Client;
  let hubs: Hubs;
  let parts: { close(): Promise<void> }[];

  const start = () =>
    startHubs({
      port: 0,
      client: kubernetes.client('hub'),
      file: join(folder, 'hubs.json'),
      conventions: { slugLabel: 'example.com/team' },
    });
  const call = async (path: string, init: RequestInit & { token?: string } = {}) => {
    const { token: bearer = token, ...rest } = init;
    const response = await fetch(`http://127.0.0.1:${hubs.port}${path}`, {
      ...rest,
      headers: { ...(bearer === '' ? {} : { authorization: `token ${bearer}` }), ...rest.headers },
    });
    const text = await response.text();
    const body: unknown = text.startsWith('{') || text.startsWith('[') ? JSON.parse(text) : text;
    return { status: response.status, body };
  };
  const api = (path: string, init: RequestInit & { token?: string } = {}) =>
    call(`/team-a/hub/api${path}`, init);
  /** Until a pod of the namespace has changed. */
  const hubChanged = async (): Promise<void> => {
    const { promise, resolve } = Promise.withResolvers<void>();
    let seen = false;
    const stop = client.watch('pods', { namespace }, () => seen && resolve());
    seen = true;
    await Promise.race([promise, sleep(50)]);
    stop();
  };
  const untilHub = async (wanted: 'ready' | 'gone'): Promise<void> => {
    const { promise, resolve } = Promise.withResolvers<void>();
    const look = async () => {
      const pods = await client.list('pods', { namespace, labelSelector: 'component=hub' });
      if (wanted === 'gone' ? pods.length === 0 : pods.some(isReady)) resolve();
    };
    const stop = client.watch('pods', { namespace }, () => void look());
    await look();
    await promise;
    stop();
  };
  const writeToken = (text: string) =>
    client.apply({
      apiVersion: 'v1',
      kind: 'Secret',
      metadata: { name: 'notebook-hub', namespace },
      data: { 'hub.services.operator.apiToken': base64(text) },
    });

  before(async () => {
    folder = await mkdtemp(join(tmpdir(), 'hubs-'));
    kubernetes = await startKubernetes();
    client = kubernetes.client('test');
    parts = [startKubelet({ client, podReadyMs: 5, podStopMs: 1 }), startDeployments({ client })];
    hubs = await start();
    await client.create({
      apiVersion: 'v1',
      kind: 'Namespace',
      metadata: { name: namespace, labels: { 'example.com/team': 'team-a' } },
    });
    await writeToken(token);
  });
  after(async () => {
    await hubs.close();
    for (const part of parts) await part.close();
    await kubernetes.close();
    await rm(folder, { recursive: true });
  });

  it('hub: answers 503 until its pod is ready', async () => {
    assert.equal((await api('/')).status, 503);
    await installRelease(client, owner, { ...wish, chartVersion: '4.4.0', values });
    await untilHub('ready');
    assert.deepEqual(await api('/', { token: '' }), { status: 200, body: { version: '5.5.0' } });
    assert.equal((await call('/team-a/hub/health')).status, 200);
    assert.match(
      String((await call('/team-a')).body),
      /<h1>JupyterHub of team-a</,
      'where a member’s link leads',
    );
    assert.equal((await call('/team-b/hub/api/')).status, 503, 'a team without a hub');
  });

  it('hub: knows a service by its token, and allows what its role allows', async () => {
    assert.partialDeepStrictEqual(await api('/info'), { status: 200, body: { version: '5.5.0' } });
    for (const stranger of ['', 'b'.repeat(64)]) {
      const refused = await api('/info', { token: stranger });
      assert.deepEqual(refused, {
        status: 403,
        body: { status: 403, message: 'Missing or invalid credentials.' },
      });
    }
    const secret = await client.get('secrets', namespace, 'hub');
    assert.ok(secret);
    const data: unknown = secret.data;
    assert.ok(typeof data === 'object' && data !== null && 'hub.services.reader.apiToken' in data);
    const reader = Buffer.from(String(data['hub.services.reader.apiToken']), 'base64').toString();
    assert.equal((await api('/users', { token: reader })).status, 403);
    assert.equal((await api('/users/kari', { token: reader, method: 'POST' })).status, 403);
  });

  it('hub: creates, shows and removes users, with names unchanged', async () => {
    assert.partialDeepStrictEqual(await api('/users/kari%40example.com', { method: 'POST' }), {
      status: 201,
      body: { kind: 'user', name: 'kari@example.com', servers: {}, pending: null },
    });
    assert.deepEqual(await api('/users/Kari%40example.com'), {
      status: 404,
      body: { status: 404, message: 'Not Found' },
    });
    assert.deepEqual(await api('/users/%20kari', { method: 'POST' }), {
      status: 400,
      body: { status: 400, message: 'Failed to create user:  kari' },
    });
    assert.equal((await api('/users/kari@example.com', { method: 'POST' })).status, 409);
    assert.partialDeepStrictEqual(await api('/users/kari@example.com'), {
      status: 200,
      body: { name: 'kari@example.com' },
    });
    assert.equal((await api('/users/ola')).status, 404);
    assert.equal((await api('/users/kari@example.com', { method: 'DELETE' })).status, 204);
    assert.equal((await api('/users/kari@example.com', { method: 'DELETE' })).status, 404);
  });

  it('hub: answers readable pages at home and login without a token', async () => {
    await api('/users/page%40example.com', { method: 'POST' });
    const page = async (path: string) => {
      const response = await fetch(`http://127.0.0.1:${hubs.port}/team-a/hub${path}`, { redirect: 'manual' });
      return {
        status: response.status,
        location: response.headers.get('location'),
        text: await response.text(),
      };
    };
    for (const path of ['/', '/home', '/home/']) {
      assert.partialDeepStrictEqual(await page(path), { status: 302, location: '/team-a/hub/login' }, path);
    }
    const login = await page('/login');
    assert.equal(login.status, 200);
    assert.match(login.text, /<h1>JupyterHub of team-a<\/h1>/);
    assert.match(login.text, /href="\/team-a\/hub\/home\?user=page%40example\.com"/);
    const home = () => page('/home?user=page%40example.com');
    assert.match((await home()).text, /You are <strong>page@example\.com<\/strong>[\s\S]*not running/);
    await api('/users/page%40example.com/server', { method: 'POST' });
    while (!(await home()).text.includes('href="/team-a/user/page@example.com/"')) await hubChanged();
    assert.match((await home()).text, /has been running since \d{4}-/);
    assert.equal((await api('/users/page%40example.com/server', { method: 'DELETE' })).status, 204);
    assert.match((await home()).text, /not running/);
    assert.equal((await api('/users/page%40example.com', { method: 'DELETE' })).status, 204);
    const unknown = await page('/home?user=%3Cb%3E');
    assert.equal(unknown.status, 404);
    assert.match(unknown.text, /&lt;b&gt; is not a user/);
    assert.equal((await page('/nowhere')).status, 404);
  });

  it('hub: hangs while it is frozen, and starts again with its users when it is thawed', async () => {
    const freeze = (body: string, method = 'PUT', slug = 'team-a') =>
      call(`/_sandbox/${slug}/hub`, { method, ...(method === 'PUT' ? { body } : {}), token: '' });
    const before = await api('/users');
    assert.deepEqual(await freeze('{"frozen": true}'), { status: 200, body: { frozen: true } });
    assert.deepEqual(await freeze('', 'GET'), { status: 200, body: { frozen: true } });
    const hanging = api('/users', { signal: AbortSignal.timeout(200) });
    await assert.rejects(hanging, { name: 'TimeoutError' });
    assert.deepEqual(await freeze('{"frozen": false}'), { status: 200, body: { frozen: false } });
    const after = await api('/users');
    assert.deepEqual([after.status, names(after.body)], [200, names(before.body)]);
    assert.deepEqual(await freeze('{"frozen": false}'), { status: 200, body: { frozen: false } });
    assert.equal((await freeze('{"frozen": 1}')).status, 400);
    assert.equal((await freeze('{"frozen": true}', 'PUT', 'team-z')).status, 404);
  });

  it('hub: pages users on request, and limits a plain list to 200', async () => {
    for (let n = 0; n < 205; n++) await api(`/users/user-${n}`, { method: 'POST' });
    const plain = await api('/users');
    assert.equal(Array.isArray(plain.body) && plain.body.length, 200);
    const headers = { accept: 'application/jupyterhub-pagination+json' };
    const first = await api('/users', { headers });
    assert.partialDeepStrictEqual(first.body, {
      _pagination: {
        offset: 0,
        limit: 50,
        total: 205,
        // The hub knows nothing of the path at which it is found here.
        next: { offset: 50, url: `http://127.0.0.1:${hubs.port}/hub/api/users?offset=50&limit=50` },
      },
    });
    const last = await api('/users?offset=200&limit=200', { headers });
    assert.partialDeepStrictEqual(last.body, {
      items: ['user-200', 'user-201', 'user-202', 'user-203', 'user-204'].map((name) => ({ name })),
      _pagination: { next: null },
    });
    assert.equal((await api('/users?limit=many', { headers })).status, 400);
    assert.partialDeepStrictEqual((await api('/users?sort=-name&limit=1&name_filter=USER-20')).body, [
      { name: 'user-204' },
    ]);
    assert.equal((await api('/users?sort=age')).status, 400);
  });

  it('hub: keeps its users over a restart, and reads a new token only then', async () => {
    const rotated = 'c'.repeat(64);
    await writeToken(rotated);
    assert.equal((await api('/info', { token: rotated })).status, 403);
    const [pod] = await client.list('pods', { namespace, labelSelector: 'component=hub' });
    assert.ok(pod);
    await client.delete('pods', namespace, nameOf(pod), { gracePeriodSeconds: 0 });
    await untilHub('ready');
    await hubs.close();
    hubs = await start();
    assert.equal((await api('/users/user-7', { token: rotated })).status, 200);
    assert.equal((await api('/users/user-7')).status, 403);
  });

  it('hub: loses its users with its volume', async () => {
    await uninstallRelease(client, owner, wish.release, namespace);
    await untilHub('gone');
    assert.equal((await api('/')).status, 503);
    await kubernetes.settled();
    await installRelease(client, owner, { ...wish, chartVersion: '4.4.0', values });
    await untilHub('ready');
    assert.deepEqual(await api('/users', { token: 'c'.repeat(64) }), { status: 200, body: [] });
  });
});
