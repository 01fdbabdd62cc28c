import type { Phase } from '../model/condition.ts';
import type { TeamRecord, TeamStatus } from '../model/record.ts';
import type { ReconcileFacts } from './conditions.ts';

/** A team in order is reconciled this often. */
export const resyncSeconds = 30 * 60;
const degradedSeconds = 60;
const longestBackoffSeconds = 300;

/** How soon the members are synced again when the hub did not answer. */
const pendingMembersSeconds = 30;

/** How soon a team is looked at again whose hub is ready before Flux has said that it has handled a retry. */
const unhandledRetrySeconds = 60;

/** Whether an operation waits for Flux to handle a retry: it says so only once the attempt has ended. */
export const awaitsRetry = (
  { notebook }: Pick<TeamRecord, 'notebook'>,
  { handledRetry }: TeamStatus,
): boolean => notebook?.retry?.operation !== undefined && handledRetry !== notebook.retry.at;

/** Whether another attempt may succeed where this one failed. */
export const hasFailed = ({ applied, secret }: ReconcileFacts): boolean =>
  applied.outcome === 'unknown' || (secret !== undefined && secret.state !== 'ready');

/** Seconds until the next attempt at a team. `status`: as it is now. `failures`: failed attempts in a row. */
export const waitSeconds = (
  team: Pick<TeamRecord, 'notebook'>,
  status: TeamStatus,
  facts: ReconcileFacts,
  failures: number,
): number =>
  Math.min(
    waitApart(status.phase, facts, failures),
    facts.members?.outcome === 'pending' ? pendingMembersSeconds : Number.POSITIVE_INFINITY,
    awaitsRetry(team, status) ? unhandledRetrySeconds : Number.POSITIVE_INFINITY,
  );

const waitApart = (phase: Phase, facts: ReconcileFacts, failures: number): number => {
  if (failures > 0) return Math.min(2 ** failures, longestBackoffSeconds);
  if (facts.egress?.outcome === 'ineffective') return degradedSeconds;
  if (phase === 'Ready') return resyncSeconds;
  if (phase === 'Degraded' || facts.applied.outcome === 'blocked') return degradedSeconds;
  return 0;
};
