import type { TeamRecord } from '../model/record.ts';
import { applyObjects } from './apply.ts';
import { StaleRead } from './blocked.ts';
import type { ReconcileFacts } from './conditions.ts';
import type { ReconcileContext, ReconcileDeps } from './context.ts';
import { egressFact } from './egress-fact.ts';
import { factsOf, storeBehindFacts } from './failure-facts.ts';
import { observe } from './observe.ts';
import { provision } from './provision.ts';
import { recordFacts, recordNotebookGone } from './record.ts';
import { releaseState } from './release-state.ts';
import { syncMembers } from './sync-members.ts';
import { tearDownNotebook } from './teardown-notebook.ts';
import { tearDownTeam } from './teardown-team.ts';

/** A reconcile starts again this often when something has changed under it. */
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
 * time and from several instances at once: every write is guarded by what it was decided on. Throws for the store only,
 * never for the outside world.
 */
export const reconcileWith =
  (deps: ReconcileDeps): Reconcile =>
  async (slug, signal, { announced = false } = {}) => {
    let team = await deps.store.team(slug);
    let clusterRevision = 0;
    for (let attempt = 0; attempt < attempts && team !== undefined; attempt++) {
      try {
        const outcome = await reconcileOnce({ deps, team, signal, announced });
        if ('facts' in outcome) return await recordFacts(deps, team, outcome.facts);
        if (outcome.gone === 'notebook') team = await recordNotebookGone(deps, team);
        else if ((await deps.store.remove(slug, team)) === 'removed') {
          deps.log.info({ team: slug, id: team.id }, 'team deleted');
          return undefined;
        } else team = await deps.store.team(slug);
      } catch (error) {
        if (!(error instanceof StaleRead)) throw error;
        clusterRevision = error.clusterRevision;
        team = await deps.store.team(slug);
      }
    }
    // The store was read after the object, and is still older.
    if (team !== undefined && clusterRevision > team.generation)
      return recordFacts(deps, team, storeBehindFacts({ deps, team }, clusterRevision));
    return team;
  };

type Outcome = { readonly facts: ReconcileFacts } | { readonly gone: 'notebook' | 'team' };

const reconcileOnce = async (context: ReconcileContext): Promise<Outcome> => {
  const { team } = context;
  if (team.deletion !== null || team.notebook?.deletion) return tearDown(context);
  const [facts, secret] = await Promise.all([reconcileCluster(context), provision(context)]);
  return { facts: { ...facts, secret } };
};

const tearDown = async (context: ReconcileContext): Promise<Outcome> => {
  const { deletion, notebook } = context.team;
  try {
    if (deletion !== null) {
      await tearDownTeam(context, deletion);
      return { gone: 'team' };
    }
    if (notebook?.deletion) await tearDownNotebook(context, notebook.deletion);
    return { gone: 'notebook' };
  } catch (error) {
    if (error instanceof StaleRead) throw error;
    return { facts: factsOf(context, error) };
  }
};

const reconcileCluster = async (context: ReconcileContext): Promise<ReconcileFacts> => {
  try {
    const observed = await observe(context);
    const object = await applyObjects(context, observed);
    const release = object && releaseState(object);
    const members = object === undefined ? undefined : await syncMembers(context, release);
    const egress = egressFact(context, observed.live, observed.policies);
    return { applied: { outcome: 'complete' }, release, members, egress };
  } catch (error) {
    if (error instanceof StaleRead) throw error;
    return factsOf(context, error);
  }
};
