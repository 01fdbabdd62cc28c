import { asList, at } from '../kubernetes/json.ts';
import type { KubeObject } from '../kubernetes/object.ts';
import { quantityValue } from '../kubernetes/quantity.ts';

/** What the one node of the cluster has for a pod: cores and bytes. */
export interface Room {
  readonly cpu: number;
  readonly memory: number;
}

/**
 * Why a pod does not fit onto the node, in the scheduler’s words; undefined when it does. Each pod is judged as if
 * it were alone: the requests of other pods are not counted.
 */
export const whyUnschedulable = (pod: KubeObject, room: Room): string | undefined => {
  const requested = (resource: 'cpu' | 'memory'): number =>
    asList(at(pod, 'spec', 'containers'))
      .map((container) => quantityValue(at(container, 'resources', 'requests', resource)))
      .reduce((sum, amount) => sum + amount, 0);
  const lacking = (['cpu', 'memory'] as const).filter((resource) => requested(resource) > room[resource]);
  if (lacking.length === 0) return undefined;
  const because = lacking.map((resource) => `1 Insufficient ${resource}`).join(', ');
  return `0/1 nodes are available: ${because}. preemption: 0/1 nodes are available: 1 Preemption is not helpful for scheduling.`;
};
