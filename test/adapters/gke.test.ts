import assert from 'node:assert/strict';
import { once } from 'node:events';
import { createServer } from 'node:http';
import { describe, it, type TestContext } from 'node:test';
import { openGke } from '../../src/adapters/gke.ts';
import { openCluster } from '../../src/adapters/kubernetes.ts';
import { Unavailable } from '../../src/ports/unavailable.ts';

const name = 'projects/knada-gcp/locations/europe-north1/clusters/knada';
const signal = () => AbortSignal.timeout(20_000);

/** Google’s cluster API, which gives this one answer. */
const google = async (t: TestContext, code: number, answer: unknown) => {
  const seen: { url: string; authorization: string | undefined }[] = [];
  const server = createServer((request, response) => {
    seen.push({ url: request.url ?? '', authorization: request.headers.authorization });
    response.writeHead(code, { 'content-type': 'application/json', location: 'https://elsewhere.invalid' });
    response.end(typeof answer === 'string' ? answer : JSON.stringify(answer));
  });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  t.after(() => server.close());
  const address = server.address();
  assert.ok(typeof address === 'object' && address !== null);
  const api = `http://127.0.0.1:${address.port}`;
  return { gke: openGke(name, { api, accessToken: async () => 'ya29.token' }), seen };
};

const ip = { endpoint: '203.0.113.7', masterAuth: { clusterCaCertificate: 'Q0E=' } };
const dns = (allowExternalTraffic: boolean) => ({
  controlPlaneEndpointsConfig: {
    dnsEndpointConfig: { endpoint: 'gke-abc.europe-north1.gke.goog', allowExternalTraffic },
  },
});

describe('the connection to a GKE cluster', () => {
  it('requests the cluster from Google by its name, as this service', async (t) => {
    const { gke, seen } = await google(t, 200, ip);
    await gke.controlPlane(signal());
    assert.equal(seen[0]?.url.split('?')[0], `/v1/${name}`);
    assert.equal(seen[0]?.authorization, 'Bearer ya29.token');
  });

  it('prefers the DNS endpoint, which has public TLS', async (t) => {
    const { gke } = await google(t, 200, { ...ip, ...dns(true) });
    assert.deepEqual(await gke.controlPlane(signal()), { server: 'https://gke-abc.europe-north1.gke.goog' });
  });

  it('uses the IP endpoint and its authority when the DNS endpoint is closed or absent', async (t) => {
    for (const answer of [ip, { ...ip, ...dns(false) }]) {
      const { gke } = await google(t, 200, answer);
      assert.deepEqual(await gke.controlPlane(signal()), { server: 'https://203.0.113.7', caData: 'Q0E=' });
    }
  });

  it('throws Unavailable when Google does not answer, or gives an unusable answer', async (t) => {
    for (const [code, answer] of [
      [403, { error: { message: 'hunter2' } }],
      [302, ''],
      [500, ''],
      [200, '<html>'],
      [200, {}],
      [200, { endpoint: 7 }],
      [200, { endpoint: '203.0.113.7' }],
    ] as const) {
      const { gke } = await google(t, code, answer);
      await assert.rejects(gke.controlPlane(signal()), (error) => {
        assert.ok(error instanceof Unavailable, String(error));
        assert.doesNotMatch(`${error.stack}`, /hunter2/);
        return true;
      });
    }
  });

  it('throws Unavailable without a token', async () => {
    const gke = openGke(name, { accessToken: async () => undefined });
    await assert.rejects(gke.token(), Unavailable);
    await assert.rejects(gke.controlPlane(signal()), Unavailable);
  });

  it('never sends its token over plain HTTP', async (t) => {
    let requests = 0;
    const server = createServer((_request, response) => {
      requests += 1;
      response.end('{}');
    });
    server.listen(0, '127.0.0.1');
    await once(server, 'listening');
    t.after(() => server.close());
    const address = server.address();
    assert.ok(typeof address === 'object' && address !== null);
    const cluster = openCluster(
      { kind: 'gke', name },
      {
        gke: {
          token: async () => 'ya29.token',
          controlPlane: async () => ({ server: `http://127.0.0.1:${address.port}` }),
        },
      },
    );
    const ref = { apiVersion: 'v1', kind: 'Namespace', name: 'a' };
    await assert.rejects(cluster.read(ref, signal()), Unavailable);
    assert.equal(requests, 0);
  });
});
