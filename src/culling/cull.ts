import { forEachConcurrently } from '../lib/concurrency.ts';
import { pointerToken } from '../lib/json.ts';
import { isoOf } from '../lib/time.ts';
import type { HistoryEvent } from '../model/history.ts';
import type { TeamRecord } from '../model/record.ts';
import type { HubServer, Hubs, HubUser } from '../ports/hubs.ts';
import type { Clock, Log } from '../ports/runtime.ts';
import type { CullingStore, Store } from '../ports/store.ts';
import { type Busy, factsOf, isBeingCulled, memoryOf } from './activity.ts';
import { decide, type Verdict } from './rules.ts';
import { cullingAfter, isCulled, type SeenServer, type Visit } from './schedule.ts';

export interface CullDeps {
  readonly store: Store & CullingStore;
  readonly hubs: Hubs;
  readonly clock: Clock;
  readonly log: Log;
  /** How long one hub may take to say what runs there and what is busy; 10 seconds unless given. */
  readonly hubDeadlineMs?: number;
  /** How long it may take to accept a stop, which JupyterHub does within 11 seconds; 15 unless given. */
  readonly stopDeadlineMs?: number;
}

/** What a pass did, for the log and for whoever called it. */
export interface CullReport {
  readonly hubsAsked: number;
  /** Servers that this pass stopped. */
  readonly stopped: number;
  /** Servers past their time that were left: a kernel is busy or could not be asked, or the hub would not. */
  readonly postponed: number;
  /** Teams whose hub owed us an answer, or whose record could not be read or written. */
  readonly failed: number;
}

/** Teams of one pass at most; the rest is still due at the next one, longest due first. */
const teamsPerPass = 500;
const hubsAtOnce = 16;
const serversAtOnce = 8;
const defaultHubDeadlineMs = 10_000;
const defaultStopDeadlineMs = 15_000;

/** Activity that is older than this is told to the hub anew while a kernel is busy. */
const tellHubAfterMs = 24 * 3_600_000;

interface CullContext extends CullDeps {
  readonly report: { -readonly [K in keyof CullReport]: CullReport[K] };
}

/** One hub in a pass; whatever is asked before a stop has the signal’s deadline. */
interface Call extends CullContext {
  readonly team: TeamRecord;
  readonly signal: AbortSignal;
}

/** A server that runs, as its hub told of it. */
interface Running {
  readonly user: string;
  readonly server: HubServer;
  readonly lookedAt: string;
}

const instant = ({ clock }: CullDeps): string => isoOf(clock.now());

/**
 * One call of the scheduler: asks the hubs that are due, and stops the servers that are past their time. A hub that
 * is away or hangs delays the pass by no more than its deadline, touches no other team, and keeps its servers. Costs
 * one query when nothing is due. Two passes at once are safe.
 *
 * Granularity: a hub learns of activity up to five minutes late, and a pass runs once a minute.
 */
export const cull = async (deps: CullDeps): Promise<CullReport> => {
  const { store, clock, log } = deps;
  const report = { hubsAsked: 0, stopped: 0, postponed: 0, failed: 0 };
  const due = await store.cullingDue(instant(deps), teamsPerPass);
  await forEachConcurrently(due, hubsAtOnce, async (slug) => {
    try {
      const team = await store.team(slug);
      if (team === undefined) return;
      const visit = await visitHub({ ...deps, report }, team);
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

const visitHub = async (pass: CullContext, team: TeamRecord): Promise<Visit> => {
  const { hubs, log, report, hubDeadlineMs = defaultHubDeadlineMs } = pass;
  const { dueAt } = team.culling;
  if (!isCulled(team)) return { dueAt, servers: new Map(), failed: false };

  const signal = AbortSignal.timeout(hubDeadlineMs);
  // What is told is not newer than the question: activity during a slow answer may be missing from it.
  const lookedAt = instant(pass);
  let users: readonly HubUser[];
  report.hubsAsked += 1;
  try {
    users = await hubs.users(team, signal, { active: true });
  } catch (error) {
    log.warn({ team: team.slug, err: error }, 'hub silent about its servers');
    return { dueAt, servers: null, failed: true };
  }
  const running = users.flatMap(({ name: user, server }): Running[] =>
    server === null || server.stopped ? [] : [{ user, server, lookedAt }],
  );
  // A server that hangs takes up the hub’s time; those that hung before come last, or the same ones would always wait.
  const hung = ({ user }: Running) => memoryOf(team.culling, user)?.probeFailingSince !== undefined;
  const servers = new Map<string, SeenServer>();
  let failed = false;
  await forEachConcurrently(
    running.toSorted((a, b) => Number(hung(a)) - Number(hung(b))),
    serversAtOnce,
    async (one) => {
      try {
        servers.set(one.user, await visitServer({ ...pass, team, signal }, one));
      } catch (error) {
        failed = true;
        servers.set(one.user, { ...one, busy: 'not asked', askedAt: null });
        log.warn({ team: team.slug, user: one.user, err: error }, 'server not culled');
      }
    },
  );
  return { dueAt, servers, failed };
};

/** What is to be done about a server by this record; undefined when its team keeps no notebook any more. */
const judge = (
  team: TeamRecord,
  { user, server, lookedAt }: Running,
  busy: Busy,
  now: number,
): Verdict | undefined => {
  if (team.notebook === null || !isCulled(team)) return undefined;
  const facts = factsOf(server, memoryOf(team.culling, user), { lookedAt, busy });
  return decide(facts, team.notebook.spec.culling, now);
};

const visitServer = async (call: Call, one: Running): Promise<SeenServer> => {
  const { store, hubs, clock, log, report, team, signal, stopDeadlineMs = defaultStopDeadlineMs } = call;
  const seen: SeenServer = { ...one, busy: 'not asked', askedAt: null };
  const first = judge(team, one, 'not asked', clock.now())?.verdict;
  if (first === undefined || first === 'keep') return seen;
  // No time left for this hub. Kernels that were not asked have not failed to answer.
  if (signal.aborted) return seen;

  const busy = first === 'probe' ? await askKernels(call, one) : 'not asked';
  const asked: SeenServer = { ...seen, busy, askedAt: first === 'probe' ? instant(call) : null };

  // Somebody may have extended it, or ordered another Cull Timeout, since the pass began. What they ask for between
  // this read and the hub’s answer comes too late: no hub can be told to stop a server only if our record stands.
  const current = await store.team(team.slug);
  const latest = current?.id === team.id ? judge(current, one, busy, clock.now()) : undefined;
  if (latest?.verdict !== 'stop') {
    if (latest?.reason === 'busy' || latest?.reason === 'probe_failed') report.postponed += 1;
    return asked;
  }
  const outcome = await hubs.stop(team, one.user, AbortSignal.timeout(stopDeadlineMs));
  if (typeof outcome === 'object') {
    report.postponed += 1;
    log.info({ team: team.slug, user: one.user, refused: outcome.refused }, 'hub refused to stop a server');
    return asked;
  }
  await tell(call, one.user, latest);
  return asked;
};

/**
 * A request that is answered counts as activity at the hub, whose proxy does not tell who asked. One that is not does
 * not, so that the time for which silent kernels hold a stop up runs out.
 */
const askKernels = async (call: Call, { user, server }: Running): Promise<Busy> => {
  const { hubs, log, team, signal } = call;
  try {
    if (!(await hubs.isBusy(team, user, signal))) return 'idle';
  } catch (error) {
    log.warn({ team: team.slug, user, err: error }, 'kernels not asked');
    return 'unknown';
  }
  const now = instant(call);
  const known = server.lastActivityAt ?? server.startedAt ?? now;
  // The chart’s own culler, our backstop, knows nothing of kernels: it would end a computation that prints nothing
  // for as long as the longest Cull Timeout. A day is far below that, and one request a day costs nothing.
  if (Date.parse(now) - Date.parse(known) > tellHubAfterMs) {
    await hubs.reportActivity(team, user, now, signal).catch((error: unknown) => {
      log.warn({ team: team.slug, user, err: error }, 'hub not told of a busy kernel');
    });
  }
  return 'busy';
};

/**
 * Logs a stop that the hub has accepted and writes it into the history, once: of two passes that stopped the same run
 * the first one tells. Dying before this loses the entry and nothing else: the next pass finds the server stopped.
 */
const tell = async (
  call: Call,
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
    changes: [{ path: `/servers${pointerToken(user)}`, from: 'running', to: 'stopped' }],
    reason: message,
  };
  let isFirst = false;
  await store.change(team.slug, (current) => {
    const { culling } = current;
    const memory = memoryOf(culling, user);
    isFirst = current.id === team.id && !isBeingCulled(memory?.culledAt ?? null, run, now);
    if (!isFirst) return undefined;
    const servers = { ...culling.servers, [user]: { ...memory, culledAt: at } };
    return { next: { ...current, culling: { ...culling, servers } }, event };
  });
  if (isFirst) report.stopped += 1;
};
