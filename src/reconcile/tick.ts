import { forEachConcurrently } from '../lib/concurrency.ts';
import { isoOf } from '../lib/time.ts';
import type { Cluster } from '../ports/cluster.ts';
import { findDriftedTeams } from './drift-detection.ts';
import type { Reconcile } from './reconcile.ts';
import { type RolloutDeps, type RolloutReport, rollOut } from './rollout.ts';

export interface TickDeps extends RolloutDeps {
  readonly cluster: Pick<Cluster, 'list' | 'serves'>;
  readonly reconcile: Reconcile;
  /** Advances the operations that are due; answers how many. */
  readonly advanceOperations: () => Promise<number>;
}

/** What a tick did, for the log and for its caller. */
export interface TickReport extends RolloutReport {
  readonly looked: number;
  /** Operations on servers and hubs that were advanced. */
  readonly operations: number;
}

/** Teams reconciled in one tick, and at once. The rest is still due at the next tick, longest due first. */
const teamsPerTick = 500;
const teamsAtOnce = 8;
const reconcileMs = 20_000;

/** How long the cluster has to list policies and pods. */
const listMs = 10_000;

/**
 * One call of the scheduler: moves a few teams to the current platform, reconciles every team that is due or has
 * drifted, and meanwhile advances the operations that are due. A team that fails delays no other. Costs four queries
 * when nothing is due, and one list of policies and one of notebook pods for the whole cluster when any team has opted in.
 */
export const tick = async (deps: TickDeps): Promise<TickReport> => {
  const { store, clock, log } = deps;
  const advancing = deps.advanceOperations().catch((error: unknown) => {
    log.error({ err: error }, 'operations not advanced');
    return 0;
  });
  const report = await rollOut(deps);
  const due = await store.due(isoOf(clock.now()), teamsPerTick);
  const slugs = [...new Set([...due, ...(await drifted(deps))])];
  await forEachConcurrently(slugs, teamsAtOnce, async (slug) => {
    try {
      await deps.reconcile(slug, AbortSignal.timeout(reconcileMs));
    } catch (error) {
      log.error({ team: slug, err: error }, 'reconcile failed');
    }
  });
  return { looked: slugs.length, ...report, operations: await advancing };
};

/** The teams that are due are reconciled even if the cluster cannot be listed. */
const drifted = async (deps: TickDeps): Promise<readonly string[]> => {
  try {
    return await findDriftedTeams(deps, AbortSignal.timeout(listMs));
  } catch (error) {
    deps.log.warn({ err: error }, 'cluster not listed');
    return [];
  }
};
