import { kinds } from '../model/kinds.ts';
import type { NamedTeam } from '../model/names.ts';
import type { NotebookDeletion } from '../model/record.ts';
import { homeLabels } from '../notebooks/home.ts';
import type { Cluster } from '../ports/cluster.ts';
import { notebookPods, teamIdLabel } from '../teams/labels.ts';
import { clear } from './clear.ts';
import type { ReconcileContext } from './context.ts';

/** Whether the team has home volumes; throws Unavailable when the cluster does not answer. */
export const hasHomes = async (
  cluster: Cluster,
  { names: { namespace } }: NamedTeam,
  signal: AbortSignal,
): Promise<boolean> =>
  (await cluster.list({ ...kinds.volumeClaim, namespace, labels: homeLabels }, signal)).length > 0;

/**
 * Removes the notebook: servers, then the hub through Flux, then what was applied for it. Home volumes stay unless their
 * deletion was asked for; the namespace stays. Throws Blocked while something is being deleted, StaleRead when the order
 * has changed.
 */
export const tearDownNotebook = async (
  context: ReconcileContext,
  deletion: NotebookDeletion,
): Promise<void> => {
  const labels = { [teamIdLabel]: context.team.id };
  const servers = { kind: kinds.pod, labels: notebookPods, what: 'the notebook servers', progress: 10 };
  // The policies restrict the pods, so the pods go first. A hub may start another one until it is gone.
  await clear(context, servers);
  await clear(context, { kind: kinds.helmRelease, labels, what: 'the hub', progress: 25 });
  await clear(context, { ...servers, progress: 50 });
  await clear(context, { kind: kinds.networkPolicy, labels, what: 'the network policies', progress: 55 });
  await clear(context, { kind: kinds.secret, labels, what: 'the hub’s keys', progress: 60 });
  await clear(context, { kind: kinds.configMap, labels, what: 'the profiles', progress: 65 });
  if (deletion.deleteHomes) {
    await clear(context, {
      kind: kinds.volumeClaim,
      labels: homeLabels,
      what: 'the home volumes',
      progress: 70,
      until: deletion.requestedAt,
    });
  }
};
