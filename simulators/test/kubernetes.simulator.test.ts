import assert from 'node:assert/strict';
import { once } from 'node:events';
import { mkdtemp, rm } from 'node:fs/promises';
import { createServer, type IncomingMessage, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { describe, it, type TestContext } from 'node:test';
import { CoreV1Api, CustomObjectsApi, KubeConfig, Watch } from '@kubernetes/client-node';
import { fetch } from 'undici';
import { asList, asMap, asText, at, type JsonMap, parseJson } from '../kubernetes/json.ts';
import { type KubeObject, nameOf, ownersOf, uidOf, versionOf } from '../kubernetes/object.ts';
import {
  type Kubernetes,
  type KubernetesOptions,
  type RequestLog,
  startKubernetes,
} from '../kubernetes/server.ts';
import { ApiError } from '../kubernetes/status.ts';

const start = async (t: TestContext, options: KubernetesOptions = {}): Promise<Kubernetes> => {
  const kubernetes = await startKubernetes(options);
  t.after(() => kubernetes.close());
  return kubernetes;
};

const map = (name: string, data: JsonMap = {}, metadata: JsonMap = {}): JsonMap => ({
  apiVersion: 'v1',
  kind: 'ConfigMap',
  metadata: { name, namespace: 'default', ...metadata },
  data,
});
const maps = '/api/v1/namespaces/default/configmaps';

const post = async (
  kubernetes: Kubernetes,
  path: string,
  body: JsonMap,
  headers: Record<string, string> = {},
) => {
  const answer = await fetch(`${kubernetes.url}${path}`, {
    method: 'POST',
    headers: { 'content-type': 'application/json', ...headers },
    body: JSON.stringify(body),
  });
  return { status: answer.status, headers: answer.headers, body: asMap(parseJson(await answer.text())) };
};

describe('the simulated cluster: controllers in its process', () => {
  it('client: reads and writes as over HTTP, under its own manager', async (t) => {
    const kubernetes = await start(t);
    const client = kubernetes.client('helm-controller');
    const created = await client.create(map('one', { a: '1' }));
    assert.equal(at(asList(created.metadata.managedFields)[0], 'manager'), 'helm-controller');
    assert.deepEqual(await client.get('configmaps', 'default', 'one'), created);
    const answer = await fetch(`${kubernetes.url}${maps}/one`);
    assert.deepEqual(await answer.json(), created);
    const applied = await client.apply(map('one', { a: '2' }), { force: true });
    assert.deepEqual(applied.data, { a: '2' });
    const replaced = await client.update({ ...applied, data: { a: '3' } });
    const patched = await client.patch('configmaps', 'default', 'one', { data: { b: '4' } });
    assert.deepEqual([replaced.data, patched.data], [{ a: '3' }, { a: '3', b: '4' }]);
    const listed = await client.list('configmaps', {
      namespace: 'default',
      fieldSelector: 'metadata.name=one',
    });
    assert.deepEqual(listed, [patched]);
    assert.equal(await client.delete('configmaps', 'default', 'one'), true);
    assert.equal(await client.delete('configmaps', 'default', 'one'), false);
    assert.equal(await client.get('configmaps', 'default', 'one'), undefined);
  });

  it('client: is refused with the same messages as over HTTP', async (t) => {
    const client = (await start(t)).client('it');
    await client.create(map('one'));
    await assert.rejects(client.create(map('one')), (error) => {
      assert.ok(error instanceof ApiError);
      assert.deepEqual(
        [error.code, error.reason, error.message],
        [409, 'AlreadyExists', 'configmaps "one" already exists'],
      );
      return true;
    });
  });

  it('client: watches existing and new objects, and may write from a listener', async (t) => {
    const kubernetes = await start(t);
    const client = kubernetes.client('it');
    await client.create(map('one', {}, { labels: { app: 'x' } }));
    const heard: string[] = [];
    const done = Promise.withResolvers<void>();
    const stop = client.watch(
      'configmaps',
      { namespace: 'default', labelSelector: 'app=x' },
      (type, object) => {
        heard.push(`${type} ${nameOf(object)} ${asText(at(object, 'data', 'seen'))}`);
        if (asText(at(object, 'data', 'seen')) === '') {
          void client.patch('configmaps', 'default', nameOf(object), { data: { seen: type } });
        } else done.resolve();
      },
    );
    await done.promise;
    stop();
    await client.delete('configmaps', 'default', 'one');
    assert.deepEqual(heard, ['ADDED one ', 'MODIFIED one ADDED']);
  });

  it('client: sees namespaces emptied and garbage collected once the server has settled', async (t) => {
    const kubernetes = await start(t);
    const client = kubernetes.client('it');
    await client.create({ apiVersion: 'v1', kind: 'Namespace', metadata: { name: 'team' } });
    const owner = await client.create({ ...map('owner'), metadata: { name: 'owner', namespace: 'team' } });
    const reference = { apiVersion: 'v1', kind: 'ConfigMap', name: 'owner', uid: uidOf(owner) };
    const child = await client.create({
      ...map('child'),
      metadata: { name: 'child', namespace: 'team', ownerReferences: [reference] },
    });
    assert.equal(ownersOf(child).length, 1);
    await client.delete('configmaps', 'team', 'owner');
    await kubernetes.settled();
    assert.equal(await client.get('configmaps', 'team', 'child'), undefined);
    await client.delete('namespaces', '', 'team');
    await kubernetes.settled();
    assert.equal(await client.get('namespaces', '', 'team'), undefined);
  });

  it('client: binds and ends pods as scheduler and kubelet do', async (t) => {
    const kubernetes = await start(t);
    const client = kubernetes.client('kubelet');
    const pod = {
      apiVersion: 'v1',
      kind: 'Pod',
      metadata: { name: 'one', namespace: 'default' },
      spec: { containers: [{ name: 'c', image: 'c:1' }] },
    };
    await client.create(pod);
    await client.bind('default', 'one', 'node-1');
    const running = await client.patch(
      'pods',
      'default',
      'one',
      { status: { phase: 'Running' } },
      { subresource: 'status' },
    );
    assert.deepEqual(
      [at(running, 'spec', 'nodeName'), at(running, 'status', 'phase')],
      ['node-1', 'Running'],
    );
    await client.delete('pods', 'default', 'one');
    assert.equal(
      at(await client.get('pods', 'default', 'one'), 'metadata', 'deletionGracePeriodSeconds'),
      30,
    );
    await client.delete('pods', 'default', 'one', { gracePeriodSeconds: 0 });
    assert.equal(await client.get('pods', 'default', 'one'), undefined);
  });
});

describe('the simulated cluster: the official client', () => {
  const configOf = (kubernetes: Kubernetes): KubeConfig => {
    const config = new KubeConfig();
    config.loadFromOptions({
      clusters: [{ name: 'it', server: kubernetes.url, skipTLSVerify: true }],
      users: [{ name: 'it' }],
      contexts: [{ name: 'it', cluster: 'it', user: 'it' }],
      currentContext: 'it',
    });
    return config;
  };

  it('official client: creates, lists and watches', async (t) => {
    const kubernetes = await start(t);
    const config = configOf(kubernetes);
    const core = config.makeApiClient(CoreV1Api);
    const created = await core.createNamespacedConfigMap({
      namespace: 'default',
      body: { metadata: { name: 'one' }, data: { a: '1' } },
    });
    assert.equal(created.metadata?.name, 'one');
    const listed = await core.listNamespacedConfigMap({ namespace: 'default' });
    assert.ok(listed.items.some((item) => item.metadata?.name === 'one'));
    const seen = Promise.withResolvers<string>();
    const watching = await new Watch(config).watch(
      maps,
      { resourceVersion: listed.metadata?.resourceVersion },
      (type: string, object: KubeObject) => seen.resolve(`${type} ${nameOf(object)}`),
      () => undefined,
    );
    await core.createNamespacedConfigMap({ namespace: 'default', body: { metadata: { name: 'two' } } });
    assert.equal(await seen.promise, 'ADDED two');
    watching.abort();
  });

  it('official client: reads custom resources and reports missing ones', async (t) => {
    const custom = configOf(await start(t)).makeApiClient(CustomObjectsApi);
    const kind = {
      group: 'helm.toolkit.fluxcd.io',
      version: 'v2',
      plural: 'helmreleases',
      namespace: 'default',
    };
    const listed: unknown = await custom.listNamespacedCustomObject(kind);
    assert.deepEqual((listed as { items: unknown }).items, []);
    await assert.rejects(custom.getNamespacedCustomObject({ ...kind, name: 'none' }), { code: 404 });
  });
});

describe('the simulated cluster: faults', () => {
  it('faults: replace answers over HTTP only', async (t) => {
    const kubernetes = await start(t);
    kubernetes.faults.set((request) =>
      request.method === 'POST' ? { status: 503, headers: { 'retry-after': '1' } } : undefined,
    );
    const refused = await post(kubernetes, maps, map('one'));
    assert.deepEqual([refused.status, refused.headers.get('retry-after')], [503, '1']);
    assert.equal((await fetch(`${kubernetes.url}${maps}/one`)).status, 404);
    await kubernetes.client('it').create(map('one'));
    kubernetes.faults.set(undefined);
    assert.equal((await post(kubernetes, maps, map('two'))).status, 201);
  });

  it('faults: delay, hang or cut a request', async (t) => {
    const kubernetes = await start(t);
    kubernetes.faults.set(() => ({ delayMs: 20 }));
    assert.equal((await fetch(`${kubernetes.url}/version`)).status, 200);
    kubernetes.faults.set(() => ({ drop: true }));
    await assert.rejects(fetch(`${kubernetes.url}/version`));
    kubernetes.faults.set(() => ({ hang: true }));
    await assert.rejects(fetch(`${kubernetes.url}/version`, { signal: AbortSignal.timeout(50) }), {
      name: 'TimeoutError',
    });
  });

  it('request log: records every request with its sender', async (t) => {
    const kubernetes = await start(t, {
      identify: (token) => ({ username: `user of ${token}`, groups: [] }),
    });
    const entries: RequestLog[] = [];
    const stop = kubernetes.onRequest((entry) => entries.push(entry));
    await post(kubernetes, `${maps}?fieldManager=red`, map('one'), { authorization: 'Bearer secret' });
    await post(kubernetes, maps, map('one'), { 'impersonate-user': 'kari', 'user-agent': 'curl/8' });
    await fetch(`${kubernetes.url}${maps}/one`);
    stop();
    await fetch(`${kubernetes.url}${maps}/one`);
    assert.deepEqual(
      entries.map(({ via, method, status, isWrite, user, manager }) => [
        via,
        method,
        status,
        isWrite,
        user,
        manager,
      ]),
      [
        ['http', 'POST', 201, true, 'user of secret', 'red'],
        ['http', 'POST', 409, true, 'kari', 'curl'],
        ['http', 'GET', 200, false, 'system:admin', entries[2]?.manager],
      ],
    );
  });
});

describe('the simulated cluster: time', () => {
  it('storage: keeps objects and the resourceVersion between runs', async (t) => {
    const folder = await mkdtemp(join(tmpdir(), 'kubernetes-'));
    t.after(() => rm(folder, { recursive: true }));
    const file = join(folder, 'cluster.sqlite');
    const first = await startKubernetes({ file });
    const created = await first.client('it').create(map('one', { a: '1' }));
    await first.client('it').create(map('gone'));
    await first.client('it').delete('configmaps', 'default', 'gone');
    await first.close();
    const second = await startKubernetes({ file });
    t.after(() => second.close());
    const client = second.client('it');
    assert.deepEqual(await client.get('configmaps', 'default', 'one'), created);
    assert.equal(await client.get('configmaps', 'default', 'gone'), undefined);
    const next = await client.create(map('two'));
    assert.ok(Number(versionOf(next)) > Number(versionOf(created)));
  });

  it('storage: answers 410 to watches and pages that lag too far behind', async (t) => {
    const kubernetes = await start(t);
    for (const name of ['a', 'b', 'c']) await kubernetes.client('it').create(map(name));
    const page = asMap(parseJson(await (await fetch(`${kubernetes.url}${maps}?limit=1`)).text()));
    const version = asText(at(page, 'metadata', 'resourceVersion'));
    await kubernetes.client('it').create(map('d'));
    kubernetes.compact();
    const watched = await (
      await fetch(`${kubernetes.url}${maps}?watch=true&resourceVersion=${version}`)
    ).text();
    const event = parseJson(watched);
    assert.deepEqual(
      [at(event, 'type'), at(event, 'object', 'code'), at(event, 'object', 'reason')],
      ['ERROR', 410, 'Expired'],
    );
    const token = encodeURIComponent(asText(at(page, 'metadata', 'continue')));
    const next = await fetch(`${kubernetes.url}${maps}?limit=1&continue=${token}`);
    assert.equal(next.status, 410);
  });

  it('server: ends open watches when it closes', async () => {
    const kubernetes = await startKubernetes();
    const answer = await fetch(`${kubernetes.url}${maps}?watch=true`);
    const reading = answer.text().catch(() => 'cut');
    await kubernetes.close();
    await reading;
  });

  it('server: stamps objects with the given clock', async (t) => {
    const kubernetes = await start(t, { now: () => Date.parse('2030-01-02T03:04:05Z') });
    const created = await kubernetes.client('it').create(map('one'));
    assert.equal(created.metadata.creationTimestamp, '2030-01-02T03:04:05Z');
  });
});

describe('the simulated cluster: admission webhooks', () => {
  type Verdict = JsonMap & { allowed: boolean };

  const webhook = async (
    t: TestContext,
    judge: (request: JsonMap) => Verdict | undefined,
  ): Promise<{ url: string; reviews: JsonMap[] }> => {
    const reviews: JsonMap[] = [];
    const server: Server = createServer((incoming, outgoing) => {
      void (async () => {
        const review = asMap(parseJson(await textOf(incoming)));
        reviews.push({ ...asMap(review.request), path: incoming.url ?? '' });
        const verdict = judge(asMap(review.request));
        if (verdict === undefined) return;
        outgoing.end(
          JSON.stringify({
            apiVersion: 'admission.k8s.io/v1',
            kind: 'AdmissionReview',
            response: { uid: asMap(review.request).uid ?? '', ...verdict },
          }),
        );
      })();
    });
    server.listen(0, '127.0.0.1');
    await once(server, 'listening');
    t.after(() => {
      server.close();
      server.closeAllConnections();
    });
    const { port } = server.address() as AddressInfo;
    return { url: `http://127.0.0.1:${port}/admit`, reviews };
  };
  const configuration = (url: string, more: JsonMap = {}): JsonMap => ({
    apiVersion: 'admissionregistration.k8s.io/v1',
    kind: 'ValidatingWebhookConfiguration',
    metadata: { name: 'it' },
    webhooks: [
      {
        name: 'pods.example.com',
        clientConfig: { url },
        rules: [{ apiGroups: [''], apiVersions: ['v1'], operations: ['CREATE'], resources: ['pods'] }],
        admissionReviewVersions: ['v1'],
        sideEffects: 'NoneOnDryRun',
        failurePolicy: 'Ignore',
        timeoutSeconds: 1,
        ...more,
      },
    ],
  });
  const pod = (name: string, labels: JsonMap = {}): JsonMap => ({
    apiVersion: 'v1',
    kind: 'Pod',
    metadata: { name, namespace: 'default', labels },
    spec: { containers: [{ name: 'c', image: 'c:1' }] },
  });
  const pods = '/api/v1/namespaces/default/pods';

  it('webhook: receives what it registered for, and may refuse or warn', async (t) => {
    const kubernetes = await start(t);
    const { url, reviews } = await webhook(t, (request) =>
      request.name === 'bad'
        ? { allowed: false, status: { message: 'not this one' } }
        : { allowed: true, warnings: ['careful'] },
    );
    await kubernetes.client('it').create(configuration(url));
    const taken = await post(kubernetes, pods, pod('good'), { 'impersonate-user': 'kari' });
    assert.deepEqual([taken.status, taken.headers.get('warning')], [201, '299 - "careful"']);
    const refused = await post(kubernetes, pods, pod('bad'));
    assert.deepEqual(
      [refused.status, refused.body.message],
      [403, 'admission webhook "pods.example.com" denied the request: not this one'],
    );
    await post(kubernetes, maps, map('one'));
    await fetch(`${kubernetes.url}${pods}/good`, { method: 'DELETE' });
    assert.deepEqual(
      reviews.map((review) => [
        review.operation,
        review.name,
        review.dryRun,
        at(review, 'userInfo', 'username'),
        review.path,
      ]),
      [
        ['CREATE', 'good', false, 'kari', '/admit?timeout=1s'],
        ['CREATE', 'bad', false, 'system:admin', '/admit?timeout=1s'],
      ],
    );
    assert.equal(at(reviews[0], 'object', 'status', 'phase'), 'Pending');
  });

  it('webhook: is called in a dry run unless it has side effects', async (t) => {
    const kubernetes = await start(t);
    const { url, reviews } = await webhook(t, () => ({ allowed: true }));
    await kubernetes.client('it').create(configuration(url));
    assert.equal((await post(kubernetes, `${pods}?dryRun=All`, pod('one'))).status, 201);
    assert.equal(reviews[0]?.dryRun, true);
    await kubernetes
      .client('it')
      .patch('validatingwebhookconfigurations', '', 'it', configuration(url, { sideEffects: 'Some' }));
    assert.equal((await post(kubernetes, `${pods}?dryRun=All`, pod('one'))).status, 400);
    assert.equal(reviews.length, 1);
  });

  it('webhook: is ignored or fails the request when it is unreachable, as its failurePolicy says', async (t) => {
    const kubernetes = await start(t);
    const { url } = await webhook(t, () => undefined);
    const client = kubernetes.client('it');
    await client.create(configuration(url));
    assert.equal((await post(kubernetes, pods, pod('one'))).status, 201);
    await client.patch(
      'validatingwebhookconfigurations',
      '',
      'it',
      configuration(url, { failurePolicy: 'Fail' }),
    );
    const refused = await post(kubernetes, pods, pod('two'));
    assert.equal(refused.status, 500);
    assert.match(
      asText(refused.body.message),
      /failed calling webhook "pods\.example\.com": .*context deadline exceeded/,
    );
    await client.patch(
      'validatingwebhookconfigurations',
      '',
      'it',
      configuration('http://127.0.0.1:1/', { failurePolicy: 'Fail' }),
    );
    assert.equal((await post(kubernetes, pods, pod('two'))).status, 500);
  });

  it('webhook: is called only when its selectors and conditions match', async (t) => {
    const kubernetes = await start(t);
    const { url, reviews } = await webhook(t, () => ({ allowed: true }));
    await kubernetes.client('it').create(
      configuration(url, {
        objectSelector: { matchLabels: { component: 'singleuser-server' } },
        namespaceSelector: {
          matchExpressions: [{ key: 'kubernetes.io/metadata.name', operator: 'In', values: ['default'] }],
        },
        matchConditions: [
          { name: 'not-system', expression: "!request.userInfo.username.startsWith('system:')" },
        ],
      }),
    );
    const labels = { component: 'singleuser-server' };
    await post(kubernetes, pods, pod('other'), { 'impersonate-user': 'kari' });
    await post(kubernetes, pods, pod('system', labels));
    await post(kubernetes, pods, pod('asked', labels), { 'impersonate-user': 'kari' });
    assert.deepEqual(
      reviews.map((review) => review.name),
      ['asked'],
    );
  });

  it('webhook: causes no lost update while it is called', async (t) => {
    const kubernetes = await start(t);
    const client = kubernetes.client('it');
    await client.create(map('one'));
    const { url } = await webhook(t, () => ({ allowed: true }));
    const rules = [
      { apiGroups: [''], apiVersions: ['v1'], operations: ['UPDATE'], resources: ['configmaps'] },
    ];
    await client.create(configuration(url, { rules }));
    const both = ['a', 'b'].map((key) =>
      client.patch('configmaps', 'default', 'one', { data: { [key]: 'x' } }),
    );
    await Promise.all(both);
    assert.deepEqual((await client.get('configmaps', 'default', 'one'))?.data, { a: 'x', b: 'x' });
  });
});

async function textOf(incoming: IncomingMessage): Promise<string> {
  let text = '';
  for await (const chunk of incoming) text += String(chunk);
  return text;
}
