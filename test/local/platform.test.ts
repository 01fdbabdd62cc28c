import assert from 'node:assert/strict';
import { once } from 'node:events';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { json } from 'node:stream/consumers';
import { describe, it } from 'node:test';
import { startKubernetes } from '@knada/simulators/kubernetes/server.ts';
import { installPlatform } from '../../local/platform.ts';
import { allowedReview, parseReview } from '../../src/egress/review.ts';

describe('the platform objects in the sandbox’s cluster', () => {
  it('call the admission function for notebooks of teams that have opted in, and for Airflow runs', async (t) => {
    const rung: string[] = [];
    const bell = createServer(async (request, response) => {
      const review = parseReview(await json(request));
      rung.push(`${request.url} ${review?.kind} ${review?.name}`);
      response.setHeader('content-type', 'application/json');
      response.end(JSON.stringify(allowedReview(review?.uid ?? '')));
    }).listen(0, '127.0.0.1');
    await once(bell, 'listening');
    const kubernetes = await startKubernetes();
    t.after(async () => {
      await kubernetes.close();
      bell.close();
    });
    const { port } = bell.address() as AddressInfo;
    await installPlatform(kubernetes.client('platform'), {
      PROJECT_ID: 'knada-local',
      ADMISSION_URL: `http://127.0.0.1:${port}/admission/secret`,
    });
    const client = kubernetes.client('somebody');
    const space = (name: string, labels: Record<string, string>) =>
      client.create({ apiVersion: 'v1', kind: 'Namespace', metadata: { name, labels } });
    await space('team-red', { 'team-namespace': 'true', 'knada.io/egress': 'restricted' });
    await space('team-blue', { 'team-namespace': 'true' });
    // Gives each namespace the account that its pods run as.
    await kubernetes.settled();
    const pod = (namespace: string, name: string, labels: Record<string, string>, annotations = {}) =>
      client.create({
        apiVersion: 'v1',
        kind: 'Pod',
        metadata: { name, namespace, labels, annotations },
        spec: { containers: [{ name: 'notebook', image: 'ghcr.io/navikt/jupyter:1' }] },
      });
    for (const namespace of ['team-red', 'team-blue', 'default']) {
      await pod(namespace, 'jupyter-kari', { component: 'singleuser-server' });
      await pod(namespace, 'hub', { component: 'hub' });
      await pod(namespace, 'silent', { dag_id: 'sales' });
      await pod(namespace, 'load', { dag_id: 'sales' }, { allowlist: 'pypi.org' });
    }
    assert.deepEqual(
      rung,
      ['notebook jupyter-kari', 'airflow load', 'airflow load'].map(
        (each) => `/admission/secret?timeout=5s ${each}`,
      ),
    );
    const policies = await client.list('validatingadmissionpolicies', {});
    assert.equal(policies.length, 3);
    assert.doesNotMatch(JSON.stringify(policies), /\$\{/);
  });
});
