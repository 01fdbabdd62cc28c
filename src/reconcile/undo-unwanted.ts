import type { LiveEgress } from '../egress/live-egress.ts';
import { type Manifest, nameOf, refOf } from '../ports/cluster.ts';
import { isOwned } from '../teams/desired.ts';
import { revisionAnnotation } from '../teams/labels.ts';
import type { ReconcileContext } from './context.ts';

/** Its own time: a reconcile that was held back has used up its deadline, and what it created must not stay. */
const deadlineMs = 10_000;

/**
 * Removes what was created at the moment in which it became unwanted: nothing else would ever look for it. An object
 * that a newer reconcile has put to use stays. `created`: what this reconcile created, or has tried to.
 */
export const undoUnwanted = async (
  { deps, team }: ReconcileContext,
  live: LiveEgress,
  created: readonly Manifest[],
): Promise<void> => {
  const current = await deps.store.team(team.slug);
  if (current?.id === team.id && current.generation === team.generation) return;
  const wanted = current?.id === team.id ? (await deps.render(current, live)).map(nameOf) : [];
  const signal = AbortSignal.timeout(deadlineMs);
  const find = (object: Manifest) => deps.cluster.read(refOf(object), signal);
  for (const object of created.toReversed()) {
    if (wanted.includes(nameOf(object))) continue;
    for (let found = await find(object); found !== undefined; found = await find(object)) {
      const { uid, resourceVersion, annotations, deletionTimestamp } = found.metadata;
      const isOfThisReconcile =
        isOwned(found, team) && annotations?.[revisionAnnotation] === String(team.generation);
      if (!isOfThisReconcile || uid === undefined || resourceVersion === undefined || deletionTimestamp)
        break;
      // On a conflict its status was written, or a newer reconcile has applied it: read again.
      const guarded = { ...refOf(object), uid, resourceVersion };
      if ((await deps.cluster.remove(guarded, signal)) !== 'conflict') break;
    }
  }
};
