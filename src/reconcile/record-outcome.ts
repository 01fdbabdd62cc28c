import { isDeepStrictEqual } from 'node:util';
import { isoOf } from '../lib/time.ts';
import type { TeamRecord, TeamStatus } from '../model/record.ts';
import { type ReconcileFacts, statusAfter } from './conditions.ts';
import { isSameGeneration, type ReconcileDeps } from './context.ts';
import { namesOf } from './egress.ts';

/** A team where all is well is looked at this often. */
export const lookAgainSeconds = 30 * 60;
export const degradedSeconds = 60;
export const longestBackoffSeconds = 300;

/** A hub that is away is caught up with at the next tick. */
export const pendingMembersSeconds = 30;

/** Whether another look may find what this one could not. */
const hasFailed = ({ applied, secret }: ReconcileFacts): boolean =>
  applied.outcome === 'unknown' || (secret !== undefined && secret.state !== 'ready');

/** When to look again, in seconds from now. */
const waitSeconds = (
  phase: TeamRecord['status']['phase'],
  facts: ReconcileFacts,
  failures: number,
): number => {
  if (failures > 0) return Math.min(2 ** failures, longestBackoffSeconds);
  if (facts.members?.outcome === 'pending') return pendingMembersSeconds;
  if (facts.egress?.outcome === 'ineffective') return degradedSeconds;
  if (phase === 'Ready') return lookAgainSeconds;
  if (phase === 'Degraded' || facts.applied.outcome === 'blocked') return degradedSeconds;
  return 0;
};

/** The part of a status that people see. */
const shown = ({ provisioned: _provisioned, hubUsers: _hubUsers, ...rest }: TeamStatus) => rest;

export const recorded = async (
  deps: ReconcileDeps,
  looked: TeamRecord,
  facts: ReconcileFacts,
): Promise<TeamRecord | undefined> =>
  deps.store.change(looked.slug, (current) => {
    if (!isSameGeneration(current, looked)) return undefined;
    const now = new Date(deps.clock.now());
    const status = statusAfter(current, facts, now.toISOString());
    const failures = hasFailed(facts) ? current.reconcile.failures + 1 : 0;
    const egressHosts = namesOf(current, deps.egress);
    const wait = waitSeconds(status.phase, facts, failures);
    // By value: a store may hand out fields in another order.
    const changed = !isDeepStrictEqual(shown(status), shown(current.status));
    const same =
      isDeepStrictEqual(status, current.status) && isDeepStrictEqual(egressHosts, current.egressHosts);
    const due = isoOf(now.getTime() + wait * 1000);
    // A look in between that finds nothing new writes nothing.
    const settled = failures === current.reconcile.failures && current.reconcile.dueAt <= due;
    const early = wait === 0 || current.reconcile.dueAt > now.toISOString();
    if (same && settled && early) return undefined;
    return {
      next: {
        ...current,
        status,
        statusVersion: current.statusVersion + (changed ? 1 : 0),
        egressHosts,
        reconcile: { dueAt: due, failures },
      },
    };
  });

export const withoutNotebook = async (
  deps: ReconcileDeps,
  looked: TeamRecord,
): Promise<TeamRecord | undefined> =>
  deps.store.change(looked.slug, (current) => {
    if (!isSameGeneration(current, looked)) return undefined;
    const now = isoOf(deps.clock.now());
    return {
      next: {
        ...current,
        notebook: null,
        release: null,
        culling: { dueAt: null, servers: {} },
        egressHosts: [],
        generation: current.generation + 1,
        status: { ...current.status, phase: 'Applying', conditions: [], appliedRevision: 0, wasReady: false },
        statusVersion: current.statusVersion + 1,
        reconcile: { dueAt: now, failures: 0 },
      },
    };
  });
