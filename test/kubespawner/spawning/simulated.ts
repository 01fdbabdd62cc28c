import { startDeployments } from '@knada/simulators/cluster/deployments.ts';
import { startKubelet } from '@knada/simulators/cluster/kubelet.ts';
import { startHelmController } from '@knada/simulators/helm-controller/controller.ts';
import { startHubs } from '@knada/simulators/hubs/server.ts';
import { hubConventions } from '../../../local/conventions.ts';
import { enforcePolicies } from '../../support/cluster-files.ts';
import { openSimulator } from '../../support/simulated-kubernetes.ts';
import type { SpawningHub } from './spawning-hub.ts';

/** What takes seconds at a real hub; its meaning is the same when it takes no time. */
const timings = {
  slowStopMs: 1_000,
  interruptMs: 20,
  checkMs: 50,
  pollMs: 20,
  activityMs: 20,
  progressMs: 5,
  profilesPollMs: 5,
};

/** The same in the simulated cluster: Flux, the kubelet and the hubs are the sandbox’s. */
export const startSimulatedSpawningHub = async (hubVersion: '5.5.0' | '6.1.1'): Promise<SpawningHub> => {
  const { simulator, cluster, send, close } = await openSimulator();
  await enforcePolicies(send);
  const failures: string[] = [];
  const onFailure = (what: string, error: unknown) => void failures.push(`${what}: ${String(error)}`);
  const client = simulator.client('controllers');
  const parts = [
    startKubelet({ client, podReadyMs: 20, podStopMs: 5, onFailure }),
    startDeployments({ client, onFailure }),
    startHelmController({ client: simulator.client('helm-controller'), actionMs: 5, onFailure }),
  ];
  const hubs = await startHubs({
    port: 0,
    client: simulator.client('hub'),
    conventions: hubConventions,
    hubVersion,
    timings,
    onFailure,
  });
  let slug = '';
  return {
    major: hubVersion === '5.5.0' ? 5 : 6,
    cluster,
    send,
    urlTemplate: `http://127.0.0.1:${hubs.port}/{slug}`,
    host: (team) => {
      slug = team.slug;
    },
    hold: (user) => hubs.hold(slug, user, 'start'),
    setBusy: async (user, busy) => hubs.setBusy(slug, user, busy),
    log: () => '',
    failures: () => failures,
    async close() {
      await hubs.close();
      for (const part of parts.toReversed()) await part.close();
      await close();
    },
  };
};
