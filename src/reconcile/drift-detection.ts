import { createHash } from 'node:crypto';
import { PolicyName } from '../egress/policy.ts';
import type { Cluster, Manifest } from '../ports/cluster.ts';
import { hasEnded, notebookPods } from '../teams/labels.ts';
import type { LiveEgress } from './context.ts';

/** On the policies of a team whose list is not empty: how the tick finds those that follow the notebooks’ pods. */
export const allowlistLabel = { 'knada.io/allowlist': 'wanted' } as const;

/** On a baseline: the notebooks for which its team’s list was last opened, and how many policies that took. */
export const notebooksAnnotation = 'knada.io/notebooks';

/** What it says while one is only announced. */
const announced = 'announced';

/** Notebook pods that run, or will, or still have to stop: each keeps what it may reach until it is gone. */
export const livePods = (pods: readonly Manifest[]): readonly Manifest[] =>
  pods.filter((pod) => !hasEnded(pod));

const known = (uids: readonly string[]): string =>
  uids.length === 0 ? 'none' : createHash('sha256').update(uids.toSorted().join()).digest('hex').slice(0, 16);

const fingerprintOf = (uids: readonly string[], allows: number): string => `${known(uids)}:${allows}`;

/**
 * A notebook that is only announced is like no other: the next tick looks whether it has come. `allows`: how many
 * NetworkPolicies open the list.
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
 * The baseline as it is applied before the list is opened or closed. It goes on telling of the notebooks of before: were
 * the rest to fail, the next tick finds the team out of step. Only what is announced is told first, for the same reason.
 */
export const keepPreviousFingerprint = (wanted: Manifest, actual: Manifest | undefined): Manifest => {
  const { [notebooksAnnotation]: news, ...annotations } = wanted.metadata.annotations ?? {};
  const before = actual?.metadata.annotations?.[notebooksAnnotation];
  if (news === undefined || news === announced || news === before) return wanted;
  const kept = before === undefined ? {} : { [notebooksAnnotation]: before };
  return { ...wanted, metadata: { ...wanted.metadata, annotations: { ...annotations, ...kept } } };
};

const isBaseline = ({ metadata }: Manifest): boolean =>
  metadata.name === PolicyName.Baseline || metadata.name === PolicyName.AirflowBaseline;

/** Whether what is there is what the last look left, for the notebooks of now. */
const isInSync = (policies: readonly Manifest[], pods: readonly Manifest[]): boolean => {
  const baseline = policies.find(({ metadata }) => metadata.name === PolicyName.Baseline);
  const isWhole = policies.filter(isBaseline).length === 2;
  const uids = pods.flatMap(({ metadata }) => metadata.uid ?? []);
  const allows = policies.filter((policy) => !isBaseline(policy)).length;
  return isWhole && baseline?.metadata.annotations?.[notebooksAnnotation] === fingerprintOf(uids, allows);
};

/**
 * Slugs of teams that cannot wait for their next look: a notebook was started at the hub’s own page, one has stopped,
 * one that was announced never came, or somebody took a policy away. `policies`: those with the label of a list that is
 * not empty.
 */
export const findDrifted = (pods: readonly Manifest[], policies: readonly Manifest[]): readonly string[] => {
  const running = Map.groupBy(livePods(pods), ({ metadata }) => metadata.namespace);
  const byNamespace = Map.groupBy(policies, ({ metadata }) => metadata.namespace);
  return [...byNamespace]
    .flatMap(([namespace, own]) => {
      const slug = own[0]?.metadata.labels?.['knada.io/team'];
      return slug === undefined || isInSync(own, running.get(namespace) ?? []) ? [] : [slug];
    })
    .toSorted();
};

/** The same, asked of the cluster: one list, and one more when some team has opted in. */
export const findDriftedTeams = async (
  cluster: Pick<Cluster, 'list'>,
  signal: AbortSignal,
): Promise<readonly string[]> => {
  const policies = await cluster.list(
    { apiVersion: 'networking.k8s.io/v1', kind: 'NetworkPolicy', labels: allowlistLabel },
    signal,
  );
  if (policies.length === 0) return [];
  const pods = await cluster.list({ apiVersion: 'v1', kind: 'Pod', labels: notebookPods }, signal);
  return findDrifted(pods, policies);
};
