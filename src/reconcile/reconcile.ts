import type { TeamRecord } from '../model/record.ts';
import { StaleRead } from './blocked.ts';
import type { ReconcileContext, ReconcileDeps } from './context.ts';
import { storeBehindFacts } from './failure-facts.ts';
import { reconcileOnce } from './reconcile-once.ts';
import { recordFacts, recordNotebookGone, recordOvertaken } from './record.ts';

/** A reconcile starts again this often when the order or the cluster has changed under it. */
const attempts = 3;

/**
 * Reconciles one team within the signal’s deadline; answers the team as it stands, undefined when it is gone.
 * `announced`: the caller is about to create a notebook pod, so its list is opened before it runs.
 */
export type Reconcile = (
  slug: string,
  signal: AbortSignal,
  options?: { readonly announced?: boolean },
) => Promise<TeamRecord | undefined>;

/**
 * Level-triggered: compares what the store wants with what is there, and changes the difference. Safe to call at any
 * time and from several instances at once: every write is guarded by what it was decided on. A reconcile whose order has
 * changed leaves the team due at once. Throws for the store only, never for the outside world.
 */
export const reconcileWith =
  (deps: ReconcileDeps): Reconcile =>
  async (slug, signal, { announced = false } = {}) => {
    const before = await deps.store.team(slug);
    if (before === undefined) return undefined;
    const after = await reconcileTeam(deps, before, { signal, announced });
    await deps.settleOperations(before);
    return after;
  };

const reconcileTeam = async (
  deps: ReconcileDeps,
  before: TeamRecord,
  { signal, announced }: Pick<ReconcileContext, 'signal' | 'announced'>,
): Promise<TeamRecord | undefined> => {
  const { slug } = before;
  let team: TeamRecord | undefined = before;
  let clusterRevision = 0;
  for (let attempt = 0; attempt < attempts && team !== undefined; attempt++) {
    // Whatever is left to do would fail, and say nothing about the team.
    if (attempt > 0 && signal.aborted) break;
    const ended: Ended = await attemptOnce({ deps, team, signal, announced });
    if ('team' in ended) return ended.team;
    clusterRevision = ended.clusterRevision;
    team = await deps.store.team(slug);
  }
  if (team === undefined) return undefined;
  // The store was read after the object, and is still older.
  if (clusterRevision > team.generation) {
    return recordFacts(deps, team, storeBehindFacts({ deps, team }, clusterRevision));
  }
  return recordOvertaken(deps, team);
};

/** The team as it was recorded, or the need to start again, and the newest revision that was seen in the cluster. */
type Ended = { readonly team: TeamRecord | undefined } | { readonly clusterRevision: number };

const attemptOnce = async (context: ReconcileContext): Promise<Ended> => {
  const { deps, team } = context;
  const again = { clusterRevision: 0 };
  try {
    const outcome = await reconcileOnce(context);
    if ('facts' in outcome) {
      const recorded = await recordFacts(deps, team, outcome.facts);
      return recorded === undefined ? again : { team: recorded };
    }
    if (outcome.gone === 'notebook') {
      await recordNotebookGone(deps, team);
      return again;
    }
    if ((await deps.store.remove(team.slug, team)) !== 'removed') return again;
    deps.log.info({ team: team.slug, id: team.id }, 'team deleted');
    return { team: undefined };
  } catch (error) {
    if (error instanceof StaleRead) return { clusterRevision: error.clusterRevision };
    throw error;
  }
};
