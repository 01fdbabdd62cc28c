import { createHash } from 'node:crypto';
import { asList, asText, at, type JsonMap } from '../kubernetes/json.ts';
import { type KubeObject, uidOf } from '../kubernetes/object.ts';

const conditionsOf = (holds: Readonly<Record<string, boolean>>, now: string): JsonMap[] =>
  Object.entries(holds).map(([type, value]) => ({
    type,
    status: value ? 'True' : 'False',
    lastTransitionTime: now,
  }));

/** The status of a pod that no node has room for. */
export const unscheduledStatus = (message: string, now: string): JsonMap => ({
  phase: 'Pending',
  conditions: [
    { type: 'PodScheduled', status: 'False', reason: 'Unschedulable', message, lastTransitionTime: now },
  ],
});

/** Every container of the pod with the state that the function gives it. */
const containersOf = (pod: KubeObject, state: (image: string) => JsonMap, counts: JsonMap): JsonMap[] =>
  asList(at(pod, 'spec', 'containers')).map((container) => {
    const image = asText(at(container, 'image'));
    return { name: asText(at(container, 'name')), image, imageID: '', ...counts, state: state(image) };
  });

/** The status of a pod on a node whose containers do not run yet, each with its reason. */
export const waitingStatus = (pod: KubeObject, why: (image: string) => JsonMap, now: string): JsonMap => ({
  phase: 'Pending',
  startTime: asText(pod.metadata.creationTimestamp),
  conditions: conditionsOf(
    { PodScheduled: true, Initialized: true, ContainersReady: false, Ready: false },
    now,
  ),
  containerStatuses: containersOf(pod, (image) => ({ waiting: why(image) }), {
    ready: false,
    started: false,
    restartCount: 0,
  }),
});

/** An address for each pod, always the same one. */
const addressOf = (pod: KubeObject): string => {
  const [high = 0, low = 0] = createHash('sha256').update(uidOf(pod)).digest();
  return `10.244.${high}.${low}`;
};

/** The status of a pod whose containers have been started; they run, or are in a crash loop. */
export const startedStatus = (pod: KubeObject, works: boolean, now: string): JsonMap => {
  const state: JsonMap = works
    ? { running: { startedAt: now } }
    : { waiting: { reason: 'CrashLoopBackOff', message: 'back-off 10s restarting failed container' } };
  return {
    phase: 'Running',
    startTime: asText(pod.metadata.creationTimestamp),
    podIP: addressOf(pod),
    conditions: conditionsOf(
      { PodScheduled: true, Initialized: true, ContainersReady: works, Ready: works },
      now,
    ),
    containerStatuses: containersOf(pod, () => state, {
      ready: works,
      started: works,
      restartCount: works ? 0 : 1,
    }),
  };
};

export const imagesOf = (pod: KubeObject): readonly string[] =>
  asList(at(pod, 'spec', 'containers')).map((container) => asText(at(container, 'image')));

/** containerd’s message for an image that the registry does not have. */
export const pullFault = (image: string): string =>
  `rpc error: code = NotFound desc = failed to pull and unpack image "${image}": failed to resolve reference "${image}": ${image}: not found`;
