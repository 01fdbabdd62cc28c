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
  /** From the moment a pod is first seen until it is ready, or crashes. */
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

/** Whether a container of it ends again and again. */
export const isCrashing = (pod: KubeObject): boolean =>
  !isBeingDeleted(pod) &&
  asList(at(pod, 'status', 'containerStatuses')).some(
    (container) => at(container, 'state', 'waiting', 'reason') === 'CrashLoopBackOff',
  );

const startedStatus = (pod: KubeObject, works: boolean, now: string): JsonMap => {
  const state: JsonMap = works
    ? { running: { startedAt: now } }
    : { waiting: { reason: 'CrashLoopBackOff', message: 'back-off 10s restarting failed container' } };
  const conditions: readonly (readonly [string, boolean])[] = [
    ['PodScheduled', true],
    ['Initialized', true],
    ['ContainersReady', works],
    ['Ready', works],
  ];
  return {
    phase: 'Running',
    startTime: asText(pod.metadata.creationTimestamp),
    conditions: conditions.map(([type, holds]) => ({
      type,
      status: holds ? 'True' : 'False',
      lastTransitionTime: now,
    })),
    containerStatuses: asList(at(pod, 'spec', 'containers')).map((container) => ({
      name: asText(at(container, 'name')),
      image: asText(at(container, 'image')),
      imageID: '',
      ready: works,
      started: works,
      restartCount: works ? 0 : 1,
      state,
    })),
  };
};

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
    if (isReady(pod) || isCrashing(pod)) return undefined;
    const left = waited(uidOf(pod), podReadyMs);
    if (left > 0) return { againMs: left };
    const works = asMap(pod.metadata.annotations)[brokenAnnotation] === undefined;
    const status = startedStatus(pod, works, seconds(new Date()));
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
