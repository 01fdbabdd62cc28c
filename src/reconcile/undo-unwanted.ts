import type { Manifest } from '../ports/cluster.ts';
import { revisionAnnotation } from '../teams/desired.ts';
import { type LiveEgress, nameOf, type ReconcileContext, refOf } from './context.ts';

/**
 * What was made in the very moment in which it became unwanted would stay for ever: nothing else looks for it.
 * Takes back what the store does not want any more, unless somebody newer has put it to use.
 */
export const takeBackUnwanted = async (
  { deps, team, signal }: ReconcileContext,
  live: LiveEgress,
  made: readonly Manifest[],
): Promise<void> => {
  const current = await deps.store.team(team.slug);
  const wanted = current?.id === team.id ? (await deps.render(current, live)).map(nameOf) : [];
  for (const object of made.toReversed()) {
    if (wanted.includes(nameOf(object))) continue;
    const ref = refOf(object);
    for (
      let found = await deps.cluster.read(ref, signal);
      found;
      found = await deps.cluster.read(ref, signal)
    ) {
      const { uid, resourceVersion, annotations, deletionTimestamp } = found.metadata;
      const isAsMade =
        uid === object.metadata.uid && annotations?.[revisionAnnotation] === String(team.generation);
      if (!isAsMade || uid === undefined || resourceVersion === undefined || deletionTimestamp) break;
      // A conflict is a status that somebody wrote, or a newer look: read again.
      if ((await deps.cluster.remove({ ...ref, uid, resourceVersion }, signal)) !== 'conflict') break;
    }
  }
};
