import { after, before, describe } from 'node:test';
import { type ApiServer, absent } from '@knada/simulators/real/kube-apiserver.ts';
import { openCluster } from '../../src/adapters/kubernetes.ts';
import { reconcileContract } from '../contracts/reconcile.ts';
import { startApiServer } from '../support/api-server.ts';
import { enforcePolicies } from '../support/cluster-files.ts';
import { isWrite } from '../support/intercepted.ts';
import { asDeployed, sender } from '../support/rbac.ts';
import type { Kubernetes } from '../support/world.ts';

describe('reconciling: the real API server, as deployed', { skip: await absent(), concurrency: 6 }, () => {
  let server: ApiServer;
  let kubernetes: Kubernetes;

  const cleanUps: (() => Promise<unknown>)[] = [];

  before(async () => {
    server = await startApiServer();
    cleanUps.push(() => server.close());
    const send = sender(server);
    await enforcePolicies(send);
    const access = await asDeployed({ after: (cleanUp) => void cleanUps.push(cleanUp) }, server);
    const cluster = openCluster(access);
    cleanUps.push(() => cluster.close());
    kubernetes = { cluster, send };
  });
  after(async () => {
    for (const cleanUp of cleanUps.toReversed()) await cleanUp();
  });

  // At the writes that differ in how the server guards them; the simulator’s run takes every call.
  const alike = ['ServiceAccount', 'ConfigMap', 'Secret'];
  reconcileContract(
    () => kubernetes,
    (calls) => calls.flatMap((call, index) => (isWrite(call) && !alike.includes(call.kind) ? [index] : [])),
  );
});
