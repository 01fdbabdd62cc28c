import { isDeepStrictEqual } from 'node:util';
import { isEgressPolicy } from '../egress/policy.ts';
import { kinds } from '../model/kinds.ts';
import { profilesConfigMapName } from '../notebooks/profiles.ts';
import { type Manifest, nameOf } from '../ports/cluster.ts';
import { isOwned } from '../teams/desired.ts';
import { applyObject } from './apply-object.ts';
import { applyPolicies } from './apply-policies.ts';
import { Blocked, StaleRead } from './blocked.ts';
import type { ReconcileContext } from './context.ts';
import { growHomes } from './grow-homes.ts';
import { nudgeHub } from './nudge-hub.ts';
import type { Observed } from './observe.ts';
import { isQuota, pruneQuota } from './quota.ts';
import { undoUnwanted } from './undo-unwanted.ts';

/** How far a team’s objects were brought in sync. */
export interface Applied {
  /** The team’s HelmRelease as it is now, in sync or not. */
  readonly release: Manifest | undefined;
  /** Whether the policies may differ from those that were observed. */
  readonly hasWrittenPolicies: boolean;
  /** What prevented a part; empty when every object is in sync. */
  readonly errors: readonly unknown[];
}

/**
 * Applies every desired object. Policies need a namespace and nothing else, so a team that has opted in is restricted
 * whatever prevents the rest; the hub needs all that comes before it; homes need neither. Throws StaleRead.
 */
export const applyObjects = async (
  context: ReconcileContext,
  { live, wanted, actual, policies }: Observed,
): Promise<Applied> => {
  const current = new Map(wanted.map((object, index) => [nameOf(object), actual[index]]));
  const created: Manifest[] = [];
  const errors: unknown[] = [];

  /** Whether it was written. */
  const apply = async (object: Manifest): Promise<boolean> => {
    const before = current.get(nameOf(object));
    // Before the call, since its answer may be lost.
    if (before === undefined) created.push(object);
    const after = await applyObject(context, object, before);
    current.set(nameOf(object), after);
    if (before !== undefined && areProfiles(object)) await nudgeIfChanged(context, before, after);
    return before?.metadata.resourceVersion !== after.metadata.resourceVersion;
  };
  /** Whether it went through. What blocks one part is no reason to leave out the next; any other error is. */
  const part = async (work: () => Promise<unknown>): Promise<boolean> => {
    if (errors.some((error) => !(error instanceof Blocked))) return false;
    try {
      await work();
      return true;
    } catch (error) {
      errors.push(error);
      return false;
    }
  };
  const inOrder = (objects: readonly Manifest[]) => async () => {
    for (const object of objects) await apply(object);
  };

  const [namespace, ...others] = wanted.filter((object) => !isEgressPolicy(object));
  const isAccount = ({ kind }: Manifest) => kind === kinds.serviceAccount.kind;
  let hasWrittenPolicies = true;
  const hasNamespace = await part(inOrder(namespace === undefined ? [] : [namespace]));
  if (hasNamespace || isUsable(context, namespace && current.get(nameOf(namespace)))) {
    const hasPolicies = await part(async () => {
      hasWrittenPolicies = await applyPolicies(context, wanted.filter(isEgressPolicy), policies, apply);
    });
    const hasAccount = await part(inOrder(others.filter(isAccount)));
    // What is wrong with a quota is no reason to withhold the hub; a raised one comes before homes that grow.
    await part(inOrder(others.filter(isQuota)));
    await part(() => pruneQuota(context, others));
    const ofTheHub = others.filter((object) => !isAccount(object) && !isQuota(object));
    if (hasPolicies && hasAccount) await part(inOrder(ofTheHub));
    await part(() => growHomes(context));
  }
  if (created.length > 0) {
    await undoUnwanted(context, live, created).catch((error: unknown) => errors.push(error));
  }
  const stale = errors.find((error) => error instanceof StaleRead);
  if (stale !== undefined) throw stale;
  const release = wanted.filter(isRelease).flatMap((object) => current.get(nameOf(object)) ?? []);
  return { release: release.find((object) => isOwned(object, context.team)), hasWrittenPolicies, errors };
};

/** Whether objects can be created in a namespace although it could not be brought in sync. */
const isUsable = ({ team }: ReconcileContext, namespace: Manifest | undefined): boolean =>
  namespace !== undefined && isOwned(namespace, team) && namespace.metadata.deletionTimestamp === undefined;

const isRelease = ({ kind }: Manifest): boolean => kind === kinds.helmRelease.kind;

const areProfiles = ({ kind, metadata }: Manifest): boolean =>
  kind === kinds.configMap.kind && metadata.name === profilesConfigMapName;

/** The revision counts too: a start names the one that it needs, and the hub waits until that is mounted. */
const nudgeIfChanged = async (
  context: ReconcileContext,
  before: Manifest,
  after: Manifest,
): Promise<void> => {
  if (isDeepStrictEqual(before.data, after.data)) return;
  await nudgeHub(context, after.metadata.resourceVersion ?? '');
};
