import { Unavailable } from '../ports/unavailable.ts';
import { Blocked, StaleRead } from './blocked.ts';
import type { ReconcileFacts } from './conditions.ts';
import type { ReconcileContext } from './context.ts';

const internalError =
  'An unexpected error occurred. It is in the log for the platform team, and the attempt is repeated.';

/**
 * What an error says about applying the team’s objects. What nobody expected goes to the log, not to people. Throws
 * StaleRead, which says nothing about them.
 */
export const appliedFact = (
  { deps, team }: ReconcileContext,
  error: unknown,
): Exclude<ReconcileFacts['applied'], { outcome: 'complete' }> => {
  if (error instanceof StaleRead) throw error;
  if (error instanceof Blocked) {
    const { outcome, reason, message } = error;
    return { outcome, reason, message };
  }
  if (error instanceof Unavailable) {
    return { outcome: 'unknown', reason: `${error.system}Unavailable`, message: error.message };
  }
  deps.log.error({ team: team.slug, err: error }, 'reconcile failed');
  return { outcome: 'unknown', reason: 'InternalError', message: internalError };
};
