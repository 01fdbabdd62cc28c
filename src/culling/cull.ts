import { forEachConcurrently } from '../lib/concurrency.ts';
import { pointerToken } from '../lib/json.ts';
import { isoOf } from '../lib/time.ts';
import type { HistoryEvent } from '../model/history.ts';
import type { TeamRecord } from '../model/record.ts';
import type { HubServer, Hubs, HubUser } from '../ports/hubs.ts';
import type { Clock, Log } from '../ports/runtime.ts';
import type { CullingStore, Store } from '../ports/store.ts';
import { hasNotebook } from '../teams/lifecycle.ts';
import { type Busy, factsOf, isBeingCulled, memoryOf } from './activity.ts';
import { decide, type Verdict } from './rules.ts';
import { cullingAfter, type ObservedServer, type Visit } from './schedule.ts';

export interface CullDeps {
  readonly store: Store & CullingStore;
  readonly hubs: Hubs;
  readonly clock: Clock;
  readonly log: Log;
  /** How long one hub may take to list its servers and probe kernels; 10 seconds by default. */
  readonly hubDeadlineMs?: number;
  /** How long it may take to accept a stop, which JupyterHub does within 11 seconds; 15 seconds by default. */
  readonly stopDeadlineMs?: number;
}

/** What a culling run did, for the log and the caller. */
export interface CullReport {
  readonly hubsAsked: number;
  /** Servers that this run stopped. */
  readonly stopped: number;
  /** Due servers that were kept: a kernel is busy or could not be probed, or the hub refused. */
  readonly postponed: number;
  /** Teams whose hub did not answer, or whose record could not be read or written. */
  readonly failed: number;
}

/** At most this many teams per run; the rest stays due, longest due first. */
const teamsPerRun = 500;
const hubsAtOnce = 16;
const serversAtOnce = 8;
const defaultHubDeadlineMs = 10_000;
const defaultStopDeadlineMs = 15_000;

/** While a kernel is busy, activity older than this is reported to the hub again. */
const reportActivityAfterMs = 24 * 3_600_000;

interface CullContext extends CullDeps {
  readonly report: { -readonly [K in keyof CullReport]: CullReport[K] };
}

/** One hub in a run; every request before a stop has the signal’s deadline. */
interface HubCall extends CullContext {
  readonly team: TeamRecord;
  readonly signal: AbortSignal;
}

/** A running server as its hub described it. */
interface RunningServer {
  readonly user: string;
  readonly server: HubServer;
  readonly observedAt: string;
}

const instant = ({ clock }: CullDeps): string => isoOf(clock.now());

/**
 * One culling run: asks the hubs that are due and stops their due servers. A hub that is unavailable or hangs delays
 * the run by at most its deadline, affects no other team, and keeps its servers. Costs one query when nothing is due.
 * Concurrent runs are safe.
 *
 * Granularity: a hub learns of activity up to five minutes late, and the scheduler calls this once a minute.
 */
export const cull = async (deps: CullDeps): Promise<CullReport> => {
  const { store, clock, log } = deps;
  const report = { hubsAsked: 0, stopped: 0, postponed: 0, failed: 0 };
  const due = await store.cullingDue(instant(deps), teamsPerRun);
  await forEachConcurrently(due, hubsAtOnce, async (slug) => {
    try {
      const team = await store.team(slug);
      if (team === undefined) return;
      const visit = await cullHub({ ...deps, report }, team);
      if (visit.failed) report.failed += 1;
      await store.change(slug, (current) =>
        current.id === team.id
          ? { next: { ...current, culling: cullingAfter(current, visit, clock.now()) } }
          : undefined,
      );
    } catch (error) {
      report.failed += 1;
      log.error({ team: slug, err: error }, 'culling failed');
    }
  });
  return report;
};

const isHubReady = ({ status }: TeamRecord): boolean =>
  status.conditions.some((condition) => condition.type === 'HubReady' && condition.status === 'True');

const cullHub = async (context: CullContext, team: TeamRecord): Promise<Visit> => {
  const { hubs, log, report, hubDeadlineMs = defaultHubDeadlineMs } = context;
  const { dueAt } = team.culling;
  if (!hasNotebook(team)) return { dueAt, servers: new Map(), failed: false };

  const signal = AbortSignal.timeout(hubDeadlineMs);
  // An answer is as old as its request: activity during a slow answer may be missing from it.
  const observedAt = instant(context);
  let users: readonly HubUser[];
  report.hubsAsked += 1;
  try {
    users = await hubs.users(team, signal, { active: true });
  } catch (error) {
    // A hub that is still being installed has no servers to cull, and its condition already says so.
    const level = isHubReady(team) ? 'warn' : 'info';
    log[level]({ team: team.slug, err: error }, 'hub did not list its servers');
    return { dueAt, servers: null, failed: true };
  }
  const running = users.flatMap(({ name: user, server }): RunningServer[] =>
    server === null || server.stopped ? [] : [{ user, server, observedAt }],
  );
  // Probes of hanging servers use up the hub’s deadline; those that failed before come last, so others are not starved.
  const hung = ({ user }: RunningServer) => memoryOf(team.culling, user)?.probeFailingSince !== undefined;
  const servers = new Map<string, ObservedServer>();
  let failed = false;
  await forEachConcurrently(
    running.toSorted((a, b) => Number(hung(a)) - Number(hung(b))),
    serversAtOnce,
    async (one) => {
      try {
        servers.set(one.user, await cullServer({ ...context, team, signal }, one));
      } catch (error) {
        failed = true;
        servers.set(one.user, { ...one, busy: 'not asked', probedAt: null });
        log.warn({ team: team.slug, user: one.user, err: error }, 'server not culled');
      }
    },
  );
  return { dueAt, servers, failed };
};

/** The verdict on a server based on this record; undefined when the team no longer keeps a notebook. */
const decideFor = (
  team: TeamRecord,
  { user, server, observedAt }: RunningServer,
  busy: Busy,
  now: number,
): Verdict | undefined => {
  if (!hasNotebook(team)) return undefined;
  const facts = factsOf(server, memoryOf(team.culling, user), { observedAt, busy });
  return decide(facts, team.notebook.spec.culling, now);
};

const cullServer = async (call: HubCall, one: RunningServer): Promise<ObservedServer> => {
  const { store, hubs, clock, log, report, team, signal, stopDeadlineMs = defaultStopDeadlineMs } = call;
  const observed: ObservedServer = { ...one, busy: 'not asked', probedAt: null };
  const first = decideFor(team, one, 'not asked', clock.now())?.verdict;
  if (first === undefined || first === 'keep') return observed;
  // No time left for this hub. Kernels that were not probed have not failed to answer.
  if (signal.aborted) return observed;

  const busy = first === 'probe' ? await probeKernels(call, one) : 'not asked';
  const probed: ObservedServer = { ...observed, busy, probedAt: first === 'probe' ? instant(call) : null };

  // A user may have extended it, or ordered another Cull Timeout, since the run began. A request between this read and
  // the hub’s answer comes too late: a hub cannot make its stop conditional on our record.
  const current = await store.team(team.slug);
  const latest = current?.id === team.id ? decideFor(current, one, busy, clock.now()) : undefined;
  if (latest?.verdict !== 'stop') {
    if (latest?.reason === 'busy' || latest?.reason === 'probe_failed') report.postponed += 1;
    return probed;
  }
  const outcome = await hubs.stop(team, one.user, AbortSignal.timeout(stopDeadlineMs));
  if (typeof outcome === 'object') {
    report.postponed += 1;
    log.info({ team: team.slug, user: one.user, refused: outcome.refused }, 'hub refused to stop server');
    return probed;
  }
  await recordCull(call, one.user, latest);
  return probed;
};

/**
 * A request that is answered counts as activity at the hub, because its proxy does not say who sent it. One that is not
 * answered does not count, so the time for which failing probes postpone a stop runs out.
 */
const probeKernels = async (call: HubCall, { user, server }: RunningServer): Promise<Busy> => {
  const { hubs, log, team, signal } = call;
  try {
    if (!(await hubs.isBusy(team, user, signal))) return 'idle';
  } catch (error) {
    log.warn({ team: team.slug, user, err: error }, 'kernel probe failed');
    return 'unknown';
  }
  const now = instant(call);
  const known = server.lastActivityAt ?? server.startedAt ?? now;
  // The chart’s own culler, our backstop, does not check kernels: it would end a computation that prints nothing for
  // as long as the longest Cull Timeout. A day is far below that, and one request a day is cheap.
  if (Date.parse(now) - Date.parse(known) > reportActivityAfterMs) {
    await hubs.reportActivity(team, user, now, signal).catch((error: unknown) => {
      log.warn({ team: team.slug, user, err: error }, 'activity of a busy kernel not reported');
    });
  }
  return 'busy';
};

/**
 * Logs a stop that the hub has accepted and writes it to the history once: of two runs that stopped the same server, the
 * first one records it. A crash before this loses only the entry: the next run finds the server stopped.
 */
const recordCull = async (
  call: HubCall,
  user: string,
  { run, reason, message }: Extract<Verdict, { verdict: 'stop' }>,
): Promise<void> => {
  const { store, clock, log, report, team } = call;
  const now = clock.now();
  const at = isoOf(now);
  const idleSeconds = Math.floor((now - run.active) / 1000);
  log.info({ team: team.slug, user, reason, idleSeconds, why: message }, 'server culled');
  const event: HistoryEvent = {
    at,
    by: 'culling',
    action: 'server_culled',
    revision: null,
    changes: [{ pointer: `/servers${pointerToken(user)}`, from: 'running', to: 'stopped' }],
    reason: message,
  };
  let isFirst = false;
  await store.change(team.slug, (current) => {
    const { culling } = current;
    const memory = memoryOf(culling, user);
    isFirst = current.id === team.id && !isBeingCulled(memory?.culledAt ?? null, run, now);
    if (!isFirst) return undefined;
    const stopped = { lastActivityAt: isoOf(run.active), stoppedAt: at };
    const servers = { ...culling.servers, [user]: { ...memory, culledAt: at, stopped } };
    return { next: { ...current, culling: { ...culling, servers } }, event };
  });
  if (isFirst) report.stopped += 1;
};
