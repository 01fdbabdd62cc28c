import { allowlistLabel, isInSync, policiesFingerprint } from '../egress/fingerprint.ts';
import { kinds } from '../model/kinds.ts';
import type { Cluster, Manifest } from '../ports/cluster.ts';
import type { RestrictedTeam, Store } from '../ports/store.ts';
import { notebookPods } from '../teams/labels.ts';

export interface DriftDeps {
  readonly store: Pick<Store, 'restricted'>;
  readonly cluster: Pick<Cluster, 'list' | 'serves'>;
}

/**
 * Slugs of the teams whose policies are not as their last reconcile left them, for the notebook pods that there are now:
 * a policy of ours was deleted or changed by hand, a foreign one was added or changed, a notebook was started at the
 * hub’s own page, one has stopped, or an announced one has not come. What must be there is known from the records, so a
 * namespace without any policy is missed too.
 */
export const findDrifted = (
  teams: readonly RestrictedTeam[],
  policies: readonly Manifest[],
  pods: readonly Manifest[],
): readonly string[] => {
  const byNamespace = (objects: readonly Manifest[]) =>
    Map.groupBy(objects, ({ metadata }) => metadata.namespace ?? '');
  const [allPolicies, allPods] = [byNamespace(policies), byNamespace(pods)];
  return teams.flatMap(({ slug, namespace, policies: expected }) => {
    const own = allPolicies.get(namespace) ?? [];
    const following = own.filter(followsPods);
    const isFollowing = following.length === 0 || isInSync(following, allPods.get(namespace) ?? []);
    return isFollowing && policiesFingerprint(own) === expected ? [] : [slug];
  });
};

const followsPods = ({ kind, metadata }: Manifest): boolean =>
  kind === kinds.networkPolicy.kind &&
  Object.entries(allowlistLabel).every(([name, value]) => metadata.labels?.[name] === value);

/** The same, asked of the store and the cluster: one query, and one list of each kind when any team has opted in. */
export const findDriftedTeams = async (
  { store, cluster }: DriftDeps,
  signal: AbortSignal,
): Promise<readonly string[]> => {
  const teams = await store.restricted();
  if (teams.length === 0) return [];
  const { apiVersion, kind } = kinds.fqdnNetworkPolicy;
  const [policies, native, pods] = await Promise.all([
    cluster.list(kinds.networkPolicy, signal),
    cluster
      .serves(apiVersion, kind, signal)
      .then((isServed) => (isServed ? cluster.list(kinds.fqdnNetworkPolicy, signal) : [])),
    cluster.list({ ...kinds.pod, labels: notebookPods }, signal),
  ]);
  return findDrifted(teams, [...policies, ...native], pods);
};
