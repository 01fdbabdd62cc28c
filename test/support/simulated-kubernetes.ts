import { startKubernetes } from '@knada/simulators/kubernetes/server.ts';
import { openCluster } from '../../src/adapters/kubernetes.ts';
import type { Send } from './cluster-files.ts';

/** The simulated API server with the adapter connected to it, and direct access for other users. */
export const openSimulator = async () => {
  const simulator = await startKubernetes();
  const cluster = openCluster({ kind: 'url', url: simulator.url });
  const send: Send = async (method, path, body, contentType = 'application/json') => {
    const response = await fetch(`${simulator.url}${path}`, {
      method,
      headers: { 'content-type': contentType },
      ...(body === undefined ? {} : { body: JSON.stringify(body) }),
    });
    return { code: response.status, body: await response.json() };
  };
  return {
    simulator,
    cluster,
    send,
    async close() {
      await cluster.close();
      await simulator.close();
    },
  };
};
export type OpenedSimulator = Awaited<ReturnType<typeof openSimulator>>;
