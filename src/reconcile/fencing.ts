import type { TeamRecord } from '../model/record.ts';
import type { Manifest } from '../ports/cluster.ts';
import { revisionAnnotation } from '../teams/labels.ts';
import { StaleRead } from './blocked.ts';
import type { ReconcileContext } from './context.ts';

/** Whether the order is still the one that was read; a slug may belong to another team by now. */
export const isSameGeneration = (
  current: TeamRecord | undefined,
  before: Pick<TeamRecord, 'id' | 'generation'>,
): boolean => current?.id === before.id && current.generation === before.generation;

/**
 * Reads the store again before a write that no object’s uid can guard: creating what is absent, deleting what carries
 * no revision of ours. Throws StaleRead when the order has changed.
 */
export const assertSameGeneration = async ({ deps, team }: ReconcileContext): Promise<void> => {
  if (!isSameGeneration(await deps.store.team(team.slug), team)) throw new StaleRead();
};

/** Throws StaleRead when the object was last applied for a newer generation than this reconcile’s. */
export const assertNotNewer = ({ team }: ReconcileContext, { metadata }: Manifest): void => {
  const revision = Number(metadata.annotations?.[revisionAnnotation] ?? 0);
  if (revision > team.generation) throw new StaleRead(revision);
};
