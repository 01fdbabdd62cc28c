import { allowlistLabel, isInSync } from '../egress/fingerprint.ts';
import { kinds } from '../model/kinds.ts';
import type { Cluster, Manifest } from '../ports/cluster.ts';
import { notebookPods, teamLabel } from '../teams/labels.ts';

/**
 * Slugs of the teams whose policies are out of sync with their notebook pods: a notebook was started at the hub’s own
 * page, one has stopped, an announced one has not come, or a policy was deleted. `policies`: those with `allowlistLabel`.
 */
export const findDrifted = (pods: readonly Manifest[], policies: readonly Manifest[]): readonly string[] => {
  const podsByNamespace = Map.groupBy(pods, ({ metadata }) => metadata.namespace);
  const policiesByNamespace = Map.groupBy(policies, ({ metadata }) => metadata.namespace);
  return [...policiesByNamespace]
    .flatMap(([namespace, own]) => {
      const slug = own[0]?.metadata.labels?.[teamLabel];
      return slug === undefined || isInSync(own, podsByNamespace.get(namespace) ?? []) ? [] : [slug];
    })
    .toSorted();
};

/** The same, read from the cluster: one list, and one more when any team has opted in. */
export const findDriftedTeams = async (
  cluster: Pick<Cluster, 'list'>,
  signal: AbortSignal,
): Promise<readonly string[]> => {
  const policies = await cluster.list({ ...kinds.networkPolicy, labels: allowlistLabel }, signal);
  if (policies.length === 0) return [];
  const pods = await cluster.list({ ...kinds.pod, labels: notebookPods }, signal);
  return findDrifted(pods, policies);
};
