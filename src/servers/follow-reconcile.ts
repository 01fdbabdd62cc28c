import { isoOf } from '../lib/time.ts';
import type { Condition, ConditionType } from '../model/condition.ts';
import type { OperationRecord } from '../model/operation.ts';
import type { TeamRecord } from '../model/record.ts';
import { hasNotebook } from '../teams/lifecycle.ts';
import { failed, isLate, succeeded } from './operation-state.ts';

/** Until an operation has ended, the tick looks at it this often; the reconcile that ends it does not wait for that. */
const dueEveryMs = 30_000;

/** No fact but the end itself is 100 percent. */
const mostProgress = 95;

const conditionOf = ({ status }: TeamRecord, type: ConditionType): Condition | undefined =>
  status.conditions.find((condition) => condition.type === type);

/** The operations that a team’s record names and that may still be open. */
export const followedBy = (team: TeamRecord): readonly string[] => {
  const retry = team.notebook?.retry;
  const isRolledOut =
    team.status.handledRetry === retry?.at && conditionOf(team, 'HubReady')?.status === 'True';
  return [
    team.deletion?.operation,
    team.notebook?.deletion?.operation,
    isRolledOut ? undefined : retry?.operation,
  ].filter((id) => id !== undefined);
};

/** The open operation with what is known now. Progress never decreases; nothing new is written only once it is due. */
const reported = (
  operation: OperationRecord,
  { message, progress }: Pick<OperationRecord, 'message' | 'progress'>,
  now: number,
): OperationRecord => {
  const most = Math.max(operation.progress, Math.min(progress, mostProgress));
  const isNews = message !== operation.message || most > operation.progress;
  if (!isNews && Date.parse(operation.dueAt ?? '') > now) return operation;
  return {
    ...operation,
    message,
    progress: most,
    ...(isNews ? { updatedAt: isoOf(now) } : {}),
    dueAt: isoOf(now + dueEveryMs),
  };
};

const deletionReported = (operation: OperationRecord, team: TeamRecord, now: number): OperationRecord => {
  const applied = conditionOf(team, 'Applied');
  // True is from before the deletion was requested.
  const message = applied === undefined || applied.status === 'True' ? operation.message : applied.message;
  return reported(operation, { message, progress: team.status.deletionProgress ?? 0 }, now);
};

const retryReported = (
  operation: OperationRecord,
  team: TeamRecord,
  retriedAt: string,
  now: number,
): OperationRecord => {
  const applied = conditionOf(team, 'Applied');
  const hub = conditionOf(team, 'HubReady');
  // What Flux said before it handled the retry is about an earlier attempt.
  const isHandled = team.status.handledRetry === retriedAt;
  if (isHandled && hub?.status === 'True') return succeeded(operation, now);
  if (isHandled && (hub?.reason === 'Failed' || hub?.reason === 'RolledBack'))
    return failed(operation, { reason: 'rollout_failed', message: hub.message }, now);
  const isApplied = applied?.status === 'True' && team.status.appliedGeneration >= team.generation;
  const state = !isApplied
    ? {
        message: applied === undefined || applied.status === 'True' ? operation.message : applied.message,
        progress: 10,
      }
    : isHandled || hub?.status === 'Unknown'
      ? { message: hub?.message ?? operation.message, progress: isHandled ? 70 : 50 }
      : { message: 'Flux has been asked to retry the roll-out.', progress: 30 };
  if (isLate(operation, now)) {
    const message = `The roll-out did not finish within an hour. ${state.message}`;
    return failed(operation, { reason: 'rollout_timed_out', message }, now);
  }
  return reported(operation, state, now);
};

/**
 * An open operation whose work is done by reconciling the team, as the team’s record says it stands; undefined for a
 * team that is gone. The record names the operation for as long as there is something left to do, so the operation ends
 * in the same way whoever looks at it, and also if the instance that did the work died before it could say so.
 */
export const followReconcile = (
  operation: OperationRecord,
  team: TeamRecord | undefined,
  now: number,
): OperationRecord => {
  const { id, kind } = operation;
  if (kind === 'delete_team') {
    return team?.deletion?.operation === id
      ? deletionReported(operation, team, now)
      : succeeded(operation, now);
  }
  if (kind === 'delete_notebook') {
    if (team?.notebook?.deletion?.operation !== id) return succeeded(operation, now);
    if (team.deletion === null) return deletionReported(operation, team, now);
    const message = 'The whole team is being deleted, and the notebook with it.';
    return failed(operation, { reason: 'superseded', message }, now);
  }
  if (team === undefined || !hasNotebook(team)) {
    return failed(operation, { reason: 'deleting', message: 'The notebook is being deleted.' }, now);
  }
  const { retry } = team.notebook;
  if (retry?.operation !== id) {
    return failed(operation, { reason: 'superseded', message: 'A later retry replaced this one.' }, now);
  }
  return retryReported(operation, team, retry.at, now);
};
