import { after, before, describe } from 'node:test';
import { type ApiServer, absent } from '@knada/simulators/real/kube-apiserver.ts';
import { openCluster } from '../../src/adapters/kubernetes.ts';
import { runsContract } from '../contracts/airflow-runs.ts';
import { startApiServer } from '../support/api-server.ts';
import { enforcePolicies } from '../support/cluster-files.ts';
import { asDeployed, sender } from '../support/rbac.ts';
import type { Kubernetes } from '../support/world.ts';

describe('access of Airflow runs: the real API server, as deployed', { skip: await absent() }, () => {
  let server: ApiServer;
  let kubernetes: Kubernetes & { readonly cluster: { close(): Promise<void> } };
  const closers: (() => Promise<void>)[] = [];
  before(async () => {
    server = await startApiServer();
    const send = sender(server);
    await enforcePolicies(send);
    kubernetes = {
      cluster: openCluster(await asDeployed({ after: (close) => void closers.push(close) }, server)),
      send,
    };
  });
  after(async () => {
    await kubernetes.cluster.close();
    for (const close of closers) await close();
    await server.close();
  });
  runsContract(() => kubernetes);
});
