import { forEachConcurrently } from '../lib/concurrency.ts';
import { isoOf } from '../lib/time.ts';
import type { TeamRecord } from '../model/record.ts';
import type { Values } from '../notebooks/values.ts';
import type { Hubs } from '../ports/hubs.ts';
import type { Clock, Log } from '../ports/runtime.ts';
import type { Store } from '../ports/store.ts';
import { Unavailable } from '../ports/unavailable.ts';

export interface RolloutDeps {
  readonly store: Store;
  readonly clock: Clock;
  readonly hubs: Pick<Hubs, 'users'>;
  readonly log: Log;
  /** The platform as it is configured now, and the release spec that it makes for a team. */
  readonly platform: { readonly hash: string; releaseSpec(team: TeamRecord): Values };
  /** Teams that one tick may move to the current platform; 0 stops every roll-out. */
  readonly rolloutPerTick: number;
}

export interface RolloutReport {
  readonly rolledOut: number;
  /** Why no further team was moved to the current platform, if so. */
  readonly rolloutStopped?: string;
}

/** A roll-out stops once this many teams are Degraded with the current platform. */
const degradedAtMost = 2;
const teamsAtOnce = 8;

/** How long a hub has to answer whether a server is pending. */
const pendingMs = 5_000;

/** Moves a few teams to the current platform, unless the roll-out has stopped. */
export const rollOut = async (deps: RolloutDeps): Promise<RolloutReport> => {
  const { store, platform, rolloutPerTick, log } = deps;
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
  await forEachConcurrently(outdated, teamsAtOnce, async (slug) => {
    try {
      if (await moveToPlatform(deps, slug)) rolledOut += 1;
    } catch (error) {
      log.error({ team: slug, err: error }, 'platform roll-out failed');
    }
  });
  return { rolledOut };
};

/** Gives a team the release of the current platform, which holds nothing that a team can change. */
const moveToPlatform = async (deps: RolloutDeps, slug: string): Promise<boolean> => {
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
 * Whether a server of the team is starting or stopping: its hub must not be restarted now. A hub that does not answer
 * has no user waiting for it, and may need the current platform to recover.
 */
const isServerPending = async ({ store, hubs }: RolloutDeps, team: TeamRecord): Promise<boolean> => {
  if ((await store.openOperations(team.slug)).length > 0) return true;
  try {
    const users = await hubs.users(team, AbortSignal.timeout(pendingMs), { active: true });
    return users.some(({ server }) => server !== null && server.pending !== null);
  } catch (error) {
    if (error instanceof Unavailable) return false;
    throw error;
  }
};
