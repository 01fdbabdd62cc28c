import { airflowLabel } from '../egress/airflow.ts';
import { PolicyName } from '../egress/policy.ts';
import type { Manifest } from '../ports/cluster.ts';
import { isOwned, metaOf } from '../teams/desired.ts';
import { assertNotNewer, nameOf, type ReconcileContext, refOf, StaleRead } from './context.ts';
import { keepPreviousFingerprint } from './drift-detection.ts';

/** The kinds that are pruned by themselves; everything else goes by teardown alone (DESIGN 5). */
export const policyKinds = [
  { apiVersion: 'networking.k8s.io/v1', kind: 'NetworkPolicy' },
  { apiVersion: 'networking.gke.io/v1alpha1', kind: 'FQDNNetworkPolicy' },
] as const;

export const isPolicy = ({ kind }: Manifest): boolean => policyKinds.some((each) => each.kind === kind);

/** Every policy of the team’s namespace, others’ too: what is not ours may let more through than we do. */
export const policiesOf = async ({ deps, team, signal }: ReconcileContext): Promise<readonly Manifest[]> => {
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

const removePolicy = async (look: ReconcileContext, policy: Manifest): Promise<void> => {
  const { uid, resourceVersion } = policy.metadata;
  if (uid === undefined || resourceVersion === undefined) return;
  assertNotNewer(look, policy);
  // With its version: a newer look may want this policy again, and has stamped it then.
  const guarded = { ...refOf(policy), uid, resourceVersion };
  if ((await look.deps.cluster.remove(guarded, look.signal)) === 'conflict') throw new StaleRead();
};

/**
 * Takes the policies from what exists to what is wanted so that no moment is wider than both ends: what holds in any
 * case comes first; then what is no longer allowed goes; then what is newly allowed comes; `open` goes last. When the
 * first cannot be applied nothing else is done. When a later one cannot, everything that is to go goes all the same:
 * a team that has opted in loses `open` even if its list cannot be opened. Which notebooks all this was for is told last.
 */
export const applyPolicies = async (
  look: ReconcileContext,
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
  const before = first !== undefined && isMoving ? keepPreviousFingerprint(first, actual) : first;
  if (first !== undefined) await apply(first, before);
  for (const policy of stale.filter((one) => !isOpen(one))) await removePolicy(look, policy);
  try {
    for (const policy of rest) await apply(policy);
  } finally {
    for (const policy of stale.filter(isOpen)) await removePolicy(look, policy);
  }
  if (first !== undefined && first !== before) await apply(first);
};
