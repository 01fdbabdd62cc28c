import assert from 'node:assert/strict';
import { randomUUID } from 'node:crypto';
import { once } from 'node:events';
import { connect, createServer, type Socket } from 'node:net';
import { after, before, describe, it } from 'node:test';
import { type ApiServer, absent } from '@knada/simulators/real/kube-apiserver.ts';
import { openCluster } from '../../src/adapters/kubernetes.ts';
import type { Manifest } from '../../src/ports/cluster.ts';
import { Unavailable } from '../../src/ports/unavailable.ts';
import { clusterContract } from '../contracts/cluster.ts';
import { startApiServer } from '../support/api-server.ts';
import { asDeployed, kubeconfig, sender } from '../support/rbac.ts';

const signal = () => AbortSignal.timeout(20_000);

describe('the cluster: the real API server', { skip: await absent() }, () => {
  let server: ApiServer;
  before(async () => {
    server = await startApiServer();
  });
  after(() => server.close());
  clusterContract(async () => ({ access: await kubeconfig({ after }, server), send: sender(server) }));

  const map = (namespace: string, name = 'profiles'): Manifest => ({
    apiVersion: 'v1',
    kind: 'ConfigMap',
    metadata: { name, namespace },
    data: { a: '1' },
  });

  it('keeps one TLS connection for many calls', async (t) => {
    const target = new URL(server.url);
    const sockets: Socket[] = [];
    const proxy = createServer((socket) => {
      sockets.push(socket);
      const upstream = connect(Number(target.port), target.hostname);
      socket.on('error', () => upstream.destroy()).pipe(upstream);
      upstream.on('error', () => socket.destroy()).pipe(socket);
    });
    proxy.listen(0, '127.0.0.1');
    await once(proxy, 'listening');
    const address = proxy.address();
    assert.ok(typeof address === 'object' && address !== null);
    const cluster = openCluster(await kubeconfig(t, { ...server, url: `https://127.0.0.1:${address.port}` }));
    t.after(async () => {
      await cluster.close();
      proxy.close();
    });
    const namespace = { apiVersion: 'v1', kind: 'Namespace', name: 'default' };
    for (let n = 0; n < 50; n += 1) assert.ok(await cluster.read(namespace, signal()));
    assert.ok(sockets.length <= 3, `${sockets.length} connections`);
  });

  it('does not connect to a server that its certificate authority did not sign', async (t) => {
    const cluster = openCluster({ kind: 'url', url: server.url });
    t.after(() => cluster.close());
    const namespace = { apiVersion: 'v1', kind: 'Namespace', name: 'default' };
    await assert.rejects(cluster.read(namespace, signal()), Unavailable);
  });

  it('looks up a GKE cluster again when it rejects the token', async (t) => {
    const tokens = ['revoked', server.adminToken];
    let lookups = 0;
    const cluster = openCluster(
      { kind: 'gke', name: 'projects/p/locations/l/clusters/c' },
      {
        gke: {
          token: async () => tokens[Math.max(0, lookups - 1)] ?? server.adminToken,
          async controlPlane() {
            lookups += 1;
            return { server: server.url, caData: Buffer.from(server.ca).toString('base64') };
          },
        },
      },
    );
    t.after(() => cluster.close());
    const namespace = { apiVersion: 'v1', kind: 'Namespace', name: 'default' };
    assert.equal((await cluster.read(namespace, signal()))?.metadata.name, 'default');
    assert.equal((await cluster.read(namespace, signal()))?.metadata.name, 'default');
    assert.equal(lookups, 2);
  });

  it('works as the identity of deploy/rbac.yaml, which permits nothing more', async (t) => {
    const cluster = openCluster(await asDeployed(t, server));
    t.after(() => cluster.close());
    const namespace = `team-${randomUUID().slice(0, 8)}`;
    const made = await cluster.apply(
      { apiVersion: 'v1', kind: 'Namespace', metadata: { name: namespace } },
      signal(),
    );
    assert.equal(made.outcome, 'applied');
    assert.equal((await cluster.apply(map(namespace), signal())).outcome, 'applied');
    const listed = await cluster.list({ apiVersion: 'v1', kind: 'ConfigMap', namespace }, signal());
    assert.ok(listed.some(({ metadata }) => metadata.name === 'profiles'));
    await assert.rejects(
      cluster.list({ apiVersion: 'v1', kind: 'Namespace' }, signal()),
      (error) =>
        error instanceof Unavailable && /does not allow this service to list namespaces/.test(error.message),
    );
    const deployment: Manifest = {
      apiVersion: 'apps/v1',
      kind: 'Deployment',
      metadata: { name: 'sneaky', namespace },
      spec: {},
    };
    const refused = await cluster.apply(deployment, signal());
    assert.equal(refused.outcome, 'refused');
    assert.match(refused.message, /cannot patch resource "deployments"/);
  });
});
