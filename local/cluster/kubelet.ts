import { brokenAnnotation } from '../annotations.ts';
import type { Client } from '../kubernetes/client.ts';
import type { JsonMap } from '../kubernetes/json.ts';
import { asList, asMap, asText, at, isMap } from '../kubernetes/json.ts';
import type { KubeObject } from '../kubernetes/object.ts';
import { isBeingDeleted, nameOf, namespaceOf, uidOf } from '../kubernetes/object.ts';
import { seconds } from '../time.ts';
import { type Outcome, startWorkQueue } from '../work-queue.ts';

const node = 'sandbox';

export interface KubeletOptions {
  readonly client: Client;
  /** From the moment a pod is first seen until it is ready. */
  readonly podReadyMs?: number;
  /** How long a pod takes to stop once it is deleted. */
  readonly podStopMs?: number;
  readonly onFailure?: (what: string, error: unknown) => void;
}

export const isReady = (pod: KubeObject): boolean =>
  !isBeingDeleted(pod) &&
  asList(at(pod, 'status', 'conditions')).some(
    (condition) => isMap(condition) && condition.type === 'Ready' && condition.status === 'True',
  );

const runningStatus = (pod: KubeObject, now: string): JsonMap => ({
  phase: 'Running',
  startTime: asText(pod.metadata.creationTimestamp),
  conditions: ['PodScheduled', 'Initialized', 'ContainersReady', 'Ready'].map((type) => ({
    type,
    status: 'True',
    lastTransitionTime: now,
  })),
  containerStatuses: asList(at(pod, 'spec', 'containers')).map((container) => ({
    name: asText(at(container, 'name')),
    image: asText(at(container, 'image')),
    imageID: '',
    ready: true,
    started: true,
    restartCount: 0,
    state: { running: { startedAt: now } },
  })),
});

/**
 * Plays the scheduler, the kubelet and the volume provisioner: pods get a node, become ready after a while and are
 * gone a while after they were deleted; volume claims are bound.
 */
export const startKubelet = ({
  client,
  podReadyMs = 500,
  podStopMs = 200,
  onFailure = () => {},
}: KubeletOptions): { close(): Promise<void> } => {
  /** When something about a pod was first seen, by uid: Kubernetes' own times have whole seconds only. */
  const since = new Map<string, number>();
  const waited = (key: string, ms: number): number => {
    const start = since.get(key) ?? Date.now();
    since.set(key, start);
    return Math.max(0, start + ms - Date.now());
  };

  const look = async (key: string): Promise<Outcome> => {
    const [namespace = '', name = ''] = key.split('/');
    const pod = await client.get('pods', namespace, name);
    if (pod === undefined) return undefined;
    if (isBeingDeleted(pod)) {
      const left = waited(`stop ${uidOf(pod)}`, podStopMs);
      if (left > 0) return { againMs: left };
      await client.delete('pods', namespace, name, {
        gracePeriodSeconds: 0,
        preconditions: { uid: uidOf(pod) },
      });
      return undefined;
    }
    if (asText(at(pod, 'spec', 'nodeName')) === '') {
      await client.bind(namespace, name, node);
      return undefined;
    }
    if (isReady(pod) || asMap(pod.metadata.annotations)[brokenAnnotation] !== undefined) return undefined;
    const left = waited(uidOf(pod), podReadyMs);
    if (left > 0) return { againMs: left };
    const status = runningStatus(pod, seconds(new Date()));
    await client.patch('pods', namespace, name, { status }, { subresource: 'status' });
    return undefined;
  };

  const bindClaim = async (claim: KubeObject): Promise<void> => {
    const status = {
      phase: 'Bound',
      accessModes: at(claim, 'spec', 'accessModes') ?? [],
      capacity: at(claim, 'spec', 'resources', 'requests') ?? {},
    };
    await client.patch(
      'persistentvolumeclaims',
      namespaceOf(claim),
      nameOf(claim),
      { status },
      { subresource: 'status' },
    );
  };

  const queue = startWorkQueue(look, (key, error) => onFailure(`Pod ${key}`, error));
  const stops = [
    client.watch('pods', {}, (type, pod) => {
      if (type !== 'DELETED') queue.add(`${namespaceOf(pod)}/${nameOf(pod)}`);
      else for (const key of [uidOf(pod), `stop ${uidOf(pod)}`]) since.delete(key);
    }),
    client.watch('persistentvolumeclaims', {}, (type, claim) => {
      const isNew = type !== 'DELETED' && !isBeingDeleted(claim) && at(claim, 'status', 'phase') !== 'Bound';
      if (isNew) bindClaim(claim).catch((error: unknown) => onFailure(`Claim ${nameOf(claim)}`, error));
    }),
  ];
  return {
    async close() {
      for (const stop of stops) stop();
      await queue.close();
    },
  };
};
