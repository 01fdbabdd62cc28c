import { isDeepStrictEqual } from 'node:util';
import type { TeamRecord } from '../model/record.ts';
import type { Manifest } from '../ports/cluster.ts';
import { Unavailable } from '../ports/unavailable.ts';
import type { ProvisionResult } from '../secrets/provision.ts';
import { ensure } from './apply.ts';
import type { ReconcileFacts } from './conditions.ts';
import {
  Blocked,
  isSameGeneration,
  type ReconcileContext,
  type ReconcileDeps,
  refOf,
  StaleRead,
} from './context.ts';
import { type EgressFact, egressFact, egressUnseen, observeEgress } from './egress.ts';
import { growHomes } from './homes.ts';
import { syncMembers } from './members.ts';
import { applyPolicies, isPolicy, policiesOf } from './policies.ts';
import { nudgeHub, profilesName } from './profiles.ts';
import { lookAgainSeconds, recorded, withoutNotebook } from './record-outcome.ts';
import { releaseState } from './release.ts';
import { takeBackUnwanted } from './take-back.ts';
import { tearDownNotebook, tearDownTeam } from './teardown.ts';

/** A pass is repeated this often when something moved under it. */
const passes = 3;

interface AppliedObjects {
  readonly release: Manifest | undefined;
  readonly egress: EgressFact;
}

const applyAll = async (look: ReconcileContext): Promise<AppliedObjects> => {
  const { cluster } = look.deps;
  const live = await observeEgress(look);
  const wanted = await look.deps.render(look.team, live);
  const [observed, existing] = await Promise.all([
    Promise.all(wanted.map((object) => cluster.read(refOf(object), look.signal))),
    policiesOf(look),
  ]);
  const actualOf = new Map(wanted.map((object, index) => [object, observed[index]]));
  const made: Manifest[] = [];
  let release: Manifest | undefined;
  let changedProfiles: Manifest | undefined;
  const apply = async (object: Manifest, as = object): Promise<void> => {
    const actual = actualOf.get(object);
    const result = await ensure(look, as, actual);
    actualOf.set(object, result);
    if (actual === undefined) made.push(result);
    if (object.kind === 'HelmRelease') release = result;
    const areProfiles = object.kind === 'ConfigMap' && object.metadata.name === profilesName;
    // The revision too: a start names the one that it needs, and the hub waits until it is mounted.
    if (areProfiles && actual !== undefined && !isDeepStrictEqual(actual.data, object.data))
      changedProfiles = result;
  };
  const policies = wanted.filter(isPolicy);
  const firstPolicy = wanted.findIndex(isPolicy);
  const before = firstPolicy < 0 ? wanted : wanted.slice(0, firstPolicy);
  const after = firstPolicy < 0 ? [] : wanted.slice(firstPolicy).filter((object) => !isPolicy(object));
  try {
    for (const object of before) await apply(object);
    // Whatever stands in the way of the hub: a team that opted in is restricted.
    await applyPolicies(look, policies, existing, apply);
    for (const object of after) await apply(object);
    if (changedProfiles) await nudgeHub(look, changedProfiles.metadata.resourceVersion ?? '');
    await growHomes(look);
  } finally {
    if (made.length > 0) await takeBackUnwanted(look, live, made);
  }
  return { release, egress: egressFact(look, live, existing) };
};

type Outcome = { readonly facts: ReconcileFacts } | { readonly gone: 'notebook' | 'team' };

/** What a look that could not go through comes to; throws what is not for people to see. */
const factsOf = ({ deps, team }: ReconcileContext, error: unknown): ReconcileFacts => {
  if (error instanceof Blocked) {
    const { outcome, reason, message } = error;
    return { applied: { outcome, reason, message }, release: undefined };
  }
  if (error instanceof Unavailable) {
    return {
      applied: { outcome: 'unknown', reason: `${error.system}Unavailable`, message: error.message },
      release: undefined,
      egress: egressUnseen(team, error.message),
    };
  }
  deps.log.error({ team: team.slug, err: error }, 'reconcile failed');
  const message =
    'Something went wrong here; the platform team sees it in the log. It is tried again by itself.';
  return { applied: { outcome: 'unknown', reason: 'InternalError', message }, release: undefined };
};

const inCluster = async (look: ReconcileContext): Promise<ReconcileFacts> => {
  try {
    const { release, egress } = await applyAll(look);
    const state = release && releaseState(release);
    const members = release === undefined ? undefined : await syncMembers(look, state);
    return { applied: { outcome: 'complete' }, release: state, members, egress };
  } catch (error) {
    if (error instanceof StaleRead) throw error;
    return factsOf(look, error);
  }
};

/** Google is asked when something was asked for, when it was not in order, and every half hour. */
const isProvisioned = ({ generation, status }: TeamRecord, now: number): boolean =>
  status.provisioned?.generation === generation &&
  Math.abs(now - Date.parse(status.provisioned.at)) < lookAgainSeconds * 1000;

/** Asks the store once more, so that a look which was held up does not bring back what a deletion has taken away. */
const provision = async (look: ReconcileContext): Promise<ProvisionResult | undefined> => {
  const { deps, team, signal } = look;
  if (!isSameGeneration(await deps.store.team(team.slug), team)) return undefined;
  return deps.google.provision(team, signal);
};

const pass = async (look: ReconcileContext): Promise<Outcome> => {
  const { team, deps } = look;
  if (team.deletion !== null || team.notebook?.deletion) {
    try {
      if (team.deletion !== null) {
        await tearDownTeam(look, team.deletion);
        return { gone: 'team' };
      }
      if (team.notebook?.deletion) await tearDownNotebook(look, team.notebook.deletion);
      return { gone: 'notebook' };
    } catch (error) {
      if (error instanceof StaleRead) throw error;
      return { facts: factsOf(look, error) };
    }
  }
  const [facts, secret] = await Promise.all([
    inCluster(look),
    isProvisioned(team, deps.clock.now()) ? undefined : provision(look),
  ]);
  return { facts: { ...facts, secret } };
};

/**
 * Looks at one team now, within the signal’s deadline; answers the team as it stands, undefined when it is gone.
 * `announced`: a notebook pod is about to be made, so that what it may reach is opened before it runs.
 */
export type Reconcile = (
  slug: string,
  signal: AbortSignal,
  options?: { readonly announced?: boolean },
) => Promise<TeamRecord | undefined>;

/**
 * Level-triggered: compares what the store wants with what is there and makes it so. Safe to call at any time
 * and from several instances at once: every write names what it was decided on. Never throws for the outside
 * world, only for the store.
 */
export const reconcileWith =
  (deps: ReconcileDeps): Reconcile =>
  async (slug, signal, { announced = false } = {}) => {
    let team = await deps.store.team(slug);
    for (let attempt = 0; attempt < passes && team !== undefined; attempt++) {
      try {
        const outcome = await pass({ deps, team, signal, announced });
        if ('facts' in outcome) return await recorded(deps, team, outcome.facts);
        if (outcome.gone === 'notebook') team = await withoutNotebook(deps, team);
        else if ((await deps.store.remove(slug, team)) === 'removed') {
          deps.log.info({ team: slug, id: team.id }, 'team deleted');
          return undefined;
        } else team = await deps.store.team(slug);
      } catch (error) {
        if (!(error instanceof StaleRead)) throw error;
        team = await deps.store.team(slug);
      }
    }
    return team;
  };
