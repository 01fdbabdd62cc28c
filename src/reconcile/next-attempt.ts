import type { Phase } from '../model/condition.ts';
import type { ReconcileFacts } from './conditions.ts';

/** A team in order is reconciled this often. */
export const resyncSeconds = 30 * 60;
const degradedSeconds = 60;
const longestBackoffSeconds = 300;

/** How soon the members are synced again when the hub did not answer. */
const pendingMembersSeconds = 30;

/** Whether another attempt may succeed where this one failed. */
export const hasFailed = ({ applied, secret }: ReconcileFacts): boolean =>
  applied.outcome === 'unknown' || (secret !== undefined && secret.state !== 'ready');

/** Seconds until the next attempt. `failures`: failed attempts in a row. */
export const waitSeconds = (phase: Phase, facts: ReconcileFacts, failures: number): number => {
  const longest = facts.members?.outcome === 'pending' ? pendingMembersSeconds : Number.POSITIVE_INFINITY;
  return Math.min(waitApartFromMembers(phase, facts, failures), longest);
};

const waitApartFromMembers = (phase: Phase, facts: ReconcileFacts, failures: number): number => {
  if (failures > 0) return Math.min(2 ** failures, longestBackoffSeconds);
  if (facts.egress?.outcome === 'ineffective') return degradedSeconds;
  if (phase === 'Ready') return resyncSeconds;
  if (phase === 'Degraded' || facts.applied.outcome === 'blocked') return degradedSeconds;
  return 0;
};
