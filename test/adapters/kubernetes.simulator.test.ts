import { after, before, describe } from 'node:test';
import { type Kubernetes, startKubernetes } from '@knada/simulators/kubernetes/server.ts';
import { clusterContract } from '../contracts/cluster.ts';

describe('the cluster: the simulator', () => {
  let kubernetes: Kubernetes;
  before(async () => {
    kubernetes = await startKubernetes();
  });
  after(() => kubernetes.close());

  clusterContract(async () => ({
    access: { kind: 'url', url: kubernetes.url },
    async send(method, path, body, contentType = 'application/json') {
      const response = await fetch(`${kubernetes.url}${path}`, {
        method,
        headers: { 'content-type': contentType },
        ...(body === undefined ? {} : { body: JSON.stringify(body) }),
      });
      return { code: response.status, body: await response.json() };
    },
  }));
});
