import type { NotebookSpec } from '../model/notebook.ts';
import type { CullingState, ServerMemory } from '../model/record.ts';
import type { HubPending, HubServer } from '../ports/hubs.ts';

export type CullingSpec = NotebookSpec['culling'];

/** What a server’s kernels answered. `unknown`: they were probed and gave no answer. */
export type Busy = 'busy' | 'idle' | 'unknown' | 'not asked';

/** How long a stop that the hub has accepted may take before it is requested again. */
export const stopTakesMs = 10 * 60_000;

/** Everything that a decision about a server depends on. Instants are ISO 8601 UTC. */
export interface ActivityFacts {
  /** When the hub was asked; null when it gave no answer. */
  readonly observedAt: string | null;
  /** Running, starting or stopping. */
  readonly running: boolean;
  readonly ready: boolean;
  readonly pending: HubPending | null;
  readonly startedAt: string | null;
  readonly lastActivityAt: string | null;
  readonly busy: Busy;
  readonly busyAt: string | null;
  readonly probeFailingSince: string | null;
  readonly extendedUntil: string | null;
  readonly culledAt: string | null;
}

/** The memory of a user’s server. User names come from outside: `constructor` must not find an inherited property. */
export const memoryOf = ({ servers }: CullingState, user: string): ServerMemory | undefined =>
  Object.hasOwn(servers, user) ? servers[user] : undefined;

/** When a server was last active. A stop that was requested here does not count, although the hub counts it. */
export const lastActivityOf = (
  culling: CullingState,
  user: string,
  server: HubServer | null,
): string | null => {
  const lastActivityAt = server?.lastActivityAt ?? null;
  const stopped = memoryOf(culling, user)?.stopped;
  const isDown = server !== null && (server.stopped || server.pending === 'stop');
  if (!isDown || lastActivityAt === null || stopped === undefined || stopped.lastActivityAt === null)
    return lastActivityAt;
  const isOfStop = Date.parse(lastActivityAt) <= Date.parse(stopped.stoppedAt) + stopTakesMs;
  return isOfStop ? stopped.lastActivityAt : lastActivityAt;
};

/** The hub’s view of a server combined with our memory of it. */
export const factsOf = (
  server: HubServer | null,
  memory: ServerMemory | undefined,
  observation: { readonly observedAt: string; readonly busy: Busy },
): ActivityFacts => ({
  observedAt: observation.observedAt,
  running: server !== null && !server.stopped,
  ready: server?.ready ?? false,
  pending: server?.pending ?? null,
  startedAt: server?.startedAt ?? null,
  lastActivityAt: server?.lastActivityAt ?? null,
  busy: observation.busy,
  busyAt: memory?.busyAt ?? null,
  probeFailingSince: memory?.probeFailingSince ?? null,
  extendedUntil: memory?.extendedUntil ?? null,
  culledAt: memory?.culledAt ?? null,
});

/** When the current run started and when it was last active, epoch milliseconds. */
export interface Run {
  readonly start: number;
  readonly active: number;
}

/**
 * The current run of a server; null when it is not running or its start is unknown. A kernel observed busy counts as
 * activity at that instant if the team keeps busy kernels. Activity from before the start does not count.
 *
 * Hubs accept reports of activity up to 59 minutes ahead of their clock, which itself may be off. No activity can be
 * later than the observation, so a later instant counts as the observation itself.
 */
export const runOf = (facts: ActivityFacts, { keepBusyKernels }: CullingSpec): Run | null => {
  const { observedAt, startedAt, lastActivityAt, busyAt } = facts;
  if (!facts.running || observedAt === null || startedAt === null) return null;
  const seen = (at: string | null): number =>
    at === null ? Number.NEGATIVE_INFINITY : Math.min(Date.parse(at), Date.parse(observedAt));
  const start = seen(startedAt);
  const active = Math.max(
    start,
    seen(lastActivityAt),
    keepBusyKernels && busyAt !== null ? Date.parse(busyAt) : start,
  );
  return Number.isFinite(active) ? { start, active } : null;
};

/** Since when probes of this idle run fail; null when none failed, or when there was activity since. */
export const failingSince = ({ probeFailingSince }: ActivityFacts, { active }: Run): number | null => {
  if (probeFailingSince === null) return null;
  const since = Date.parse(probeFailingSince);
  return since >= active ? since : null;
};

/** Whether culling has already stopped this run; `now` in epoch milliseconds. */
export const isBeingCulled = (culledAt: string | null, { start }: Run, now: number): boolean => {
  if (culledAt === null) return false;
  const culled = Date.parse(culledAt);
  return culled >= start && now < culled + stopTakesMs;
};
