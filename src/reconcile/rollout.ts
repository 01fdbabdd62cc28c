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
  /** The platform as it is configured, and the release spec that it makes for a team. */
  readonly platform: { readonly hash: string; releaseSpec(team: TeamRecord): Values };
  /** Teams that one tick may move to the configured platform; 0 stops every roll-out. */
  readonly rolloutPerTick: number;
}

/** Where the roll-out of the configured platform stands after one tick. */
export interface RolloutReport {
  /** Teams that were moved. */
  readonly rolledOut: number;
  /** Teams that could not be moved in this tick, each with the reason. */
  readonly rolloutWaiting?: Readonly<Record<string, string>>;
  /** Why no team is moved any more. */
  readonly rolloutStopped?: string;
}

const atOnce = 8;
/** A roll-out that breaks this many hubs stops. */
const brokenAtMost = 2;
/** Teams that are considered in one tick. As long as not all of them wait, the roll-out goes on. */
const candidatesAtMost = 200;
const pendingMs = 5_000;
const deadlineMs = 20_000;

/**
 * Whether a roll-out broke the team’s hub: it was Ready when it got this release, and the release has failed since. What
 * was broken before, or for another reason, is no evidence against the platform.
 */
export const isBrokenByRollOut = ({ release, status }: TeamRecord): boolean =>
  release !== null &&
  release.wasReady !== false &&
  status.conditions.some(
    ({ type, status: value, reason }) =>
      type === 'HubReady' && value === 'False' && (reason === 'Failed' || reason === 'RolledBack'),
  );

/**
 * Why the team’s hub must not be restarted now; undefined when it may. A server on its way up or down needs its hub. A
 * hub that does not answer serves no one, and may need the new platform to recover.
 */
const reasonToWait = async ({ store, hubs }: RolloutDeps, team: TeamRecord): Promise<string | undefined> => {
  if ((await store.openOperations(team.slug)).length > 0) return 'an operation is in progress';
  try {
    const users = await hubs.users(team, AbortSignal.timeout(pendingMs), { active: true });
    const isPending = users.some(({ server }) => server !== null && server.pending !== null);
    return isPending ? 'a server is starting or stopping' : undefined;
  } catch (error) {
    if (error instanceof Unavailable) return undefined;
    throw error;
  }
};

/** What became of one team. */
type Move =
  | { readonly outcome: 'moved' | 'unchanged' }
  | { readonly outcome: 'waits'; readonly reason: string };

/** Gives a team the release of the configured platform; nothing that a team can change is in it. */
const moveTeam = async (deps: RolloutDeps, slug: string): Promise<Move> => {
  const { store, clock, platform, log } = deps;
  const before = await store.team(slug);
  if (before === undefined) return { outcome: 'unchanged' };
  const wait = await reasonToWait(deps, before);
  if (wait !== undefined) return { outcome: 'waits', reason: wait };
  const now = isoOf(clock.now());
  let hasMoved = false;
  await store.change(slug, (team) => {
    hasMoved = team.release !== null && team.release.platformHash !== platform.hash;
    if (team.release === null || !hasMoved) return undefined;
    log.info({ team: slug, from: team.release.platformHash, to: platform.hash }, 'platform rolled out');
    return {
      next: {
        ...team,
        release: {
          platformHash: platform.hash,
          spec: platform.releaseSpec(team),
          wasReady: team.status.phase === 'Ready',
        },
        generation: team.generation + 1,
        reconcile: { dueAt: now, failures: 0 },
      },
    };
  });
  return { outcome: hasMoved ? 'moved' : 'unchanged' };
};

const brokenTeams = async ({ store, platform }: RolloutDeps): Promise<readonly string[]> => {
  const broken: string[] = [];
  await forEachConcurrently(await store.degraded(platform.hash, candidatesAtMost), atOnce, async (slug) => {
    const team = await store.team(slug);
    if (team !== undefined && isBrokenByRollOut(team)) broken.push(slug);
  });
  return broken.toSorted();
};

/**
 * Moves a few teams to the configured platform: those that can be moved now, in the order of the store. Stops when it
 * has broken hubs. One team that cannot be read or written delays no other.
 */
export const rollOut = async (deps: RolloutDeps): Promise<RolloutReport> => {
  const { store, platform, rolloutPerTick, log } = deps;
  if (rolloutPerTick === 0) return { rolledOut: 0 };
  const candidates = [...(await store.outdated(platform.hash, candidatesAtMost))];
  if (candidates.length === 0) return { rolledOut: 0 };
  const broken = await brokenTeams(deps);
  if (broken.length >= brokenAtMost) {
    const named = broken.length === 2 ? broken.join(' and ') : broken.join(', ');
    const rolloutStopped = `The platform roll-out has stopped: it broke the hubs of ${named}.`;
    log.warn({ teams: broken, platform: platform.hash }, 'platform roll-out stopped');
    return { rolledOut: 0, rolloutStopped };
  }
  const deadline = AbortSignal.timeout(deadlineMs);
  const waiting: Record<string, string> = {};
  let rolledOut = 0;
  while (rolledOut < rolloutPerTick && candidates.length > 0 && !deadline.aborted) {
    await forEachConcurrently(candidates.splice(0, rolloutPerTick - rolledOut), atOnce, async (slug) => {
      try {
        const move = await moveTeam(deps, slug);
        if (move.outcome === 'moved') rolledOut += 1;
        if (move.outcome === 'waits') waiting[slug] = move.reason;
      } catch (error) {
        waiting[slug] = 'it could not be read or written';
        log.error({ team: slug, err: error }, 'platform roll-out failed');
      }
    });
  }
  const isWaiting = Object.keys(waiting).length > 0;
  if (isWaiting) log.info({ waiting, platform: platform.hash }, 'platform roll-out waiting');
  return { rolledOut, ...(isWaiting && { rolloutWaiting: waiting }) };
};
