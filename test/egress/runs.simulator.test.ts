import { after, before, describe } from 'node:test';
import { type Kubernetes as Simulator, startKubernetes } from '../../local/kubernetes/server.ts';
import { openCluster } from '../../src/adapters/kubernetes.ts';
import { runsContract } from '../contracts/runs.ts';
import type { Kubernetes } from '../support/world.ts';

describe('access of Airflow runs: the simulator', () => {
  let simulator: Simulator;
  let kubernetes: Kubernetes & { readonly cluster: { close(): Promise<void> } };
  before(async () => {
    simulator = await startKubernetes();
    kubernetes = {
      cluster: openCluster({ kind: 'url', url: simulator.url }),
      async send(method, path, body, contentType = 'application/json') {
        const response = await fetch(`${simulator.url}${path}`, {
          method,
          headers: { 'content-type': contentType },
          ...(body === undefined ? {} : { body: JSON.stringify(body) }),
        });
        return { code: response.status, body: await response.json() };
      },
    };
  });
  after(async () => {
    await kubernetes.cluster.close();
    await simulator.close();
  });
  runsContract(() => kubernetes);
});
