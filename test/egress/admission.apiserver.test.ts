import assert from 'node:assert/strict';
import { randomBytes } from 'node:crypto';
import { once } from 'node:events';
import { mkdtemp, rm } from 'node:fs/promises';
import type { IncomingMessage, ServerResponse } from 'node:http';
import { createServer, type Server } from 'node:https';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, afterEach, before, describe, it } from 'node:test';
import { getTestServer } from '@google-cloud/functions-framework/testing';
import { type ApiServer, absent } from '@knada/simulators/real/kube-apiserver.ts';
import { isAbsent } from '@knada/simulators/real/real-parts.ts';
import Type from 'typebox';
import { Value } from 'typebox/value';
import { environmentOf } from '../../local/environment.ts';
import { openSqliteStore } from '../../src/adapters/sqlite.ts';
import type { Store } from '../../src/ports/store.ts';
import { startApiServer } from '../support/api-server.ts';
import { aCertificate, hasOpenssl } from '../support/certificates.ts';
import { applyAll, deployed, enforcePolicies, type Send } from '../support/cluster-files.ts';
import { asDeployed, sender } from '../support/rbac.ts';
import { aNaming, aNotebook, anEvent, aRecord, aSpec } from '../support/records.ts';
import { eventually } from '../support/world.ts';

const Named = Type.Object({ metadata: Type.Object({ name: Type.String(), uid: Type.String() }) });
const List = Type.Object({
  items: Type.Array(
    Type.Object({
      metadata: Type.Object({
        name: Type.String(),
        deletionTimestamp: Type.Optional(Type.String()),
        ownerReferences: Type.Optional(Type.Array(Type.Object({ uid: Type.String() }))),
      }),
      spec: Type.Object({}),
    }),
  ),
});
const Webhooks = Type.Object({ webhooks: Type.Array(Type.Object({ clientConfig: Type.Object({}) })) });

const team = { slug: 'red', id: 'red-3f2a' };
const namespace = `team-${team.id}`;
const notebook = { component: 'singleuser-server', app: 'jupyterhub' };
const run = { dag_id: 'sales', task_id: 'load', run_id: 'r-1' };

const absence = async () =>
  (await absent()) || (hasOpenssl() ? false : isAbsent('kube-apiserver', 'no openssl for its certificates'));

describe('the admission function, called by the real API server', { skip: await absence() }, () => {
  const secret = randomBytes(32).toString('hex');
  const givenBefore = { ...process.env };
  const closers: (() => Promise<void>)[] = [];
  let server: ApiServer;
  let send: Send;
  let store: Store;
  /** The function over TLS, as Cloud Run serves it: `tls` is down when it is closed. */
  let tls: Server;
  let functions: ReadonlyMap<string, { emit(event: 'request', ...args: unknown[]): boolean }>;
  let isSlow = false;
  const calls: { path: string; status: number }[] = [];

  const policiesPath = `/apis/networking.k8s.io/v1/namespaces/${namespace}/networkpolicies`;
  const podsPath = `/api/v1/namespaces/${namespace}/pods`;

  const policies = async (prefix: string) => {
    const { body } = await send('GET', policiesPath);
    assert.ok(Value.Check(List, body), JSON.stringify(body));
    return body.items.filter(
      ({ metadata }) => metadata.name.startsWith(prefix) && metadata.deletionTimestamp === undefined,
    );
  };
  const create = async (name: string, labels: object, annotations: object = {}, query = '') => {
    const response = await server.fetch(`${podsPath}${query}`, {
      method: 'POST',
      headers: { 'content-type': 'application/json' },
      body: JSON.stringify({
        metadata: { name, labels, annotations },
        spec: { containers: [{ name: 'notebook', image: 'ghcr.io/navikt/jupyter:1' }] },
      }),
    });
    const body: unknown = await response.json();
    assert.equal(response.status, 201, JSON.stringify(body));
    assert.ok(Value.Check(Named, body));
    return { uid: body.metadata.uid, warning: response.headers.get('warning') };
  };
  const remove = (name: string) => send('DELETE', `${podsPath}/${name}?gracePeriodSeconds=0`);
  const tick = async () => {
    const reconcile = functions.get('reconcile') ?? assert.fail();
    const answer = await ask(reconcile);
    assert.equal(answer.status, 200, answer.body);
  };

  before(async () => {
    server = await startApiServer();
    send = sender(server);
    await enforcePolicies(send);
    const folder = await mkdtemp(join(tmpdir(), 'knada-admission-'));
    const left = { after: (cleanUp: () => Promise<void>) => void closers.push(cleanUp) };
    const { file } = await asDeployed(left, server);

    Object.assign(process.env, {
      ...environmentOf({
        port: 1,
        storeFile: join(folder, 'store.sqlite'),
        hubMasterKeys: `local:${'5ec0'.repeat(16)}`,
        admissionSecret: secret,
        issuer: 'http://localhost:8084',
        kubeconfig: true,
        given: {},
      }),
      KUBECONFIG: file,
      LOG_LEVEL: 'silent',
      EGRESS_HOST_MAP: JSON.stringify({ 'db.nav.no': ['10.53.0.1'] }),
    });
    await import('../../functions/index.ts');
    functions = new Map(['admission', 'reconcile'].map((name) => [name, getTestServer(name)]));

    const { ca, cert, key } = aCertificate();
    tls = createServer({ cert, key }, (request, response) => {
      if (isSlow) return;
      response.once('finish', () => calls.push({ path: request.url ?? '', status: response.statusCode }));
      functions.get('admission')?.emit('request', request, response);
    });
    tls.listen(0, '127.0.0.1');
    await once(tls, 'listening');
    const url = `https://127.0.0.1:${(tls.address() as AddressInfo).port}/${secret}`;

    store = openSqliteStore({ file: join(folder, 'store.sqlite'), naming: aNaming });
    const record = aRecord({
      ...team,
      notebook: aNotebook({
        spec: aSpec({ allowlist: { enabled: true, hosts: ['8.8.8.8', 'db.nav.no:1521'] } }),
      }),
      notebookRevision: 1,
      release: {
        platformHash: 'platform-1',
        spec: {
          interval: '10m',
          chart: { spec: { chart: 'jupyterhub', sourceRef: { kind: 'HelmRepository', name: 'jupyterhub' } } },
        },
      },
    });
    assert.equal(await store.create(record, anEvent()), 'created');
    // The team’s namespace with its baseline, as the tick makes them.
    await tick();
    assert.equal((await policies('notebook-egress-baseline')).length, 1);
    await eventually(
      async () => (await send('GET', `/api/v1/namespaces/${namespace}/serviceaccounts/default`)).code === 200,
    );

    const bell = deployed('admission-webhook.yaml').map((object) => {
      assert.ok(Value.Check(Webhooks, object));
      const clientConfig = { url, caBundle: Buffer.from(ca).toString('base64') };
      // A test does not wait as long as a person does.
      const webhooks = object.webhooks.map((webhook) => ({ ...webhook, clientConfig, timeoutSeconds: 3 }));
      return { ...object, webhooks };
    });
    await applyAll(send, bell);
    await eventually(async () => {
      await create('probe', run, { allowlist: '1.1.1.1' });
      await remove('probe');
      return calls.length > 0;
    });
    closers.push(async () => rm(folder, { recursive: true, force: true }));
    calls.length = 0;
  });
  afterEach(async () => {
    isSlow = false;
    calls.length = 0;
    const { body } = await send('GET', podsPath);
    assert.ok(Value.Check(List, body));
    await Promise.all(body.items.map(({ metadata }) => remove(metadata.name)));
    for (const { metadata } of [
      ...(await policies('notebook-egress-allow')),
      ...(await policies('airflow-egress-allow')),
    ])
      await send('DELETE', `${policiesPath}/${metadata.name}`);
  });
  after(async () => {
    tls?.closeAllConnections();
    tls?.close();
    await store?.close();
    for (const close of closers) await close();
    await server?.close();
    for (const name of Object.keys(process.env)) if (!(name in givenBefore)) delete process.env[name];
    Object.assign(process.env, givenBefore);
  });

  it('opens the allowlist before a notebook’s pod is created', async () => {
    const { warning } = await create('jupyter-kari', notebook);
    assert.equal(warning, null);
    assert.deepEqual(calls, [{ path: `/${secret}?timeout=3s`, status: 200 }]);
    const [policy] = await policies('notebook-egress-allow');
    assert.match(JSON.stringify(policy?.spec), /8\.8\.8\.8\/32/);
    assert.match(JSON.stringify(policy?.spec), /10\.53\.0\.1\/32/);
  });

  it('opens what an Airflow run requests, and its warnings reach the client that creates the pod', async () => {
    const { warning } = await create('load', run, { allowlist: '9.9.9.9:53,*.nav.no' });
    assert.match(warning ?? '', /wildcard/);
    const [policy] = await policies('airflow-egress-allow');
    assert.match(
      JSON.stringify(policy?.spec),
      /"matchLabels":\{"dag_id":"sales","run_id":"r-1","task_id":"load"\}/,
    );
    assert.match(JSON.stringify(policy?.spec), /9\.9\.9\.9\/32/);
  });

  it('is not called for other pods, updates or deletions', async () => {
    await create('hub', { component: 'hub' });
    await create('silent', { ...run, task_id: 'silent' });
    await create('jupyter-kari', notebook);
    calls.length = 0;
    const patch = { metadata: { annotations: { seen: 'yes' } } };
    assert.equal(
      (await send('PATCH', `${podsPath}/jupyter-kari`, patch, 'application/merge-patch+json')).code,
      200,
    );
    await remove('jupyter-kari');
    assert.deepEqual(calls, []);
  });

  it('is not called for a dry run, which writes nothing', async () => {
    await create('jupyter-dry', notebook, {}, '?dryRun=All');
    await create('load-dry', run, { allowlist: '9.9.9.9' }, '?dryRun=All');
    assert.deepEqual(calls, []);
    assert.deepEqual(await policies('notebook-egress-allow'), []);
    assert.deepEqual(await policies('airflow-egress-allow'), []);
  });

  it('does not block the creation of a pod when it is slow', async () => {
    isSlow = true;
    await create('jupyter-slow', notebook);
    assert.deepEqual(await policies('notebook-egress-allow'), []);
    tls.closeAllConnections();
  });

  it('does not block the creation of a pod when it is down, and the tick catches up', async () => {
    const { port } = tls.address() as AddressInfo;
    tls.closeAllConnections();
    tls.close();
    await once(tls, 'close');
    try {
      await create('jupyter-down', notebook);
      await create('load-down', run, { allowlist: '9.9.9.9' });
    } finally {
      tls.listen(port, '127.0.0.1');
      await once(tls, 'listening');
    }
    assert.deepEqual(await policies('airflow-egress-allow'), []);
    await tick();
    assert.equal((await policies('notebook-egress-allow')).length, 1);
    assert.equal((await policies('airflow-egress-allow')).length, 1);
  });

  it('leaves what it opened to the garbage collector, which deletes it with the last pod', async () => {
    const one = await create('jupyter-one', notebook);
    const two = await create('jupyter-two', notebook);
    await create('load', run, { allowlist: '9.9.9.9' });
    await tick();
    const [allow] = await policies('notebook-egress-allow');
    assert.deepEqual(
      allow?.metadata.ownerReferences?.map(({ uid }) => uid).toSorted(),
      [one.uid, two.uid].toSorted(),
    );
    // From here on nothing of ours runs.
    await remove('load');
    await eventually(async () => (await policies('airflow-egress-allow')).length === 0);
    await remove('jupyter-one');
    await eventually(async () => {
      const [left] = await policies('notebook-egress-allow');
      assert.ok(left, 'the policy stays for the other notebook');
      return left.metadata.ownerReferences?.length === 1;
    });
    await remove('jupyter-two');
    await eventually(async () => (await policies('notebook-egress-allow')).length === 0);
    assert.equal((await policies('notebook-egress-baseline')).length, 1, 'what isolates stays');
  });

  it('leaves nothing open for a pod that is rejected afterwards', async () => {
    const path = `/api/v1/namespaces/${namespace}/resourcequotas`;
    const quota = {
      metadata: { name: 'none' },
      spec: { hard: { pods: '0' } },
      status: { hard: { pods: '0' }, used: { pods: '0' } },
    };
    assert.equal((await send('POST', path, quota)).code, 201);
    const status = { ...quota, metadata: { name: 'none' } };
    await send('PATCH', `${path}/none/status`, status, 'application/merge-patch+json');
    try {
      const pod = {
        metadata: { name: 'jupyter-refused', labels: notebook },
        spec: { containers: [{ name: 'n', image: 'x' }] },
      };
      await eventually(async () => (await send('POST', podsPath, pod)).code === 403);
    } finally {
      await send('DELETE', `${path}/none`);
    }
    assert.equal((await policies('notebook-egress-allow')).length, 1);
    await tick();
    assert.deepEqual(await policies('notebook-egress-allow'), []);
  });
});

/** A call of a function that is not listened on. */
const ask = async (target: {
  emit(event: 'request', ...args: unknown[]): boolean;
}): Promise<{ readonly status: number; readonly body: string }> => {
  const { createServer: plain } = await import('node:http');
  const host = plain((request: IncomingMessage, response: ServerResponse) =>
    target.emit('request', request, response),
  ).listen(0, '127.0.0.1');
  await once(host, 'listening');
  try {
    const response = await fetch(`http://127.0.0.1:${(host.address() as AddressInfo).port}/`, {
      method: 'POST',
    });
    return { status: response.status, body: await response.text() };
  } finally {
    host.closeAllConnections();
    host.close();
  }
};
