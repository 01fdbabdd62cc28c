import { kinds } from '../model/kinds.ts';
import { homeLabels } from '../notebooks/home.ts';
import { resourceQuota, resourceQuotaName, usageOf } from '../notebooks/resource-quota.ts';
import type { Manifest } from '../ports/cluster.ts';
import { isOwned, metaOf } from '../teams/desired.ts';
import { livePods, notebookPods } from '../teams/labels.ts';
import { StaleRead } from './blocked.ts';
import { listKind } from './clear.ts';
import type { ReconcileContext } from './context.ts';
import { assertNotNewer } from './fencing.ts';

export const isQuota = ({ kind }: Manifest): boolean => kind === kinds.resourceQuota.kind;

/** The desired objects, with a quota that holds what notebooks take now. Costs nothing for a team without a quota. */
export const withRoom = async (
  context: ReconcileContext,
  objects: readonly Manifest[],
): Promise<readonly Manifest[]> => {
  if (!objects.some(isQuota)) return objects;
  const { team } = context;
  const [pods, homes] = await Promise.all([
    listKind(context, kinds.pod, notebookPods),
    listKind(context, kinds.volumeClaim, homeLabels),
  ]);
  const quotas = resourceQuota(team, metaOf(team), usageOf(livePods(pods), homes));
  return objects.flatMap((object) => (isQuota(object) ? quotas : [object]));
};

/**
 * Deletes this team’s quota when none is wanted; another one of that name is left alone. Only while the order is not
 * applied yet: what an overtaken reconcile creates, it removes itself.
 */
export const pruneQuota = async (context: ReconcileContext, wanted: readonly Manifest[]): Promise<void> => {
  const { deps, team, signal } = context;
  if (wanted.some(isQuota) || team.status.appliedGeneration === team.generation) return;
  const ref = { ...kinds.resourceQuota, namespace: team.names.namespace, name: resourceQuotaName };
  const found = await deps.cluster.read(ref, signal);
  if (found === undefined || !isOwned(found, team)) return;
  const { uid, resourceVersion, deletionTimestamp } = found.metadata;
  if (uid === undefined || resourceVersion === undefined || deletionTimestamp !== undefined) return;
  assertNotNewer(context, found);
  // Guarded by its version: a newer reconcile may want a quota again, and has stamped it then.
  const outcome = await deps.cluster.remove({ ...ref, uid, resourceVersion }, signal);
  if (outcome === 'conflict') throw new StaleRead();
};
