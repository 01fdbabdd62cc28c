import { createHash } from 'node:crypto';
import { canonicalJson } from '../lib/json.ts';
import type { Manifest } from '../ports/cluster.ts';
import { livePods } from '../teams/labels.ts';
import type { LiveEgress } from './live-egress.ts';
import { PolicyName } from './policy.ts';

/** On the policies of a team whose list is not empty, which follow the notebook pods. */
export const allowlistLabel = { 'knada.io/allowlist': 'wanted' } as const;

/** On a baseline: the notebook pods that the list was last opened for, and the number of policies. */
export const notebooksAnnotation = 'knada.io/notebooks';

/** The fingerprint while a notebook is announced and its pod has not been seen. */
const announced = 'announced';

const digestOf = (uids: readonly string[]): string =>
  uids.length === 0 ? 'none' : createHash('sha256').update(uids.toSorted().join()).digest('hex').slice(0, 16);

const fingerprintOf = (uids: readonly string[], allows: number): string => `${digestOf(uids)}:${allows}`;

/**
 * An announced notebook has a fingerprint that no set of pods has, so the next tick checks whether it exists.
 * `allows`: how many NetworkPolicies open the list.
 */
export const notebooksFingerprint = (
  { owners, podsAlive }: Pick<LiveEgress, 'owners' | 'podsAlive'>,
  allows: number,
): string =>
  podsAlive && owners.length === 0
    ? announced
    : fingerprintOf(
        owners.map(({ uid }) => uid),
        allows,
      );

/**
 * The baseline as it is applied before the list is opened or closed: with the fingerprint that it has in the cluster. If
 * a later write fails, the next tick finds the team out of sync. An announcement is written first, for the same reason.
 */
export const keepPreviousFingerprint = (wanted: Manifest, actual: Manifest | undefined): Manifest => {
  const { [notebooksAnnotation]: next, ...annotations } = wanted.metadata.annotations ?? {};
  const previous = actual?.metadata.annotations?.[notebooksAnnotation];
  if (next === undefined || next === announced || next === previous) return wanted;
  const kept = previous === undefined ? {} : { [notebooksAnnotation]: previous };
  return { ...wanted, metadata: { ...wanted.metadata, annotations: { ...annotations, ...kept } } };
};

const isBaseline = ({ metadata }: Manifest): boolean =>
  metadata.name === PolicyName.Baseline || metadata.name === PolicyName.AirflowBaseline;

/** Whether a team’s labelled policies are those that were last applied, for the notebook pods that there are now. */
export const isInSync = (policies: readonly Manifest[], pods: readonly Manifest[]): boolean => {
  const baseline = policies.find(({ metadata }) => metadata.name === PolicyName.Baseline);
  const areComplete = policies.filter(isBaseline).length === 2;
  const uids = livePods(pods).flatMap(({ metadata }) => metadata.uid ?? []);
  const allows = policies.filter((policy) => !isBaseline(policy)).length;
  return areComplete && baseline?.metadata.annotations?.[notebooksAnnotation] === fingerprintOf(uids, allows);
};

/**
 * Every policy of a namespace, also those of others, in a few characters: another text as soon as one is created,
 * deleted, changed or relabelled. A change of a spec raises the generation, in the API server itself.
 */
export const policiesFingerprint = (policies: readonly Manifest[]): string => {
  const lines = policies.map(({ kind, metadata: { name, uid, generation, labels = {} } }) =>
    canonicalJson([kind, name, uid ?? '', generation ?? 0, labels]),
  );
  return createHash('sha256').update(lines.toSorted().join('\n')).digest('hex').slice(0, 16);
};
