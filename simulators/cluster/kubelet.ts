import { brokenAnnotation } from '../annotations.ts';
import type { Client } from '../kubernetes/client.ts';
import { asList, asMap, asText, at, isMap, type Json, type JsonMap } from '../kubernetes/json.ts';
import { isBeingDeleted, type KubeObject, nameOf, namespaceOf, uidOf } from '../kubernetes/object.ts';
import { seconds } from '../time.ts';
import { type Outcome, startWorkQueue } from '../work-queue.ts';
import { type PodEvent, recordEvent, removeOldEvents } from './events.ts';
import { quoted, referenceFault } from './image-reference.ts';
import { imagesOf, pullFault, startedStatus, unscheduledStatus, waitingStatus } from './pod-status.ts';
import { type Room, whyUnschedulable } from './scheduling.ts';

const node = 'sandbox';
const oldEventsEveryMs = 600_000;

/** The kubelet's longest pause between two attempts to pull an image. */
const longestBackOffMs = 300_000;

export interface KubeletOptions {
  readonly client: Client;
  /** From the moment a pod has a node until it is ready, or crashes. */
  readonly podReadyMs?: number;
  /** How long a pod takes to stop once it is deleted. */
  readonly podStopMs?: number;
  /** Whether this image can be pulled; called at every attempt. Default: every image can. */
  readonly pullable?: (image: string) => boolean;
  /** The pause after the first failed pull; it doubles with each one, up to five minutes. */
  readonly pullBackOffMs?: number;
  /** A pod that asks for more than this stays unscheduled. */
  readonly room?: Room;
  readonly onFailure?: (what: string, error: unknown) => void;
}

export const isReady = (pod: KubeObject): boolean =>
  !isBeingDeleted(pod) &&
  asList(at(pod, 'status', 'conditions')).some(
    (condition) => isMap(condition) && condition.type === 'Ready' && condition.status === 'True',
  );

const waitsFor = (pod: KubeObject, reason: string): boolean =>
  asList(at(pod, 'status', 'containerStatuses')).some(
    (container) => at(container, 'state', 'waiting', 'reason') === reason,
  );

/** Whether one of its containers is in a crash loop. */
export const isCrashing = (pod: KubeObject): boolean =>
  !isBeingDeleted(pod) && waitsFor(pod, 'CrashLoopBackOff');

/**
 * Simulates the scheduler, the kubelet and the volume provisioner: pods get a node, become ready after a while and are
 * gone a while after they were deleted; volume claims are bound. Events report what happens to a pod.
 */
export const startKubelet = ({
  client,
  podReadyMs = 500,
  podStopMs = 200,
  pullable = () => true,
  pullBackOffMs = 10_000,
  room = { cpu: Number.POSITIVE_INFINITY, memory: Number.POSITIVE_INFINITY },
  onFailure = () => {},
}: KubeletOptions): { close(): Promise<void> } => {
  /** When something about a pod was first seen, by uid: Kubernetes' own times have whole seconds only. */
  const since = new Map<string, number>();
  const waited = (key: string, ms: number): number => {
    const start = since.get(key) ?? Date.now();
    since.set(key, start);
    return Math.max(0, start + ms - Date.now());
  };
  /** Images that could not be pulled and when that is tried again, by the pod's uid. */
  const pulls = new Map<string, { image: string; failures: number; nextAt: number }>();

  const setStatus = async (pod: KubeObject, status: JsonMap): Promise<void> => {
    // The uid, since another pod may have the name by now.
    const patch: Json = { metadata: { uid: uidOf(pod) }, status };
    await client.patch('pods', namespaceOf(pod), nameOf(pod), patch, { subresource: 'status' });
  };
  const tell = (
    pod: KubeObject,
    type: PodEvent['type'],
    reason: string,
    message: string,
    from: PodEvent['from'] = 'kubelet',
  ): Promise<void> => recordEvent(client, pod, { type, reason, message, from });

  const schedule = async (pod: KubeObject): Promise<undefined> => {
    const [namespace, name] = [namespaceOf(pod), nameOf(pod)];
    const why = whyUnschedulable(pod, room);
    if (why === undefined) {
      await client.bind(namespace, name, node);
      const assigned = `Successfully assigned ${namespace}/${name} to ${node}`;
      await tell(pod, 'Normal', 'Scheduled', assigned, 'default-scheduler');
      return undefined;
    }
    if (asList(at(pod, 'status', 'conditions')).length > 0) return undefined;
    await setStatus(pod, unscheduledStatus(why, seconds(new Date())));
    await tell(pod, 'Warning', 'FailedScheduling', why, 'default-scheduler');
    return undefined;
  };

  const failPull = async (pod: KubeObject, image: string): Promise<Outcome> => {
    const known = pulls.get(uidOf(pod));
    const now = seconds(new Date());
    const fault = pullFault(image);
    const creating = { reason: 'ContainerCreating' };
    const waitingFor = (why: JsonMap) => (one: string) => (one === image ? why : creating);
    if (known === undefined || known.nextAt <= Date.now()) {
      const failures = (known?.failures ?? 0) + 1;
      const pauseMs = Math.min(pullBackOffMs * 2 ** (failures - 1), longestBackOffMs);
      pulls.set(uidOf(pod), { image, failures, nextAt: Date.now() + pauseMs });
      const why = { reason: 'ErrImagePull', message: fault };
      await setStatus(pod, waitingStatus(pod, waitingFor(why), now));
      await tell(pod, 'Warning', 'Failed', `Failed to pull image "${image}": ${fault}`);
      await tell(pod, 'Warning', 'Failed', 'Error: ErrImagePull');
      return { againMs: 0 };
    }
    if (!waitsFor(pod, 'ImagePullBackOff')) {
      const message = `Back-off pulling image "${image}": ErrImagePull: ${fault}`;
      await setStatus(pod, waitingStatus(pod, waitingFor({ reason: 'ImagePullBackOff', message }), now));
      await tell(pod, 'Normal', 'BackOff', `Back-off pulling image "${image}"`);
      await tell(pod, 'Warning', 'Failed', 'Error: ImagePullBackOff');
    }
    return { againMs: Math.max(0, known.nextAt - Date.now()) };
  };

  /** Kubernetes 1.34, pkg/kubelet/images/image_manager.go: the name is parsed before anything is pulled. */
  const refuseName = async (pod: KubeObject, image: string, fault: string): Promise<Outcome> => {
    const message = `Failed to apply default image tag ${quoted(image)}: couldn't parse image name ${quoted(image)}: ${fault}`;
    if (waitsFor(pod, 'InvalidImageName')) return undefined;
    const why = (one: string): JsonMap =>
      one === image ? { reason: 'InvalidImageName', message } : { reason: 'ContainerCreating' };
    await setStatus(pod, waitingStatus(pod, why, seconds(new Date())));
    await tell(pod, 'Warning', 'InspectFailed', message);
    await tell(pod, 'Warning', 'Failed', 'Error: InvalidImageName');
    return undefined;
  };

  const run = async (pod: KubeObject): Promise<Outcome> => {
    const invalid = imagesOf(pod).find((image) => referenceFault(image) !== undefined);
    if (invalid !== undefined) return refuseName(pod, invalid, referenceFault(invalid) ?? '');
    if (!since.has(uidOf(pod))) {
      waited(uidOf(pod), podReadyMs);
      await setStatus(
        pod,
        waitingStatus(pod, () => ({ reason: 'ContainerCreating' }), seconds(new Date())),
      );
      for (const image of imagesOf(pod)) await tell(pod, 'Normal', 'Pulling', `Pulling image "${image}"`);
    }
    const backOff = pulls.get(uidOf(pod));
    const waits = backOff !== undefined && backOff.nextAt > Date.now();
    const missing = waits ? backOff.image : imagesOf(pod).find((image) => !pullable(image));
    if (missing !== undefined) return failPull(pod, missing);
    const left = waited(uidOf(pod), podReadyMs);
    if (left > 0) return { againMs: left };
    const works = asMap(pod.metadata.annotations)[brokenAnnotation] === undefined;
    for (const container of asList(at(pod, 'spec', 'containers'))) {
      const name = asText(at(container, 'name'));
      await tell(
        pod,
        'Normal',
        'Pulled',
        `Successfully pulled image "${asText(at(container, 'image'))}" in ${podReadyMs}ms`,
      );
      await tell(pod, 'Normal', 'Created', `Created container: ${name}`);
      await tell(pod, 'Normal', 'Started', `Started container ${name}`);
    }
    await setStatus(pod, startedStatus(pod, works, seconds(new Date())));
    return undefined;
  };

  const reconcile = async (key: string): Promise<Outcome> => {
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
    if (asText(at(pod, 'spec', 'nodeName')) === '') return schedule(pod);
    return isReady(pod) || isCrashing(pod) ? undefined : run(pod);
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

  const queue = startWorkQueue(reconcile, (key, error) => onFailure(`Pod ${key}`, error));
  const forgetOldEvents = (): void => {
    removeOldEvents(client).catch((error: unknown) => onFailure('Old events', error));
  };
  forgetOldEvents();
  const cleaning = setInterval(forgetOldEvents, oldEventsEveryMs);
  const stops = [
    client.watch('pods', {}, (type, pod) => {
      if (type !== 'DELETED') queue.add(`${namespaceOf(pod)}/${nameOf(pod)}`);
      else {
        for (const key of [uidOf(pod), `stop ${uidOf(pod)}`]) since.delete(key);
        pulls.delete(uidOf(pod));
      }
    }),
    client.watch('persistentvolumeclaims', {}, (type, claim) => {
      const isNew = type !== 'DELETED' && !isBeingDeleted(claim) && at(claim, 'status', 'phase') !== 'Bound';
      if (isNew) bindClaim(claim).catch((error: unknown) => onFailure(`Claim ${nameOf(claim)}`, error));
    }),
  ];
  return {
    async close() {
      clearInterval(cleaning);
      for (const stop of stops) stop();
      await queue.close();
    },
  };
};
