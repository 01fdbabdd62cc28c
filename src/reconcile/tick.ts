import { eachAtOnce } from '../at-once.ts';
import type { Values } from '../notebooks/values.ts';
import type { Clock, Store } from '../ports.ts';
import type { TeamRecord } from '../record.ts';
import type { Log } from './look.ts';
import type { Reconcile } from './reconcile.ts';

export interface TickDeps {
  readonly store: Store;
  readonly clock: Clock;
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

/** Hands a team the release of the platform of now; nothing a team can change is in there. */
const rollOut = async ({ store, clock, platform, log }: TickDeps, slug: string): Promise<void> => {
  const now = new Date(clock.now()).toISOString();
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
};

/**
 * One call of the scheduler: moves a few teams to the platform of now, then looks at every team that is due, and
 * meanwhile takes on the operations that are. A team that fails delays no other. Costs three queries when nothing is
 * due.
 */
export const tick = async (deps: TickDeps): Promise<TickReport> => {
  const { store, clock, platform, rolloutPerTick, log } = deps;
  const advancing = deps.advanceOperations().catch((error: unknown) => {
    log.error({ err: error }, 'operations not taken on');
    return 0;
  });
  const report = await rollOutSome();
  const due = await store.due(new Date(clock.now()).toISOString(), teamsPerTick);
  await eachAtOnce(due, atOnce, async (slug) => {
    try {
      await deps.reconcile(slug, AbortSignal.timeout(deadlineMs));
    } catch (error) {
      log.error({ team: slug, err: error }, 'reconcile failed');
    }
  });
  return { looked: due.length, ...report, operations: await advancing };

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
    await eachAtOnce(outdated, atOnce, async (slug) => {
      try {
        await rollOut(deps, slug);
        rolledOut += 1;
      } catch (error) {
        log.error({ team: slug, err: error }, 'platform roll-out failed');
      }
    });
    return { rolledOut };
  }
};
