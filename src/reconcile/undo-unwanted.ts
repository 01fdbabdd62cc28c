import type { LiveEgress } from '../egress/live-egress.ts';
import { type Manifest, nameOf, refOf } from '../ports/cluster.ts';
import { revisionAnnotation } from '../teams/labels.ts';
import type { ReconcileContext } from './context.ts';

/**
 * Removes what was created at the moment in which it became unwanted: nothing else would ever look for it. An object
 * that a newer reconcile has put to use stays.
 */
export const undoUnwanted = async (
  { deps, team, signal }: ReconcileContext,
  live: LiveEgress,
  created: readonly Manifest[],
): Promise<void> => {
  const current = await deps.store.team(team.slug);
  const wanted = current?.id === team.id ? (await deps.render(current, live)).map(nameOf) : [];
  for (const object of created.toReversed()) {
    if (wanted.includes(nameOf(object))) continue;
    const ref = refOf(object);
    for (
      let found = await deps.cluster.read(ref, signal);
      found;
      found = await deps.cluster.read(ref, signal)
    ) {
      const { uid, resourceVersion, annotations, deletionTimestamp } = found.metadata;
      const isAsCreated =
        uid === object.metadata.uid && annotations?.[revisionAnnotation] === String(team.generation);
      if (!isAsCreated || uid === undefined || resourceVersion === undefined || deletionTimestamp) break;
      // On a conflict its status was written, or a newer reconcile has applied it: read again.
      if ((await deps.cluster.remove({ ...ref, uid, resourceVersion }, signal)) !== 'conflict') break;
    }
  }
};
