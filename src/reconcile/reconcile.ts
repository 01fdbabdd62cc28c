import { isDeepStrictEqual } from 'node:util';
import { growth, homeLabels } from '../notebooks/home.ts';
import { type Manifest, Unavailable } from '../ports.ts';
import type { TeamRecord } from '../record.ts';
import { isOwned, metaOf, revisionAnnotation, teamIdLabel } from '../teams/desired.ts';
import { type Facts, statusAfter } from './conditions.ts';
import { differs, intrusion } from './drift.ts';
import {
  assertNotNewer,
  assertStillWanted,
  Halt,
  isSameWish,
  type Look,
  Moved,
  nameOf,
  type ReconcileDeps,
  refOf,
} from './look.ts';
import { releaseState } from './release.ts';
import { tearDownNotebook, tearDownTeam } from './teardown.ts';

/** The kinds that are pruned by themselves; everything else goes by teardown alone (DESIGN 5). */
const pruned = [{ apiVersion: 'networking.k8s.io/v1', kind: 'NetworkPolicy' }] as const;

/** A pass is repeated this often when something moved under it. */
const passes = 3;

/** A team where all is well is looked at this often. */
const lookAgainSeconds = 30 * 60;
const degradedSeconds = 60;
const longestBackoffSeconds = 300;

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

const prune = async (look: Look, wanted: readonly Manifest[]): Promise<void> => {
  const { deps, team, signal } = look;
  const { namespace } = metaOf(team);
  for (const { apiVersion, kind } of pruned) {
    const keep = new Set(
      wanted.filter((object) => object.kind === kind).map(({ metadata }) => metadata.name),
    );
    const owned = await deps.cluster.list(
      { apiVersion, kind, namespace, labels: { [teamIdLabel]: team.id } },
      signal,
    );
    for (const object of owned) {
      const { name, uid, resourceVersion, deletionTimestamp } = object.metadata;
      if (keep.has(name) || deletionTimestamp !== undefined) continue;
      if (uid === undefined || resourceVersion === undefined) continue;
      assertNotNewer(look, object);
      // With its version: a newer look may want this policy again, and has stamped it then.
      const guarded = { apiVersion, kind, namespace, name, uid, resourceVersion };
      if ((await deps.cluster.remove(guarded, signal)) === 'conflict') throw new Moved();
    }
  }
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
const contentOf = (object: Manifest | undefined): string =>
  JSON.stringify(object?.data?.['profiles.json'] ?? null);

/**
 * What was made in the very moment in which it became unwanted would stay for ever: nothing else looks for it.
 * Takes back what the store does not want any more, unless somebody newer has put it to use.
 */
const takeBackUnwanted = async ({ deps, team, signal }: Look, made: readonly Manifest[]): Promise<void> => {
  const current = await deps.store.team(team.slug);
  const wanted = current?.id === team.id ? (await deps.render(current)).map(nameOf) : [];
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

const applyAll = async (look: Look): Promise<Manifest | undefined> => {
  const wanted = await look.deps.render(look.team);
  const { cluster } = look.deps;
  const observed = await Promise.all(wanted.map((object) => cluster.read(refOf(object), look.signal)));
  const lastPolicy = wanted.findLastIndex(({ kind }) => pruned.some((each) => each.kind === kind));
  const made: Manifest[] = [];
  let release: Manifest | undefined;
  let changedProfiles: Manifest | undefined;
  try {
    for (const [index, object] of wanted.entries()) {
      const actual = observed[index];
      const result = await ensure(look, object, actual);
      if (actual === undefined) made.push(result);
      if (object.kind === 'HelmRelease') release = result;
      const areProfiles = object.kind === 'ConfigMap' && object.metadata.name === profilesName;
      if (areProfiles && actual !== undefined && contentOf(actual) !== contentOf(object))
        changedProfiles = result;
      // Whatever stands in the way of the hub: a team that opted in is restricted.
      if (index === lastPolicy) await prune(look, wanted);
    }
    if (lastPolicy < 0) await prune(look, wanted);
    if (changedProfiles) await nudgeHub(look, changedProfiles.metadata.resourceVersion ?? '');
    await growHomes(look);
  } finally {
    if (made.length > 0) await takeBackUnwanted(look, made);
  }
  return release;
};

type Outcome = { readonly facts: Facts } | { readonly gone: 'notebook' | 'team' };

const pass = async (look: Look): Promise<Outcome> => {
  const { team, deps } = look;
  try {
    if (team.deletion !== null) {
      await tearDownTeam(look, team.deletion);
      return { gone: 'team' };
    }
    if (team.notebook?.deletion) {
      await tearDownNotebook(look, team.notebook.deletion);
      return { gone: 'notebook' };
    }
    const release = await applyAll(look);
    return { facts: { applied: { outcome: 'complete' }, release: release && releaseState(release) } };
  } catch (error) {
    if (error instanceof Moved) throw error;
    if (error instanceof Halt) {
      const { outcome, reason, message } = error;
      return { facts: { applied: { outcome, reason, message }, release: undefined } };
    }
    if (error instanceof Unavailable) {
      return {
        facts: {
          applied: { outcome: 'unknown', reason: `${error.system}Unavailable`, message: error.message },
          release: undefined,
        },
      };
    }
    deps.log.error({ team: team.slug, err: error }, 'reconcile failed');
    const message =
      'Something went wrong here; the platform team sees it in the log. It is tried again by itself.';
    return {
      facts: { applied: { outcome: 'unknown', reason: 'InternalError', message }, release: undefined },
    };
  }
};

/** When to look again, in seconds from now. */
const waitSeconds = (phase: TeamRecord['status']['phase'], facts: Facts, failures: number): number => {
  if (failures > 0) return Math.min(2 ** failures, longestBackoffSeconds);
  if (phase === 'Ready') return lookAgainSeconds;
  if (phase === 'Degraded' || facts.applied.outcome === 'blocked') return degradedSeconds;
  return 0;
};

const recorded = async (
  deps: ReconcileDeps,
  looked: TeamRecord,
  facts: Facts,
): Promise<TeamRecord | undefined> =>
  deps.store.change(looked.slug, (current) => {
    if (!isSameWish(current, looked)) return undefined;
    const now = new Date(deps.clock.now());
    const status = statusAfter(current, facts, now.toISOString());
    const failures = facts.applied.outcome === 'unknown' ? current.reconcile.failures + 1 : 0;
    const wait = waitSeconds(status.phase, facts, failures);
    // By value: a store may hand out fields in another order.
    const changed = !isDeepStrictEqual(status, current.status);
    const due = new Date(now.getTime() + wait * 1000).toISOString();
    // A look in between that finds nothing new writes nothing.
    const settled = failures === current.reconcile.failures && current.reconcile.dueAt <= due;
    const early = wait === 0 || current.reconcile.dueAt > now.toISOString();
    if (!changed && settled && early) return undefined;
    return {
      next: {
        ...current,
        status,
        statusVersion: current.statusVersion + (changed ? 1 : 0),
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

/** Looks at one team now, within the signal’s deadline; answers the team as it stands, undefined when it is gone. */
export type Reconcile = (slug: string, signal: AbortSignal) => Promise<TeamRecord | undefined>;

/**
 * Level-triggered: compares what the store wants with what is there and makes it so. Safe to call at any time
 * and from several instances at once: every write names what it was decided on. Never throws for the outside
 * world, only for the store.
 */
export const reconcileWith =
  (deps: ReconcileDeps): Reconcile =>
  async (slug, signal) => {
    let team = await deps.store.team(slug);
    for (let attempt = 0; attempt < passes && team !== undefined; attempt++) {
      try {
        const outcome = await pass({ deps, team, signal });
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
