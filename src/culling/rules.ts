import { isoOf } from '../lib/time.ts';
import {
  type ActivityFacts,
  type CullingSpec,
  failingSince,
  isBeingCulled,
  type Run,
  runOf,
  stopTakesMs,
} from './activity.ts';

/** No server is stopped this soon after its start: a hub may learn of activity five minutes late. */
export const graceMs = 10 * 60_000;

/** Nothing is decided on a hub’s answer older than this. */
const staleMs = 60_000;

/** Failing probes postpone a stop this long, and are repeated this often. */
const probePatienceMs = 6 * 3_600_000;
const probeEveryMs = 5 * 60_000;

/** The interval of checks while a server is starting or stopping. */
const pendingMs = 60_000;

export interface Stop {
  /** The earliest instant (ISO 8601 UTC) at which it may be stopped; in the past for one that is due. */
  readonly stopsAt: string;
  /** Why it is stopped then; `extended`: a user has extended it until then, beyond its own limits. */
  readonly stopsBecause: 'idle' | 'max_age' | 'extended';
}

/**
 * When a running server may be stopped unless there is more activity. null for one that is not running, or whose start
 * is unknown.
 */
export const stopOf = (facts: ActivityFacts, culling: CullingSpec): Stop | null => {
  const run = runOf(facts, culling);
  return run && stopOfRun(facts, run, culling);
};

const stopOfRun = ({ extendedUntil }: ActivityFacts, run: Run, culling: CullingSpec): Stop => {
  const idleAt = run.active + culling.timeoutSeconds * 1000;
  const oldAt = run.start + culling.maxAgeSeconds * 1000;
  // The grace is no reason to stop: what it has put off is.
  const stopsAt = Math.max(Math.min(idleAt, oldAt), run.start + graceMs);
  if (extendedUntil !== null && Date.parse(extendedUntil) > stopsAt)
    return { stopsAt: isoOf(Date.parse(extendedUntil)), stopsBecause: 'extended' };
  return { stopsAt: isoOf(stopsAt), stopsBecause: idleAt <= oldAt ? 'idle' : 'max_age' };
};

/** Why a server is kept. */
export type KeepReason =
  | 'hub_unavailable'
  | 'stale'
  | 'not_running'
  | 'pending'
  | 'not_ready'
  | 'start_unknown'
  | 'being_culled'
  | 'just_started'
  | 'extended'
  | 'active'
  | 'busy'
  | 'probe_failed';

/**
 * What to do with a server. `probe`: it is due unless a kernel is busy, which must be checked. `at`: when the verdict may
 * change, ISO 8601 UTC; null when only an order or a start can change it.
 */
export type Verdict =
  | {
      readonly verdict: 'stop';
      readonly reason: 'idle' | 'max_age';
      /** Why, as a sentence for its user. */
      readonly message: string;
      readonly run: Run;
      readonly at: string;
    }
  | { readonly verdict: 'probe'; readonly reason: 'idle'; readonly at: string }
  | { readonly verdict: 'keep'; readonly reason: KeepReason; readonly at: string | null };

const keep = (reason: KeepReason, at: number | null): Verdict => ({
  verdict: 'keep',
  reason,
  at: at === null ? null : isoOf(at),
});

const counted = (count: number, unit: string): string => `${count} ${unit}${count === 1 ? '' : 's'}`;

/** A duration in its two largest units, rounded down: `62 minutes`, `7 days and 3 hours`. */
const durationText = (ms: number): string => {
  const minutes = Math.floor(ms / 60_000);
  if (minutes < 120) return counted(minutes, 'minute');
  const parts = [
    [Math.floor(minutes / 1440), 'day'],
    [Math.floor(minutes / 60) % 24, 'hour'],
    [minutes % 60, 'minute'],
  ] as const;
  const largest = parts.findIndex(([count]) => count > 0);
  return parts
    .slice(largest, largest + 2)
    .filter(([count]) => count > 0)
    .map(([count, unit]) => counted(count, unit))
    .join(' and ');
};

const maxAgeMessage = ({ start }: Run, { maxAgeSeconds }: CullingSpec, now: number): string =>
  `It ran for ${durationText(now - start)}; the maximum age is ${durationText(maxAgeSeconds * 1000)} (maxAgeSeconds).`;

const idleMessage = ({ active }: Run, { timeoutSeconds }: CullingSpec, now: number): string =>
  `No activity for ${durationText(now - active)}; the Cull Timeout is ${durationText(timeoutSeconds * 1000)}.`;

const probeFailedNote = `Its kernels could not be probed for ${durationText(probePatienceMs)}.`;

/**
 * Whether to stop a server at `now` (epoch milliseconds). The first rule that applies decides; no answer from the hub is
 * never idleness. Before the kernels are probed, it says which ones have to be.
 */
export const decide = (facts: ActivityFacts, culling: CullingSpec, now: number): Verdict => {
  if (facts.observedAt === null) return keep('hub_unavailable', now);
  if (now - Date.parse(facts.observedAt) > staleMs) return keep('stale', now);
  if (!facts.running) return keep('not_running', null);
  const run = runOf(facts, culling);
  const stop = run && stopOfRun(facts, run, culling);
  if (facts.pending !== null || !facts.ready) {
    const soon = now + pendingMs;
    return keep(
      facts.pending === null ? 'not_ready' : 'pending',
      stop === null ? soon : Math.max(soon, Date.parse(stop.stopsAt)),
    );
  }
  if (run === null || stop === null) return keep('start_unknown', null);
  if (facts.culledAt !== null && isBeingCulled(facts.culledAt, run, now))
    return keep('being_culled', Date.parse(facts.culledAt) + stopTakesMs);
  const stopsAt = Date.parse(stop.stopsAt);
  if (now < run.start + graceMs) return keep('just_started', stopsAt);
  if (now < stopsAt) return keep(stop.stopsBecause === 'extended' ? 'extended' : 'active', stopsAt);

  const oldAt = run.start + culling.maxAgeSeconds * 1000;
  const { stopsAt: at } = stop;
  if (now >= oldAt)
    return { verdict: 'stop', reason: 'max_age', message: maxAgeMessage(run, culling, now), run, at };
  const idle = { verdict: 'stop', reason: 'idle', message: idleMessage(run, culling, now), run, at } as const;
  if (!culling.keepBusyKernels) return idle;
  switch (facts.busy) {
    case 'not asked':
      return { verdict: 'probe', reason: 'idle', at };
    case 'idle':
      return idle;
    case 'busy':
      return keep('busy', Math.min(now + culling.timeoutSeconds * 1000, oldAt));
    case 'unknown': {
      const patientUntil = (failingSince(facts, run) ?? now) + probePatienceMs;
      if (now >= patientUntil) return { ...idle, message: `${idle.message} ${probeFailedNote}` };
      return keep('probe_failed', Math.min(now + probeEveryMs, patientUntil, oldAt));
    }
    default:
      return facts.busy satisfies never;
  }
};
