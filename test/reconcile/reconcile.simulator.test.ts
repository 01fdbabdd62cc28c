import { after, before, describe } from 'node:test';
import { type Kubernetes as Simulator, startKubernetes } from '../../local/kubernetes/server.ts';
import { openCluster } from '../../src/adapters/kubernetes.ts';
import { reconcileContract } from '../contracts/reconcile.ts';
import { enforcePolicies, type Send } from '../support/cluster-files.ts';
import type { Kubernetes } from '../support/world.ts';

describe('reconciling: the simulator', () => {
  let simulator: Simulator;
  let kubernetes: Kubernetes & { readonly cluster: { close(): Promise<void> } };

  before(async () => {
    simulator = await startKubernetes();
    const send: Send = async (method, path, body, contentType = 'application/json') => {
      const response = await fetch(`${simulator.url}${path}`, {
        method,
        headers: { 'content-type': contentType },
        ...(body === undefined ? {} : { body: JSON.stringify(body) }),
      });
      return { code: response.status, body: await response.json() };
    };
    await enforcePolicies(send);
    kubernetes = { cluster: openCluster({ kind: 'url', url: simulator.url }), send };
  });
  after(async () => {
    await kubernetes.cluster.close();
    await simulator.close();
  });

  reconcileContract(() => kubernetes);
});
