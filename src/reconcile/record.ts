import { isDeepStrictEqual } from 'node:util';
import { namesOf } from '../egress/hosts.ts';
import { isoOf } from '../lib/time.ts';
import type { TeamRecord, TeamStatus } from '../model/record.ts';
import { type ReconcileFacts, statusAfter } from './conditions.ts';
import type { ReconcileDeps } from './context.ts';
import { isSameGeneration } from './fencing.ts';
import { hasFailed, waitSeconds } from './next-attempt.ts';

/** The part of a status that people see. */
const shown = ({
  provisioned: _,
  hubUsers: __,
  policies: ___,
  deletionProgress: ____,
  handledRetry: _____,
  ...rest
}: TeamStatus) => rest;

/** Stores what a reconcile of `before` has found; answers the record, undefined when the order has changed since. */
export const recordFacts = async (
  deps: ReconcileDeps,
  before: TeamRecord,
  facts: ReconcileFacts,
): Promise<TeamRecord | undefined> => {
  const recorded = await deps.store.change(before.slug, (current) => {
    if (!isSameGeneration(current, before)) return undefined;
    const now = deps.clock.now();
    const status = statusAfter(current, facts, isoOf(now));
    const failures = hasFailed(facts) ? current.reconcile.failures + 1 : 0;
    const egressHosts = namesOf(current, deps.egress);
    const wait = waitSeconds(current, status, facts, failures);
    // By value: a store may return fields in another order.
    const isNews = !isDeepStrictEqual(shown(status), shown(current.status));
    const isSame =
      isDeepStrictEqual(status, current.status) && isDeepStrictEqual(egressHosts, current.egressHosts);
    const due = isoOf(now + wait * 1000);
    // A reconcile before the team is due that finds nothing new writes nothing.
    const isSoonEnough = failures === current.reconcile.failures && current.reconcile.dueAt <= due;
    const isEarly = wait === 0 || current.reconcile.dueAt > isoOf(now);
    if (isSame && isSoonEnough && isEarly) return undefined;
    return {
      next: {
        ...current,
        status,
        statusVersion: current.statusVersion + (isNews ? 1 : 0),
        egressHosts,
        reconcile: { dueAt: due, failures },
      },
    };
  });
  return isSameGeneration(recorded, before) ? recorded : undefined;
};

/** Makes the team due now: a reconcile has ended before it was done, because something newer came in between. */
export const recordOvertaken = async (
  deps: ReconcileDeps,
  before: TeamRecord,
): Promise<TeamRecord | undefined> =>
  deps.store.change(before.slug, (current) => {
    const now = isoOf(deps.clock.now());
    if (current.id !== before.id || current.reconcile.dueAt <= now) return undefined;
    return { next: { ...current, reconcile: { ...current.reconcile, dueAt: now } } };
  });

/** Stores that the notebook of `before` is gone, unless the order has changed since. */
export const recordNotebookGone = async (
  deps: ReconcileDeps,
  before: TeamRecord,
): Promise<TeamRecord | undefined> =>
  deps.store.change(before.slug, (current) => {
    if (!isSameGeneration(current, before)) return undefined;
    const now = isoOf(deps.clock.now());
    const { deletionProgress: _done, handledRetry: _retry, ...rest } = current.status;
    return {
      next: {
        ...current,
        notebook: null,
        release: null,
        culling: { dueAt: null, servers: {} },
        egressHosts: [],
        generation: current.generation + 1,
        status: { ...rest, phase: 'Applying', conditions: [], appliedRevision: 0, wasReady: false },
        statusVersion: current.statusVersion + 1,
        reconcile: { dueAt: now, failures: 0 },
      },
    };
  });
