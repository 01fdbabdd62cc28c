import { isoOf } from '../lib/time.ts';
import type { CullingState, ServerMemory, TeamRecord } from '../model/record.ts';
import type { HubServer } from '../ports/hubs.ts';
import { hasNotebook } from '../teams/lifecycle.ts';
import {
  type Busy,
  type CullingSpec,
  factsOf,
  failingSince,
  memoryOf,
  runOf,
  stopTakesMs,
} from './activity.ts';
import { decide, graceMs } from './rules.ts';

/** The shortest interval between two checks of one hub. */
const minIntervalMs = 30_000;

/** Backoff after consecutive failures of a hub. */
const backoffMs = { first: 60_000, longest: 600_000 } as const;

/** A server as one culling run observed it. Instants are ISO 8601 UTC. */
export interface ObservedServer {
  readonly server: HubServer;
  readonly observedAt: string;
  readonly busy: Busy;
  /** When its kernels were probed; null when they were not. */
  readonly probedAt: string | null;
}

/** What one culling run learned about a team’s hub. */
export interface Visit {
  /** When the hub was due, according to the record that the run started from. */
  readonly dueAt: string | null;
  /** The running servers by user; null when the hub did not answer. */
  readonly servers: ReadonlyMap<string, ObservedServer> | null;
  /** Whether the hub failed to answer this or any later request. */
  readonly failed: boolean;
}

/** `observed` is undefined when the server is not running: that ends what is known about its kernels, not an extension. */
const memoryAfter = (
  memory: ServerMemory | undefined,
  observed: ObservedServer | undefined,
  culling: CullingSpec,
  now: number,
): ServerMemory | undefined => {
  const next: { -readonly [K in keyof ServerMemory]: ServerMemory[K] } = {};
  if (memory?.extendedUntil !== undefined && Date.parse(memory.extendedUntil) > now)
    next.extendedUntil = memory.extendedUntil;
  if (memory?.culledAt !== undefined && Date.parse(memory.culledAt) + stopTakesMs > now)
    next.culledAt = memory.culledAt;
  const startedAt = observed?.server.startedAt ?? null;
  // A later run has an activity of its own.
  const isNewRun = startedAt !== null && startedAt > (memory?.stopped?.stoppedAt ?? '');
  if (memory?.stopped !== undefined && !isNewRun) next.stopped = memory.stopped;
  if (observed !== undefined) {
    const { server, probedAt, busy } = observed;
    const facts = factsOf(server, memory, observed);
    const run = runOf(facts, culling);
    const since = run === null ? null : failingSince(facts, run);
    const busyAt = busy === 'busy' && probedAt !== null ? probedAt : memory?.busyAt;
    if (busyAt !== undefined) next.busyAt = busyAt;
    if (since !== null && (busy === 'unknown' || busy === 'not asked')) next.probeFailingSince = isoOf(since);
    else if (busy === 'unknown' && probedAt !== null) next.probeFailingSince = probedAt;
  }
  return Object.keys(next).length === 0 ? undefined : next;
};

/**
 * The team’s culling state after a visit, based on the current record: what users requested in the meantime is kept. A
 * hub is asked again when the first of its servers may be due, and before one that is started right now could be.
 */
export const cullingAfter = (team: TeamRecord, visit: Visit, now: number): CullingState => {
  if (!hasNotebook(team)) return { dueAt: null, servers: {} };
  const { notebook, culling: before } = team;
  const { culling } = notebook.spec;
  const { servers: observed } = visit;

  const users = new Set([...Object.keys(before.servers), ...(observed?.keys() ?? [])]);
  const servers =
    observed === null
      ? before.servers
      : Object.fromEntries(
          [...users].flatMap((user) => {
            const memory = memoryAfter(memoryOf(before, user), observed.get(user), culling, now);
            return memory === undefined ? [] : [[user, memory]];
          }),
        );

  // Another run or an order has changed the due time since: the earlier one applies.
  const changedDueAt = before.dueAt === visit.dueAt ? null : before.dueAt;
  const dueBy = (at: number): string =>
    isoOf(changedDueAt === null ? at : Math.min(at, Date.parse(changedDueAt)));

  if (visit.failed) {
    const failures = (before.failures ?? 0) + 1;
    const wait = Math.min(backoffMs.first * 2 ** (failures - 1), backoffMs.longest);
    return { dueAt: dueBy(now + wait), failures, servers };
  }
  const newcomerDueAt =
    now + Math.max(graceMs, Math.min(culling.timeoutSeconds, culling.maxAgeSeconds) * 1000);
  const dueTimes = [...(observed ?? [])].flatMap(([user, one]) => {
    const { at } = decide(factsOf(one.server, memoryOf({ dueAt: null, servers }, user), one), culling, now);
    return at === null ? [] : [Date.parse(at)];
  });
  return { dueAt: dueBy(Math.max(now + minIntervalMs, Math.min(newcomerDueAt, ...dueTimes))), servers };
};
