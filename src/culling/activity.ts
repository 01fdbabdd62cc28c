import type { NotebookSpec } from '../model/notebook.ts';
import type { CullingState, ServerMemory } from '../model/record.ts';
import type { HubPending, HubServer } from '../ports/hubs.ts';

export type CullingSpec = NotebookSpec['culling'];

/** What a server’s kernels said. `unknown`: they were asked and gave no answer. */
export type Busy = 'busy' | 'idle' | 'unknown' | 'not asked';

/** All that a decision about a server rests on. Instants are ISO 8601 UTC. */
export interface ActivityFacts {
  /** When the hub told of it; null when it gave no answer. */
  readonly lookedAt: string | null;
  /** Running, or on its way up or down. */
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

/** What is remembered of a user’s server. Names come from outside: nothing is remembered of a `constructor` by accident. */
export const memoryOf = ({ servers }: CullingState, user: string): ServerMemory | undefined =>
  Object.hasOwn(servers, user) ? servers[user] : undefined;

/** What the hub tells of a server, with what is remembered of it. */
export const factsOf = (
  server: HubServer | null,
  memory: ServerMemory | undefined,
  look: { readonly lookedAt: string; readonly busy: Busy },
): ActivityFacts => ({
  lookedAt: look.lookedAt,
  running: server !== null && !server.stopped,
  ready: server?.ready ?? false,
  pending: server?.pending ?? null,
  startedAt: server?.startedAt ?? null,
  lastActivityAt: server?.lastActivityAt ?? null,
  busy: look.busy,
  busyAt: memory?.busyAt ?? null,
  probeFailingSince: memory?.probeFailingSince ?? null,
  extendedUntil: memory?.extendedUntil ?? null,
  culledAt: memory?.culledAt ?? null,
});

/** Epoch milliseconds at which the present run started, and at which it was last used. */
export interface Run {
  readonly start: number;
  readonly active: number;
}

/**
 * The present run of a server; null when it does not run or nobody knows since when. A kernel that was seen busy is
 * activity at that instant, where the team counts that. Activity of an earlier run is none.
 *
 * Hubs take reports of activity up to 59 minutes ahead of their clock, which itself may be off. Nobody was active
 * after the look, so what lies ahead of it counts as the look itself.
 */
export const runOf = (facts: ActivityFacts, { keepBusyKernels }: CullingSpec): Run | null => {
  const { lookedAt, startedAt, lastActivityAt, busyAt } = facts;
  if (!facts.running || lookedAt === null || startedAt === null) return null;
  const seen = (at: string | null): number =>
    at === null ? Number.NEGATIVE_INFINITY : Math.min(Date.parse(at), Date.parse(lookedAt));
  const start = seen(startedAt);
  const active = Math.max(
    start,
    seen(lastActivityAt),
    keepBusyKernels && busyAt !== null ? Date.parse(busyAt) : start,
  );
  return Number.isFinite(active) ? { start, active } : null;
};

/** Since when this idle run’s kernels could not be asked; null when they were never asked, or it was used since. */
export const failingSince = ({ probeFailingSince }: ActivityFacts, { active }: Run): number | null => {
  if (probeFailingSince === null) return null;
  const since = Date.parse(probeFailingSince);
  return since >= active ? since : null;
};

/** How long a stop that the hub has accepted is given before it is asked for again. */
export const stopTakesMs = 10 * 60_000;

/** Whether this very run is on its way down, because the culling stopped it; `now` in epoch milliseconds. */
export const isBeingCulled = (culledAt: string | null, { start }: Run, now: number): boolean => {
  if (culledAt === null) return false;
  const culled = Date.parse(culledAt);
  return culled >= start && now < culled + stopTakesMs;
};
