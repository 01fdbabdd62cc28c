import { isoOf } from '../lib/time.ts';
import type { CullingState, ServerMemory, TeamRecord } from '../model/record.ts';
import type { HubServer } from '../ports/hubs.ts';
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

/** No hub is asked more often. */
const soonestMs = 30_000;

/** How long a hub that gave no answer is left alone, by how often in a row. */
const backoffMs = { first: 60_000, longest: 600_000 } as const;

/** A server as a pass has seen it. Instants are ISO 8601 UTC. */
export interface SeenServer {
  readonly server: HubServer;
  readonly lookedAt: string;
  readonly busy: Busy;
  /** When its kernels were asked; null when they were not. */
  readonly askedAt: string | null;
}

/** What a pass came to know of a team’s hub. */
export interface Visit {
  /** When the record that the pass started from said that the hub is due. */
  readonly dueAt: string | null;
  /** By user, those that ran when the hub was asked; null when it did not tell. */
  readonly servers: ReadonlyMap<string, SeenServer> | null;
  /** Whether the hub owed us an answer, to that or to anything later. */
  readonly failed: boolean;
}

/** Whether the team has a notebook that its members are to keep. */
export const isCulled = ({ notebook, deletion }: TeamRecord): boolean =>
  notebook !== null && notebook.deletion === null && deletion === null;

/** `seen` is undefined when it does not run, which ends what was known of its kernels, but not what people asked for. */
const memoryAfter = (
  memory: ServerMemory | undefined,
  seen: SeenServer | undefined,
  culling: CullingSpec,
  now: number,
): ServerMemory | undefined => {
  const next: { -readonly [K in keyof ServerMemory]: ServerMemory[K] } = {};
  if (memory?.extendedUntil !== undefined && Date.parse(memory.extendedUntil) > now)
    next.extendedUntil = memory.extendedUntil;
  if (memory?.culledAt !== undefined && Date.parse(memory.culledAt) + stopTakesMs > now)
    next.culledAt = memory.culledAt;
  if (seen !== undefined) {
    const { server, askedAt, busy } = seen;
    const facts = factsOf(server, memory, seen);
    const run = runOf(facts, culling);
    const since = run === null ? null : failingSince(facts, run);
    const busyAt = busy === 'busy' && askedAt !== null ? askedAt : memory?.busyAt;
    if (busyAt !== undefined) next.busyAt = busyAt;
    if (since !== null && (busy === 'unknown' || busy === 'not asked')) next.probeFailingSince = isoOf(since);
    else if (busy === 'unknown' && askedAt !== null) next.probeFailingSince = askedAt;
  }
  return Object.keys(next).length === 0 ? undefined : next;
};

/**
 * The team’s culling after a visit, on the record as it is by now: what people asked for meanwhile stands. A hub is
 * asked again when the first of its servers may be due, and before one that somebody starts there right now could be.
 */
export const cullingAfter = (team: TeamRecord, visit: Visit, now: number): CullingState => {
  const { notebook, culling: before } = team;
  if (notebook === null || !isCulled(team)) return { dueAt: null, servers: {} };
  const { culling } = notebook.spec;
  const { servers: seen } = visit;

  const users = new Set([...Object.keys(before.servers), ...(seen?.keys() ?? [])]);
  const servers =
    seen === null
      ? before.servers
      : Object.fromEntries(
          [...users].flatMap((user) => {
            const memory = memoryAfter(memoryOf(before, user), seen.get(user), culling, now);
            return memory === undefined ? [] : [[user, memory]];
          }),
        );

  // Somebody else had the hub asked earlier, or has put an order in that wants it asked: the earlier time holds.
  const bySomebodyElse = before.dueAt === visit.dueAt ? null : before.dueAt;
  const dueBy = (at: number): string =>
    isoOf(bySomebodyElse === null ? at : Math.min(at, Date.parse(bySomebodyElse)));

  if (visit.failed) {
    const failures = (before.failures ?? 0) + 1;
    const wait = Math.min(backoffMs.first * 2 ** (failures - 1), backoffMs.longest);
    return { dueAt: dueBy(now + wait), failures, servers };
  }
  const newcomerDueAt =
    now + Math.max(graceMs, Math.min(culling.timeoutSeconds, culling.maxAgeSeconds) * 1000);
  const dueTimes = [...(seen ?? [])].flatMap(([user, one]) => {
    const { at } = decide(factsOf(one.server, memoryOf({ dueAt: null, servers }, user), one), culling, now);
    return at === null ? [] : [Date.parse(at)];
  });
  return { dueAt: dueBy(Math.max(now + soonestMs, Math.min(newcomerDueAt, ...dueTimes))), servers };
};
