import { isDeepStrictEqual } from 'node:util';
import { isEgressPolicy } from '../egress/policy.ts';
import { kinds } from '../model/kinds.ts';
import { profilesConfigMapName } from '../notebooks/profiles.ts';
import { type Manifest, nameOf } from '../ports/cluster.ts';
import { applyObject } from './apply-object.ts';
import { applyPolicies } from './apply-policies.ts';
import type { ReconcileContext } from './context.ts';
import { growHomes } from './grow-homes.ts';
import { nudgeHub } from './nudge-hub.ts';
import type { Observed } from './observe.ts';
import { undoUnwanted } from './undo-unwanted.ts';

/** Applies every desired object, in order; answers the HelmRelease as it is then. */
export const applyObjects = async (
  context: ReconcileContext,
  { live, wanted, actual, policies }: Observed,
): Promise<Manifest | undefined> => {
  const current = new Map(wanted.map((object, index) => [nameOf(object), actual[index]]));
  const created: Manifest[] = [];
  const apply = async (object: Manifest): Promise<Manifest> => {
    const before = current.get(nameOf(object));
    const result = await applyObject(context, object, before);
    if (before === undefined) created.push(result);
    current.set(nameOf(object), result);
    return result;
  };
  const firstPolicy = wanted.findIndex(isEgressPolicy);
  const split = firstPolicy < 0 ? wanted.length : firstPolicy;
  try {
    for (const object of wanted.slice(0, split)) await apply(object);
    // Before the hub: a team that has opted in is restricted whatever prevents the rest.
    await applyPolicies(context, wanted.filter(isEgressPolicy), policies, apply);
    for (const object of wanted.slice(split)) {
      if (isEgressPolicy(object)) continue;
      const before = current.get(nameOf(object));
      const result = await apply(object);
      if (before !== undefined && areProfiles(object)) await nudgeIfChanged(context, before, result);
    }
    await growHomes(context);
  } finally {
    if (created.length > 0) await undoUnwanted(context, live, created);
  }
  return wanted.filter(isRelease).flatMap((object) => current.get(nameOf(object)) ?? [])[0];
};

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
