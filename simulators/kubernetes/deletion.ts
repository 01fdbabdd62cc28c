import { seconds } from '../time.ts';
import { asMap, asText, asTexts, type JsonMap } from './json.ts';
import { finalizersOf, isBeingDeleted, type KubeObject, nameOf, uidOf, withMetadata } from './object.ts';
import type { Target } from './request.ts';
import type { Resource } from './resources.ts';

function gracePeriod(resource: Resource, live: KubeObject, asked: number | undefined): number {
  if (resource.kind !== 'Pod' || asText(asMap(live.spec).nodeName) === '') return 0;
  if (['Succeeded', 'Failed'].includes(asText(asMap(live.status).phase))) return 0;
  return asked ?? Number(asMap(live.spec).terminationGracePeriodSeconds ?? 30);
}

/** The Status that answers a deletion. */
export function deleted(target: Target, object: KubeObject): JsonMap {
  const { group, plural } = target.resource;
  return {
    kind: 'Status',
    apiVersion: 'v1',
    metadata: {},
    status: 'Success',
    details: { name: nameOf(object), ...(group === '' ? {} : { group }), kind: plural, uid: uidOf(object) },
  };
}

/**
 * The object marked for deletion; undefined when no finalizer holds it, so it is removed at once. Without a policy
 * the finalizers that imply one decide.
 */
export function markedForDeletion(
  resource: Resource,
  live: KubeObject,
  asked: { readonly policy: string; readonly graceSeconds: number | undefined; readonly now: number },
): KubeObject | undefined {
  const kept = finalizersOf(live).filter((one) => one !== 'orphan' && one !== 'foregroundDeletion');
  const own = { Orphan: ['orphan'], Foreground: ['foregroundDeletion'] }[asked.policy];
  const finalizers = asked.policy === '' ? finalizersOf(live) : [...kept, ...(own ?? [])];
  const grace = gracePeriod(resource, live, asked.graceSeconds);
  const isNamespace = resource.kind === 'Namespace';
  const holds = finalizers.length > 0 || (isNamespace && asTexts(asMap(live.spec).finalizers).length > 0);
  if (!holds && grace === 0) return undefined;
  const generation = live.metadata.generation;
  const first = !isBeingDeleted(live);
  const marked = withMetadata(live, {
    finalizers: finalizers.length === 0 ? undefined : finalizers,
    ...(first ? { deletionTimestamp: seconds(new Date(asked.now + grace * 1000)) } : {}),
    deletionGracePeriodSeconds: isNamespace
      ? undefined
      : Math.min(grace, Number(live.metadata.deletionGracePeriodSeconds ?? grace)),
    ...(first && typeof generation === 'number' ? { generation: generation + 1 } : {}),
  });
  return isNamespace ? { ...marked, status: { ...asMap(marked.status), phase: 'Terminating' } } : marked;
}
