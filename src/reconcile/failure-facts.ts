import { Unavailable } from '../ports/unavailable.ts';
import { Blocked, StaleRead } from './blocked.ts';
import type { ReconcileFacts, UnknownReason } from './conditions.ts';
import type { ReconcileContext } from './context.ts';

const internalError =
  'An unexpected error occurred. It is in the log for the platform team, and the attempt is repeated.';

/** The systems that a reconcile depends on, by the name that their adapter gives. */
const unavailable: Readonly<Record<string, UnknownReason>> = {
  Kubernetes: 'KubernetesUnavailable',
  GKE: 'GKEUnavailable',
  Google: 'GoogleUnavailable',
};

/**
 * What an error says about applying the team’s objects. An unexpected error goes to the log, not to clients. Throws
 * StaleRead, which says nothing about them.
 */
export const appliedFact = (
  { deps, team }: ReconcileContext,
  error: unknown,
): Exclude<ReconcileFacts['applied'], { outcome: 'complete' }> => {
  if (error instanceof StaleRead) throw error;
  if (error instanceof Blocked) {
    const { outcome, reason, message, progress } = error;
    return { outcome, reason, message, ...(progress === undefined ? {} : { progress }) };
  }
  if (error instanceof Unavailable) {
    return {
      outcome: 'unknown',
      reason: unavailable[error.system] ?? 'DependencyUnavailable',
      message: error.message,
    };
  }
  deps.log.error({ team: team.slug, err: error }, 'reconcile failed');
  return { outcome: 'unknown', reason: 'InternalError', message: internalError };
};

/**
 * The facts when the cluster holds a newer revision than the store has ever given: the database was restored from a
 * backup. Nothing is applied until an operator makes the store the truth again (deploy/README.md, After a restore).
 */
export const storeBehindFacts = (
  { deps, team }: Pick<ReconcileContext, 'deps' | 'team'>,
  clusterRevision: number,
): ReconcileFacts => {
  const fields = { team: team.slug, storeRevision: team.generation, clusterRevision };
  deps.log.error(fields, 'store is behind the cluster');
  const message = `The cluster holds revision ${clusterRevision} of this team, the database revision ${team.generation}: the database was restored from a backup. The platform team has to run the step after a restore.`;
  return { applied: { outcome: 'blocked', reason: 'StoreBehindCluster', message }, release: undefined };
};
