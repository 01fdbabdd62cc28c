import { forEachConcurrently } from '../lib/concurrency.ts';
import type { Cluster } from '../ports/cluster.ts';
import { findDriftedTeams } from './drift-detection.ts';
import type { Reconcile } from './reconcile.ts';
import { type RollOutDeps, type RollOutReport, rollOut } from './roll-out.ts';

export interface TickDeps extends RollOutDeps {
  readonly cluster: Pick<Cluster, 'list'>;
  readonly reconcile: Reconcile;
  /** Takes on the operations that are due; answers how many. */
  readonly advanceOperations: () => Promise<number>;
}

/** What a tick did, for the log and for whoever called it. */
export interface TickReport extends RollOutReport {
  readonly looked: number;
  /** Operations on servers and hubs that were taken on. */
  readonly operations: number;
}

/** Teams looked at in one tick at most, and at once. The rest is still due at the next tick, longest due first. */
const teamsPerTick = 500;
const atOnce = 8;

const deadlineMs = 20_000;

/** How long the cluster may take to list the notebooks, and a hub to say whether somebody is starting one. */
const listMs = 10_000;

/**
 * One call of the scheduler: moves a few teams to the platform of now, then looks at every team that is due or whose
 * notebooks have come or gone, and meanwhile takes on the operations that are due. A team that fails delays no other.
 * Costs three queries and one list of the cluster when nothing is due.
 */
export const tick = async (deps: TickDeps): Promise<TickReport> => {
  const { store, clock, log } = deps;
  const advancing = deps.advanceOperations().catch((error: unknown) => {
    log.error({ err: error }, 'operations not taken on');
    return 0;
  });
  const report = await rollOut(deps);
  const due = await store.due(new Date(clock.now()).toISOString(), teamsPerTick);
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
};
