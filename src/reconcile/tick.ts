import { forEachConcurrently } from '../lib/concurrency.ts';
import { isoOf } from '../lib/time.ts';
import type { TeamRecord } from '../model/record.ts';
import type { Values } from '../notebooks/values.ts';
import type { Cluster } from '../ports/cluster.ts';
import type { Hubs } from '../ports/hubs.ts';
import type { Clock, Log } from '../ports/runtime.ts';
import type { Store } from '../ports/store.ts';
import { Unavailable } from '../ports/unavailable.ts';
import { findDriftedTeams } from './drift-detection.ts';
import type { Reconcile } from './reconcile.ts';

export interface TickDeps {
  readonly store: Store;
  readonly clock: Clock;
  readonly cluster: Pick<Cluster, 'list'>;
  readonly hubs: Pick<Hubs, 'users'>;
  readonly reconcile: Reconcile;
  /** Takes on the operations that are due; answers how many. */
  readonly advanceOperations: () => Promise<number>;
  readonly log: Log;
  /** The platform as it is configured now, and the release spec that it makes for a team. */
  readonly platform: { readonly hash: string; releaseSpec(team: TeamRecord): Values };
  /** Teams that one tick may move to the platform of now; 0 stops every roll-out. */
  readonly rolloutPerTick: number;
}

/** What a tick did, for the log and for whoever called it. */
export interface TickReport {
  readonly looked: number;
  readonly rolledOut: number;
  /** Operations on servers and hubs that were taken on. */
  readonly operations: number;
  /** Why no further team was moved to the platform of now, if so. */
  readonly rolloutStopped?: string;
}

/** Teams looked at in one tick at most, and at once. The rest is still due at the next tick, longest due first. */
const teamsPerTick = 500;
const atOnce = 8;

/** A roll-out that leaves this many teams Degraded stops by itself (DESIGN 2). */
const degradedAtMost = 2;
const deadlineMs = 20_000;

/** How long the cluster may take to list the notebooks, and a hub to say whether somebody is starting one. */
const listMs = 10_000;
const pendingMs = 5_000;

/**
 * Whether a server of the team is on its way up or down: the hub that sees to it must not be restarted now. A hub that
 * does not answer has nobody waiting for it, and may need the new platform to get well.
 */
const isServerPending = async ({ store, hubs }: TickDeps, team: TeamRecord): Promise<boolean> => {
  if ((await store.openOperations(team.slug)).length > 0) return true;
  try {
    const users = await hubs.users(team, AbortSignal.timeout(pendingMs), { active: true });
    return users.some(({ server }) => server !== null && server.pending !== null);
  } catch (error) {
    if (error instanceof Unavailable) return false;
    throw error;
  }
};

/** Hands a team the release of the platform of now; nothing a team can change is in there. */
const rollOut = async (deps: TickDeps, slug: string): Promise<boolean> => {
  const { store, clock, platform, log } = deps;
  const before = await store.team(slug);
  if (before === undefined || (await isServerPending(deps, before))) return false;
  const now = isoOf(clock.now());
  await store.change(slug, (team) => {
    if (team.release === null || team.release.platformHash === platform.hash) return undefined;
    log.info({ team: slug, from: team.release.platformHash, to: platform.hash }, 'platform rolled out');
    return {
      next: {
        ...team,
        release: { platformHash: platform.hash, spec: platform.releaseSpec(team) },
        generation: team.generation + 1,
        reconcile: { dueAt: now, failures: 0 },
      },
    };
  });
  return true;
};

/**
 * One call of the scheduler: moves a few teams to the platform of now, then looks at every team that is due or whose
 * notebooks have come or gone, and meanwhile takes on the operations that are due. A team that fails delays no other.
 * Costs three queries and one list of the cluster when nothing is due.
 */
export const tick = async (deps: TickDeps): Promise<TickReport> => {
  const { store, clock, platform, rolloutPerTick, log } = deps;
  const advancing = deps.advanceOperations().catch((error: unknown) => {
    log.error({ err: error }, 'operations not taken on');
    return 0;
  });
  const report = await rollOutSome();
  const due = await store.due(isoOf(clock.now()), teamsPerTick);
  const slugs = [...new Set([...due, ...(await outOfStep())])];
  await forEachConcurrently(slugs, atOnce, async (slug) => {
    try {
      await deps.reconcile(slug, AbortSignal.timeout(deadlineMs));
    } catch (error) {
      log.error({ team: slug, err: error }, 'reconcile failed');
    }
  });
  return { looked: slugs.length, ...report, operations: await advancing };

  /** A cluster that cannot be listed is no reason to leave out the teams that are due. */
  async function outOfStep(): Promise<readonly string[]> {
    try {
      return await findDriftedTeams(deps.cluster, AbortSignal.timeout(listMs));
    } catch (error) {
      log.warn({ err: error }, 'notebooks not listed');
      return [];
    }
  }

  async function rollOutSome(): Promise<Omit<TickReport, 'looked' | 'operations'>> {
    if (rolloutPerTick === 0) return { rolledOut: 0 };
    const outdated = await store.outdated(platform.hash, rolloutPerTick);
    if (outdated.length === 0) return { rolledOut: 0 };
    const degraded = await store.degraded(platform.hash, degradedAtMost);
    if (degraded.length >= degradedAtMost) {
      const rolloutStopped = `The platform roll-out has stopped: ${degraded.join(' and ')} are Degraded after it.`;
      log.warn({ teams: degraded, platform: platform.hash }, 'platform roll-out stopped');
      return { rolledOut: 0, rolloutStopped };
    }
    let rolledOut = 0;
    await forEachConcurrently(outdated, atOnce, async (slug) => {
      try {
        if (await rollOut(deps, slug)) rolledOut += 1;
      } catch (error) {
        log.error({ team: slug, err: error }, 'platform roll-out failed');
      }
    });
    return { rolledOut };
  }
};
