import { keysOf } from '../lib/keys.ts';
import { known } from '../lib/schema.ts';
import type { CodeText } from './code-text.ts';

/** Why an operation on a server or a hub failed, or what keeps a server from starting. Reasons are part of the API. */
export const operationReasons = {
  image_pull_failed: [
    'Image not pulled',
    'The image cannot be pulled. Check that it exists and that the cluster may read it, or choose another image.',
  ],
  container_not_created: ['Container not created', 'The notebook’s container cannot be created.'],
  crashed: [
    'Notebook crashed',
    'The notebook exits as soon as it starts. If the image is your own, check that it starts jupyterhub-singleuser.',
  ],
  out_of_memory: [
    'Out of memory',
    'The notebook exceeded its memory limit and was stopped. Increase its memory.',
  ],
  unschedulable: [
    'No room in the cluster',
    'No node has room for the server now. It starts when there is room; a smaller server may start earlier.',
  ],
  evicted: ['Evicted', 'The node evicted the notebook. Start it again.'],
  home_not_attached: ['Home volume not attached', 'The home volume cannot be attached yet.'],
  profiles_not_synced: [
    'Configuration not synced',
    'The hub has not received the newest configuration yet. Try again in a minute.',
  ],
  no_environment: [
    'No environment',
    'There is nothing to start: the team has no image of its own, and no environment is available.',
  ],
  no_such_profile: ['Profile not offered', 'The chosen profile is no longer offered. Choose another one.'],
  invalid_revision: ['Invalid revision', 'The start named an invalid revision. Contact the platform team.'],
  quota_exceeded: [
    'Quota exceeded',
    'The team’s quota in the cluster is exhausted. Stop another server, or order a smaller one.',
  ],
  start_timed_out: [
    'Start timed out',
    'The notebook did not become ready in time. Try again. If the problem persists, restart the hub.',
  ],
  start_failed: ['Start failed', 'The hub could not start the notebook.'],
  start_refused: ['Start refused', 'The hub refused the start.'],
  too_many_servers: [
    'Too many servers',
    'The hub has reached its limit of running notebooks. Stop one, or ask the platform team for a higher limit.',
  ],
  stop_refused: ['Stop refused', 'The hub refused the stop. Try again with force, which deletes the pod.'],
  stop_timed_out: [
    'Stop timed out',
    'The notebook did not stop in time. Try again with force, or contact the platform team.',
  ],
  access_not_confirmed: [
    'Network access not confirmed',
    'The notebook is running, but its network access is not confirmed yet. It opens as soon as the cluster accepts its policies.',
  ],
  restart_refused: ['Restart refused', 'Kubernetes refused to restart the hub.'],
  hub_restart_timed_out: [
    'Hub restart timed out',
    'The hub did not come back in time. Notebooks keep running. Contact the platform team.',
  ],
  hub_unavailable: ['Hub unavailable', 'The hub does not answer. Try again shortly, or restart the hub.'],
  no_hub: ['No hub', 'The hub is not installed. Retry the notebook by force.'],
  not_a_member: ['Not a member', 'The user is no longer a member of the team.'],
  deleting: ['Being deleted', 'The notebook is being deleted.'],
  rollout_failed: [
    'Roll-out failed',
    'Flux could not install the hub. Read the notebook’s conditions, then retry.',
  ],
  rollout_timed_out: [
    'Roll-out timed out',
    'Flux did not finish the roll-out in time. It continues; read the notebook’s conditions.',
  ],
  superseded: ['Superseded', 'A later request has replaced this operation.'],
  cancelled: ['Cancelled', 'The server was stopped while it was starting.'],
} as const satisfies Record<string, CodeText>;

export type OperationReason = keyof typeof operationReasons;

export const OperationReason = known(keysOf(operationReasons), {
  $id: 'OperationReason',
  description:
    'Why an operation failed, or what keeps a server from starting. listCodes explains each reason.',
  examples: ['image_pull_failed'],
});
