import { isDeepStrictEqual } from 'node:util';
import { airflowLabel } from '../egress/airflow.ts';
import { PolicyName } from '../egress/policy.ts';
import { growth, homeLabels } from '../notebooks/home.ts';
import { type Manifest, Unavailable } from '../ports.ts';
import type { TeamRecord, TeamStatus } from '../record.ts';
import type { Provisioned } from '../secrets/provision.ts';
import { isOwned, metaOf, revisionAnnotation } from '../teams/desired.ts';
import { type Facts, statusAfter } from './conditions.ts';
import { differs, intrusion } from './drift.ts';
import { type EgressFact, egressFact, egressUnseen, namesOf, observeEgress } from './egress.ts';
import { untold } from './follow.ts';
import {
  assertNotNewer,
  assertStillWanted,
  Halt,
  isSameWish,
  type LiveEgress,
  type Look,
  Moved,
  nameOf,
  type ReconcileDeps,
  refOf,
} from './look.ts';
import { syncMembers } from './members.ts';
import { releaseState } from './release.ts';
import { tearDownNotebook, tearDownTeam } from './teardown.ts';

/** The kinds that are pruned by themselves; everything else goes by teardown alone (DESIGN 5). */
const policyKinds = [
  { apiVersion: 'networking.k8s.io/v1', kind: 'NetworkPolicy' },
  { apiVersion: 'networking.gke.io/v1alpha1', kind: 'FQDNNetworkPolicy' },
] as const;
const isPolicy = ({ kind }: Manifest): boolean => policyKinds.some((each) => each.kind === kind);

/** A pass is repeated this often when something moved under it. */
const passes = 3;

/** A team where all is well is looked at this often. */
const lookAgainSeconds = 30 * 60;
const degradedSeconds = 60;
const longestBackoffSeconds = 300;
/** A hub that is away is caught up with at the next tick. */
const pendingMembersSeconds = 30;

/** Makes one object as wanted; answers it as it stands. Writes nothing when nothing differs. */
const ensure = async (look: Look, wanted: Manifest, actual: Manifest | undefined): Promise<Manifest> => {
  const { cluster } = look.deps;
  if (actual === undefined) await assertStillWanted(look);
  else {
    if (!isOwned(actual, look.team)) {
      throw new Halt(
        'blocked',
        'Conflict',
        `${nameOf(wanted)} exists and is not this team’s; rename or delete it.`,
      );
    }
    if (actual.metadata.deletionTimestamp !== undefined) {
      throw new Halt(
        'waiting',
        'Terminating',
        `${nameOf(wanted)} is being deleted; it is made anew once it is gone.`,
      );
    }
    assertNotNewer(look, actual);
    if (!differs(actual, wanted)) return cleaned(look, wanted, actual);
  }
  const { uid, resourceVersion } = actual?.metadata ?? {};
  const result = await cluster.apply(
    {
      ...wanted,
      metadata: {
        ...wanted.metadata,
        ...(uid === undefined || resourceVersion === undefined ? {} : { uid, resourceVersion }),
      },
    },
    look.signal,
  );
  if (result.outcome === 'conflict') throw new Moved();
  if (result.outcome === 'refused') {
    throw new Halt('blocked', 'Refused', `The cluster refuses ${nameOf(wanted)}: ${result.message}`);
  }
  return cleaned(look, wanted, result.object);
};

/** Takes out what somebody else put into an object whose content is ours alone. */
const cleaned = async (look: Look, wanted: Manifest, actual: Manifest): Promise<Manifest> => {
  const patch = intrusion(actual, wanted);
  const { uid, resourceVersion } = actual.metadata;
  if (patch === undefined || uid === undefined || resourceVersion === undefined) return actual;
  look.deps.log.warn({ team: look.team.slug, object: nameOf(wanted) }, 'foreign content removed');
  const result = await look.deps.cluster.patch(
    { ...refOf(wanted), uid, resourceVersion },
    patch,
    look.signal,
  );
  if (result.outcome === 'conflict') throw new Moved();
  if (result.outcome === 'refused') {
    throw new Halt('blocked', 'Refused', `The cluster refuses ${nameOf(wanted)}: ${result.message}`);
  }
  return result.object;
};

/** Every policy of the team’s namespace, others’ too: what is not ours may let more through than we do. */
const policiesOf = async ({ deps, team, signal }: Look): Promise<readonly Manifest[]> => {
  const { namespace } = metaOf(team);
  const lists = await Promise.all(
    policyKinds.map(async ({ apiVersion, kind }) =>
      kind === 'NetworkPolicy' || (await deps.cluster.serves(apiVersion, kind, signal))
        ? deps.cluster.list({ apiVersion, kind, namespace }, signal)
        : [],
    ),
  );
  return lists.flat();
};

const removePolicy = async (look: Look, policy: Manifest): Promise<void> => {
  const { uid, resourceVersion } = policy.metadata;
  if (uid === undefined || resourceVersion === undefined) return;
  assertNotNewer(look, policy);
  // With its version: a newer look may want this policy again, and has stamped it then.
  const guarded = { ...refOf(policy), uid, resourceVersion };
  if ((await look.deps.cluster.remove(guarded, look.signal)) === 'conflict') throw new Moved();
};

/**
 * Takes the policies from what exists to what is wanted so that no moment is wider than both ends: what holds in any
 * case comes first; then what is no longer allowed goes; then what is newly allowed comes; `open` goes last. When the
 * first cannot be applied nothing else is done. When a later one cannot, everything that is to go goes all the same:
 * a team that has opted in loses `open` even if its list cannot be opened. Which notebooks all this was for is told last.
 */
const applyPolicies = async (
  look: Look,
  wanted: readonly Manifest[],
  existing: readonly Manifest[],
  apply: (policy: Manifest, as?: Manifest) => Promise<void>,
): Promise<void> => {
  const kept = new Set(wanted.map(nameOf));
  const stale = existing.filter(
    (policy) =>
      isOwned(policy, look.team) &&
      !kept.has(nameOf(policy)) &&
      policy.metadata.deletionTimestamp === undefined &&
      // Those of Airflow runs follow their own pods.
      policy.metadata.labels?.[airflowLabel] === undefined,
  );
  const isOpen = ({ metadata }: Manifest) => metadata.name === PolicyName.Open;
  const [first, ...rest] = wanted;
  const isMoving =
    rest.some(({ metadata }) => metadata.name !== PolicyName.AirflowBaseline) || !stale.every(isOpen);
  const actual = existing.find((policy) => first !== undefined && nameOf(policy) === nameOf(first));
  const before = first !== undefined && isMoving ? untold(first, actual) : first;
  if (first !== undefined) await apply(first, before);
  for (const policy of stale.filter((one) => !isOpen(one))) await removePolicy(look, policy);
  try {
    for (const policy of rest) await apply(policy);
  } finally {
    for (const policy of stale.filter(isOpen)) await removePolicy(look, policy);
  }
  if (first !== undefined && first !== before) await apply(first);
};

/**
 * Makes the kubelet sync the mounted profiles at once: it does so whenever the pod itself changes. `version`: of the
 * profiles, another one each time they change.
 */
const nudgeHub = async ({ deps, team, signal }: Look, version: string): Promise<void> => {
  const { namespace } = metaOf(team);
  const pods = await deps.cluster.list(
    { apiVersion: 'v1', kind: 'Pod', namespace, labels: { component: 'hub' } },
    signal,
  );
  for (const { metadata } of pods) {
    const { uid, resourceVersion, name } = metadata;
    if (uid === undefined || resourceVersion === undefined) continue;
    const annotations = { 'knada.io/profiles': version };
    await deps.cluster.patch(
      { apiVersion: 'v1', kind: 'Pod', namespace, name, uid, resourceVersion },
      { metadata: { annotations } },
      signal,
    );
  }
};

const profilesName = 'notebook-profiles';

/**
 * What was made in the very moment in which it became unwanted would stay for ever: nothing else looks for it.
 * Takes back what the store does not want any more, unless somebody newer has put it to use.
 */
const takeBackUnwanted = async (
  { deps, team, signal }: Look,
  live: LiveEgress,
  made: readonly Manifest[],
): Promise<void> => {
  const current = await deps.store.team(team.slug);
  const wanted = current?.id === team.id ? (await deps.render(current, live)).map(nameOf) : [];
  for (const object of made.toReversed()) {
    if (wanted.includes(nameOf(object))) continue;
    const ref = refOf(object);
    for (
      let found = await deps.cluster.read(ref, signal);
      found;
      found = await deps.cluster.read(ref, signal)
    ) {
      const { uid, resourceVersion, annotations, deletionTimestamp } = found.metadata;
      const isAsMade =
        uid === object.metadata.uid && annotations?.[revisionAnnotation] === String(team.generation);
      if (!isAsMade || uid === undefined || resourceVersion === undefined || deletionTimestamp) break;
      // A conflict is a status that somebody wrote, or a newer look: read again.
      if ((await deps.cluster.remove({ ...ref, uid, resourceVersion }, signal)) !== 'conflict') break;
    }
  }
};

/** Home volumes that exist are grown too; KubeSpawner sizes a volume only when it makes it. */
const growHomes = async ({ deps, team, signal }: Look): Promise<void> => {
  if (team.notebook === null) return;
  const { namespace } = metaOf(team);
  const { home } = team.notebook.spec.storage;
  const kind = { apiVersion: 'v1', kind: 'PersistentVolumeClaim', namespace } as const;
  for (const claim of await deps.cluster.list({ ...kind, labels: homeLabels }, signal)) {
    const { name, uid, resourceVersion } = claim.metadata;
    const patch = growth(claim, home);
    if (patch === undefined || uid === undefined || resourceVersion === undefined) continue;
    const result = await deps.cluster.patch({ ...kind, name, uid, resourceVersion }, patch, signal);
    if (result.outcome === 'refused') {
      throw new Halt(
        'blocked',
        'HomesNotGrown',
        `Home volume ${name} cannot grow to ${home}: ${result.message}`,
      );
    }
  }
};

interface AppliedObjects {
  readonly release: Manifest | undefined;
  readonly egress: EgressFact;
}

const applyAll = async (look: Look): Promise<AppliedObjects> => {
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

type Outcome = { readonly facts: Facts } | { readonly gone: 'notebook' | 'team' };

/** What a look that could not go through comes to; throws what is not for people to see. */
const factsOf = ({ deps, team }: Look, error: unknown): Facts => {
  if (error instanceof Halt) {
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

const inCluster = async (look: Look): Promise<Facts> => {
  try {
    const { release, egress } = await applyAll(look);
    const state = release && releaseState(release);
    const members = release === undefined ? undefined : await syncMembers(look, state);
    return { applied: { outcome: 'complete' }, release: state, members, egress };
  } catch (error) {
    if (error instanceof Moved) throw error;
    return factsOf(look, error);
  }
};

/** Google is asked when something was asked for, when it was not in order, and every half hour. */
const isProvisioned = ({ generation, status }: TeamRecord, now: number): boolean =>
  status.provisioned?.generation === generation &&
  Math.abs(now - Date.parse(status.provisioned.at)) < lookAgainSeconds * 1000;

/** Asks the store once more, so that a look which was held up does not bring back what a deletion has taken away. */
const provision = async (look: Look): Promise<Provisioned | undefined> => {
  const { deps, team, signal } = look;
  if (!isSameWish(await deps.store.team(team.slug), team)) return undefined;
  return deps.google.provision(team, signal);
};

const pass = async (look: Look): Promise<Outcome> => {
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
      if (error instanceof Moved) throw error;
      return { facts: factsOf(look, error) };
    }
  }
  const [facts, secret] = await Promise.all([
    inCluster(look),
    isProvisioned(team, deps.clock.now()) ? undefined : provision(look),
  ]);
  return { facts: { ...facts, secret } };
};

/** Whether another look may find what this one could not. */
const hasFailed = ({ applied, secret }: Facts): boolean =>
  applied.outcome === 'unknown' || (secret !== undefined && secret.state !== 'ready');

/** When to look again, in seconds from now. */
const waitSeconds = (phase: TeamRecord['status']['phase'], facts: Facts, failures: number): number => {
  if (failures > 0) return Math.min(2 ** failures, longestBackoffSeconds);
  if (facts.members?.outcome === 'pending') return pendingMembersSeconds;
  if (facts.egress?.outcome === 'ineffective') return degradedSeconds;
  if (phase === 'Ready') return lookAgainSeconds;
  if (phase === 'Degraded' || facts.applied.outcome === 'blocked') return degradedSeconds;
  return 0;
};

/** The part of a status that people see. */
const shown = ({ provisioned: _provisioned, hubUsers: _hubUsers, ...rest }: TeamStatus) => rest;

const recorded = async (
  deps: ReconcileDeps,
  looked: TeamRecord,
  facts: Facts,
): Promise<TeamRecord | undefined> =>
  deps.store.change(looked.slug, (current) => {
    if (!isSameWish(current, looked)) return undefined;
    const now = new Date(deps.clock.now());
    const status = statusAfter(current, facts, now.toISOString());
    const failures = hasFailed(facts) ? current.reconcile.failures + 1 : 0;
    const egressHosts = namesOf(current, deps.egress);
    const wait = waitSeconds(status.phase, facts, failures);
    // By value: a store may hand out fields in another order.
    const changed = !isDeepStrictEqual(shown(status), shown(current.status));
    const same =
      isDeepStrictEqual(status, current.status) && isDeepStrictEqual(egressHosts, current.egressHosts);
    const due = new Date(now.getTime() + wait * 1000).toISOString();
    // A look in between that finds nothing new writes nothing.
    const settled = failures === current.reconcile.failures && current.reconcile.dueAt <= due;
    const early = wait === 0 || current.reconcile.dueAt > now.toISOString();
    if (same && settled && early) return undefined;
    return {
      next: {
        ...current,
        status,
        statusVersion: current.statusVersion + (changed ? 1 : 0),
        egressHosts,
        reconcile: { dueAt: due, failures },
      },
    };
  });

const withoutNotebook = async (deps: ReconcileDeps, looked: TeamRecord): Promise<TeamRecord | undefined> =>
  deps.store.change(looked.slug, (current) => {
    if (!isSameWish(current, looked)) return undefined;
    const now = new Date(deps.clock.now()).toISOString();
    return {
      next: {
        ...current,
        notebook: null,
        release: null,
        culling: { dueAt: null, servers: {} },
        egressHosts: [],
        generation: current.generation + 1,
        status: { ...current.status, phase: 'Applying', conditions: [], appliedRevision: 0, wasReady: false },
        statusVersion: current.statusVersion + 1,
        reconcile: { dueAt: now, failures: 0 },
      },
    };
  });

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
        if (!(error instanceof Moved)) throw error;
        team = await deps.store.team(slug);
      }
    }
    return team;
  };
