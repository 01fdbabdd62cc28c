import assert from 'node:assert/strict';
import { once } from 'node:events';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http';
import { type AddressInfo, createServer as createTcpServer, type Socket } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { describe, it, type TestContext } from 'node:test';
import { openCluster } from '../../src/adapters/kubernetes.ts';
import type { ClusterAccess } from '../../src/adapters/kubernetes-connection.ts';
import type { Manifest } from '../../src/ports/cluster.ts';
import { Unavailable } from '../../src/ports/unavailable.ts';

interface Seen {
  readonly method: string;
  readonly url: URL;
  readonly headers: IncomingMessage['headers'];
  readonly body: string;
}

const portOf = (address: string | AddressInfo | null): number => {
  assert.ok(typeof address === 'object' && address !== null);
  return address.port;
};

type Answer = (seen: Seen, response: ServerResponse) => void;

/** An API server of which the test says every answer, in turn; the last one is repeated. */
const answering = (t: TestContext, ...answers: readonly [Answer, ...Answer[]]) =>
  answeringTo(t, (url) => ({ kind: 'url', url }), ...answers);

const answeringTo = async (
  t: TestContext,
  accessTo: (url: string) => ClusterAccess | Promise<ClusterAccess>,
  ...answers: readonly [Answer, ...Answer[]]
) => {
  const seen: Seen[] = [];
  const sockets = new Set<Socket>();
  const server = createServer(async (request, response) => {
    let body = '';
    for await (const chunk of request) body += chunk;
    const one: Seen = {
      method: request.method ?? '',
      url: new URL(request.url ?? '', 'http://localhost'),
      headers: request.headers,
      body,
    };
    const answer = answers[Math.min(seen.length, answers.length - 1)] ?? answers[0];
    seen.push(one);
    answer(one, response);
  });
  server.on('connection', (socket) => sockets.add(socket));
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  const cluster = openCluster(await accessTo(`http://127.0.0.1:${portOf(server.address())}`));
  t.after(async () => {
    await cluster.close();
    server.closeAllConnections();
    server.close();
  });
  return { cluster, seen, sockets };
};

const json =
  (code: number, body: unknown, headers: Record<string, string> = {}): Answer =>
  (_seen, response) =>
    response.writeHead(code, { 'content-type': 'application/json', ...headers }).end(JSON.stringify(body));
const status = (code: number, message = 'no', headers: Record<string, string> = {}, details = {}) =>
  json(code, { kind: 'Status', apiVersion: 'v1', status: 'Failure', code, message, details }, headers);

const object = {
  apiVersion: 'v1',
  kind: 'ConfigMap',
  metadata: { name: 'a', namespace: 'n', uid: 'u', resourceVersion: '7', managedFields: [{ manager: 'x' }] },
  data: { a: '1' },
};
const ref = { apiVersion: 'v1', kind: 'ConfigMap', name: 'a', namespace: 'n' };
const manifest: Manifest = { apiVersion: 'v1', kind: 'ConfigMap', metadata: { name: 'a', namespace: 'n' } };
const guarded: Manifest = { ...manifest, metadata: { ...manifest.metadata, uid: 'u', resourceVersion: '7' } };
const patient = () => AbortSignal.timeout(20_000);
const unavailable = (message: RegExp) => (error: unknown) => {
  assert.ok(error instanceof Unavailable, String(error));
  assert.equal(error.system, 'Kubernetes');
  assert.match(error.message, message);
  return true;
};

describe('the cluster adapter on the wire', () => {
  it('applies as one manager, by force, with the guard in the body', async (t) => {
    const { cluster, seen } = await answering(t, json(200, object));
    await cluster.apply(manifest, patient());
    await cluster.apply(guarded, patient());
    assert.equal(seen[0]?.method, 'PATCH');
    assert.equal(seen[0]?.url.pathname, '/api/v1/namespaces/n/configmaps/a');
    assert.deepEqual(Object.fromEntries(seen[0]?.url.searchParams ?? []), {
      fieldManager: 'knada-notebooks',
      force: 'true',
    });
    assert.equal(seen[0]?.headers['content-type'], 'application/apply-patch+yaml');
    assert.deepEqual(JSON.parse(seen[0]?.body ?? ''), {
      ...manifest,
      metadata: { ...manifest.metadata, resourceVersion: '1' },
    });
    assert.deepEqual(JSON.parse(seen[1]?.body ?? ''), guarded);
  });

  it('creates only, whatever version a manifest without a uid names', async (t) => {
    const { cluster, seen } = await answering(t, json(200, object));
    await cluster.apply({ ...manifest, metadata: { ...manifest.metadata, resourceVersion: '7' } }, patient());
    assert.equal(JSON.parse(seen[0]?.body ?? '').metadata.resourceVersion, '1');
  });

  it('uses the API path of every kind', async (t) => {
    const { cluster, seen } = await answering(t, json(200, object));
    const kinds = [
      ['v1', 'Namespace', '/api/v1/namespaces/a'],
      ['v1', 'PersistentVolumeClaim', '/api/v1/namespaces/n/persistentvolumeclaims/a'],
      ['apps/v1', 'Deployment', '/apis/apps/v1/namespaces/n/deployments/a'],
      ['networking.k8s.io/v1', 'NetworkPolicy', '/apis/networking.k8s.io/v1/namespaces/n/networkpolicies/a'],
      [
        'networking.gke.io/v1alpha1',
        'FQDNNetworkPolicy',
        '/apis/networking.gke.io/v1alpha1/namespaces/n/fqdnnetworkpolicies/a',
      ],
      [
        'helm.toolkit.fluxcd.io/v2',
        'HelmRelease',
        '/apis/helm.toolkit.fluxcd.io/v2/namespaces/n/helmreleases/a',
      ],
    ] as const;
    for (const [apiVersion, kind] of kinds) {
      await cluster.read({ apiVersion, kind, name: 'a', namespace: 'n' }, patient());
    }
    assert.deepEqual(
      seen.map(({ url }) => url.pathname),
      kinds.map(([, , path]) => path),
    );
  });

  it('deletes only the object with the uid, in the background', async (t) => {
    const { cluster, seen } = await answering(t, status(200));
    assert.equal(await cluster.remove({ ...ref, uid: 'u' }, patient()), 'removed');
    assert.equal(seen[0]?.method, 'DELETE');
    const { preconditions, propagationPolicy } = JSON.parse(seen[0]?.body ?? '');
    assert.deepEqual(
      { preconditions, propagationPolicy },
      {
        preconditions: { uid: 'u' },
        propagationPolicy: 'Background',
      },
    );
  });

  it('reuses its connections', async (t) => {
    const { cluster, seen, sockets } = await answering(t, json(200, object));
    for (let n = 0; n < 50; n += 1) await cluster.read(ref, patient());
    for (let n = 0; n < 50; n += 1) await cluster.apply(manifest, patient());
    assert.equal(seen.length, 100);
    assert.ok(sockets.size <= 4, `${sockets.size} connections`);
  });

  it('opens no more than 32 connections at once', async (t) => {
    const { cluster, seen, sockets } = await answering(t, json(200, object));
    await Promise.all(Array.from({ length: 200 }, () => cluster.read(ref, patient())));
    assert.equal(seen.length, 200);
    assert.ok(sockets.size <= 32, `${sockets.size} connections`);
  });

  it('lists page by page, and starts over once when the pages have expired', async (t) => {
    const page = (name: string, next?: string) =>
      json(200, { metadata: { continue: next }, items: [{ metadata: { ...object.metadata, name } }] });
    const { cluster, seen } = await answering(
      t,
      page('old', 'p2'),
      status(410, 'expired'),
      page('one', 'p2'),
      page('two'),
    );
    const found = await cluster.list({ ...ref, labels: { a: 'b', 'c/d': 'e' } }, patient());
    assert.deepEqual(
      found.map(({ kind, metadata }) => `${kind} ${metadata.name}`),
      ['ConfigMap one', 'ConfigMap two'],
    );
    assert.deepEqual(
      seen.map(({ url }) => [url.searchParams.get('limit'), url.searchParams.get('continue')]),
      [
        ['500', null],
        ['500', 'p2'],
        ['500', null],
        ['500', 'p2'],
      ],
    );
    assert.equal(seen[0]?.url.searchParams.get('labelSelector'), 'a=b,c/d=e');
  });

  it('gives up on a list whose pages expire repeatedly', async (t) => {
    const first = json(200, { metadata: { continue: 'p2' }, items: [] });
    const { cluster, seen } = await answering(t, first, status(410), first, status(410));
    await assert.rejects(cluster.list(ref, patient()), unavailable(/410/));
    assert.equal(seen.length, 4);
  });

  for (const [what, missing] of [
    [
      'a group',
      ((_seen, response) =>
        response
          .writeHead(404, { 'content-type': 'text/plain' })
          .end('404 page not found\n')) satisfies Answer,
    ],
    ['a kind', status(404, 'the server could not find the requested resource')],
  ] as const) {
    it(`never treats objects of ${what} that the cluster does not serve as absent`, async (t) => {
      const { cluster } = await answering(t, missing);
      const notServed = unavailable(/^Kubernetes does not serve the kind ConfigMap of v1\.$/);
      await assert.rejects(cluster.read(ref, patient()), notServed);
      await assert.rejects(cluster.list(ref, patient()), notServed);
      await assert.rejects(cluster.remove({ ...ref, uid: 'u' }, patient()), notServed);
      assert.equal((await cluster.apply(manifest, patient())).outcome, 'refused');
      assert.equal(await cluster.serves('v1', 'ConfigMap', patient()), false);
    });
  }

  it('repeats discovery for a kind that a list did not find', async (t) => {
    const found = json(200, { kind: 'APIResourceList', resources: [{ kind: 'ConfigMap' }] });
    const { cluster, seen } = await answering(t, found, status(404), found);
    assert.equal(await cluster.serves('v1', 'ConfigMap', patient()), true);
    assert.equal(await cluster.serves('v1', 'ConfigMap', patient()), true);
    await assert.rejects(cluster.list(ref, patient()), Unavailable);
    assert.equal(await cluster.serves('v1', 'ConfigMap', patient()), true);
    assert.equal(seen.length, 3);
  });

  it('returns the message of a policy or a webhook, without its wrapping', async (t) => {
    const { cluster } = await answering(
      t,
      status(
        422,
        `configmaps "a" is forbidden: ValidatingAdmissionPolicy 'p' with binding 'b' denied request: Not so low.`,
      ),
      status(403, 'admission webhook "w.example" denied the request: Nobody may do that.'),
      status(400, 'Bad body.'),
    );
    const messages = [];
    for (let n = 0; n < 3; n += 1) messages.push(await cluster.apply(manifest, patient()));
    assert.deepEqual(messages, [
      { outcome: 'refused', message: 'Not so low.' },
      { outcome: 'refused', message: 'Nobody may do that.' },
      { outcome: 'refused', message: 'Bad body.' },
    ]);
  });

  it('retries while the server is busy, after its Retry-After', async (t) => {
    for (const busy of [
      status(429, 'slow down', { 'retry-after': '0' }),
      status(503),
      status(500, 'etcd: leader'),
    ]) {
      const { cluster, seen } = await answering(t, busy, busy, json(200, object));
      assert.equal((await cluster.apply(manifest, patient())).outcome, 'applied');
      assert.equal(seen.length, 3);
    }
  });

  it('does not wait for a Retry-After beyond the deadline', async (t) => {
    const { cluster, seen } = await answering(t, status(429, 'later', { 'retry-after': '3600' }));
    await assert.rejects(cluster.read(ref, patient()), unavailable(/429/));
    assert.equal(seen.length, 1);
  });

  it('gives up after a few attempts', async (t) => {
    const { cluster, seen } = await answering(t, status(503, 'secret detail', { 'retry-after': '0' }));
    await assert.rejects(cluster.read(ref, patient()), unavailable(/^Kubernetes answered 503\.$/));
    assert.equal(seen.length, 4);
  });

  it('does not repeat a request that was answered', async (t) => {
    for (const code of [400, 403, 404, 409, 422]) {
      const { cluster, seen } = await answering(t, status(code));
      await cluster.apply(manifest, patient());
      assert.equal(seen.length, 1, String(code));
    }
  });

  it('keeps the response’s body and headers out of errors', async (t) => {
    for (const code of [401, 403, 405, 500, 503]) {
      const { cluster } = await answering(
        t,
        status(code, 'hunter2', { 'retry-after': '0', 'x-secret': 'hunter2' }),
      );
      await assert.rejects(cluster.read(ref, patient()), (error) => {
        assert.ok(error instanceof Unavailable);
        assert.doesNotMatch(`${error.stack} ${JSON.stringify(error)} ${String(error.cause)}`, /hunter2/);
        return true;
      });
    }
  });

  describe('with a token that is part of a name', () => {
    const token = 'local';
    const name = 'knada-local';
    const withToken = async (t: TestContext, ...answers: readonly [Answer, ...Answer[]]) => {
      const folder = await mkdtemp(join(tmpdir(), 'kubeconfig-'));
      t.after(() => rm(folder, { recursive: true }));
      const access = async (server: string): Promise<ClusterAccess> => {
        const file = join(folder, 'config');
        const config = {
          apiVersion: 'v1',
          kind: 'Config',
          clusters: [{ name: 'c', cluster: { server, 'insecure-skip-tls-verify': true } }],
          users: [{ name: 'u', user: { token } }],
          contexts: [{ name: 'x', context: { cluster: 'c', user: 'u' } }],
          'current-context': 'x',
        };
        await writeFile(file, JSON.stringify(config));
        return { kind: 'kubeconfig', file };
      };
      return answeringTo(t, access, ...answers);
    };
    const local = { ...object, metadata: { ...object.metadata, name }, data: { project: name } };

    it('returns objects as the server sent them', async (t) => {
      const { cluster, seen } = await withToken(
        t,
        json(200, local),
        json(200, { metadata: {}, items: [local] }),
      );
      assert.deepEqual((await cluster.read({ ...ref, name }, patient()))?.data, { project: name });
      assert.equal((await cluster.list(ref, patient()))[0]?.metadata.name, name);
      assert.equal(seen[0]?.headers.authorization, `Bearer ${token}`);
    });

    it('decides on the status as the server sent it', async (t) => {
      const gone = status(404, `configmaps "${name}" not found`, {}, { name, kind: 'configmaps' });
      const { cluster } = await withToken(t, gone);
      assert.equal(await cluster.read({ ...ref, name }, patient()), undefined);
      assert.equal(await cluster.remove({ ...ref, name, uid: 'u' }, patient()), 'gone');
      const named = { ...guarded, metadata: { ...guarded.metadata, name } };
      assert.equal((await cluster.apply(named, patient())).outcome, 'conflict');
    });

    it('shows members no message that quotes the token, not even half of it', async (t) => {
      const long = 'x'.repeat(997);
      const { cluster } = await withToken(
        t,
        status(403, `Bearer ${token} may not.`),
        status(403, long + token),
      );
      assert.deepEqual(await cluster.apply(manifest, patient()), {
        outcome: 'refused',
        message: 'Bearer … may not.',
      });
      assert.deepEqual(await cluster.apply(manifest, patient()), { outcome: 'refused', message: `${long}…` });
    });
  });

  it('treats an invalid answer as an outage', async (t) => {
    const html: Answer = (_seen, response) =>
      response.writeHead(200, { 'content-type': 'text/html' }).end('<h1>Sign in</h1>');
    const cut: Answer = (_seen, response) =>
      response.writeHead(200, { 'content-type': 'application/json' }).end('{"metadata":');
    const shapes = [null, [], { metadata: {} }, { ...object, data: { a: 1 } }].map((body) => json(200, body));
    for (const answer of [html, cut, ...shapes]) {
      const { cluster } = await answering(t, answer);
      await assert.rejects(cluster.read(ref, patient()), unavailable(/returned an invalid answer/));
    }
    const { cluster } = await answering(t, json(200, { metadata: {}, items: [{}] }));
    await assert.rejects(cluster.list(ref, patient()), unavailable(/returned an invalid answer/));
  });

  it('throws Unavailable at the deadline when the server hangs, and closes the connection', async (t) => {
    const closed: Promise<unknown>[] = [];
    const sockets: Socket[] = [];
    const server = createTcpServer((socket) => {
      sockets.push(socket);
      closed.push(once(socket, 'close', { signal: patient() }));
      socket.on('error', () => {}).resume();
    });
    server.listen(0, '127.0.0.1');
    await once(server, 'listening');
    t.after(() => {
      for (const socket of sockets) socket.destroy();
      server.close();
    });
    const cluster = openCluster({ kind: 'url', url: `http://127.0.0.1:${portOf(server.address())}` });
    t.after(() => cluster.close());
    const calls = [
      () => cluster.read(ref, AbortSignal.timeout(300)),
      () => cluster.list(ref, AbortSignal.timeout(300)),
      () => cluster.apply(manifest, AbortSignal.timeout(300)),
      () => cluster.remove({ ...ref, uid: 'u' }, AbortSignal.timeout(300)),
    ];
    for (const call of calls) await assert.rejects(call(), unavailable(/did not answer in time/));
    assert.ok(closed.length >= calls.length - 1, `${closed.length} connections`);
    await Promise.all(closed);
  });

  it('cancels the request when the caller aborts', async (t) => {
    const controller = new AbortController();
    const { cluster, seen } = await answering(t, () => controller.abort());
    await assert.rejects(cluster.read(ref, controller.signal), unavailable(/did not answer in time/));
    await assert.rejects(cluster.read(ref, controller.signal), unavailable(/did not answer in time/));
    assert.equal(seen.length, 1);
  });

  it('throws Unavailable while the server is down, and recovers when it is up', async (t) => {
    const { cluster, seen } = await answering(t, (_seen, response) => response.destroy(), json(200, object));
    assert.equal((await cluster.read(ref, patient()))?.metadata.name, 'a');
    assert.equal(seen.length, 2);
    const server = createTcpServer();
    server.listen(0, '127.0.0.1');
    await once(server, 'listening');
    const port = portOf(server.address());
    server.close();
    await once(server, 'close');
    const away = openCluster({ kind: 'url', url: `http://127.0.0.1:${port}` });
    await assert.rejects(away.read(ref, patient()), unavailable(/cannot be reached/));
    const unknown = openCluster({ kind: 'url', url: 'https://kubernetes.invalid' });
    await assert.rejects(unknown.read(ref, patient()), unavailable(/cannot be reached/));
  });

  it('reports an unreadable kubeconfig, and retries at the next call', async (t) => {
    const cluster = openCluster({ kind: 'kubeconfig', file: '/nonexistent/kubeconfig' });
    t.after(() => cluster.close());
    await assert.rejects(cluster.read(ref, patient()), unavailable(/cannot be reached/));
    await assert.rejects(cluster.read(ref, patient()), unavailable(/cannot be reached/));
  });
});
