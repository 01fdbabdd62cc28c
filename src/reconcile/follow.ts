import { createHash } from 'node:crypto';
import { notebookPods, PolicyName } from '../egress/policy.ts';
import type { Cluster, Manifest } from '../ports.ts';
import type { LiveEgress } from './look.ts';

/** On the policies of a team whose list is not empty: how the tick finds those that follow the notebooks’ pods. */
export const allowlistLabel = { 'knada.io/allowlist': 'wanted' } as const;

/** On a baseline: the notebooks for which its team’s list was last opened. */
export const notebooksAnnotation = 'knada.io/notebooks';

/** What it says while one is only announced. */
const announced = 'announced';

const isOver = ({ status }: Manifest): boolean =>
  typeof status === 'object' &&
  status !== null &&
  'phase' in status &&
  (status.phase === 'Succeeded' || status.phase === 'Failed');

/** Notebook pods that run, or will, or still have to stop: each keeps what it may reach until it is gone. */
export const livePods = (pods: readonly Manifest[]): readonly Manifest[] =>
  pods.filter((pod) => !isOver(pod));

const known = (uids: readonly string[]): string =>
  uids.length === 0 ? 'none' : createHash('sha256').update(uids.toSorted().join()).digest('hex').slice(0, 16);

/** A notebook that is only announced is like no other: the next tick looks whether it has come. */
export const notebooksKnown = ({ owners, podsAlive }: Pick<LiveEgress, 'owners' | 'podsAlive'>): string =>
  podsAlive && owners.length === 0 ? announced : known(owners.map(({ uid }) => uid));

/**
 * The baseline as it is applied before the list is opened or closed. It goes on telling of the notebooks of before: were
 * the rest to fail, the next tick finds the team out of step. Only what is announced is told first, for the same reason.
 */
export const untold = (wanted: Manifest, actual: Manifest | undefined): Manifest => {
  const { [notebooksAnnotation]: told, ...annotations } = wanted.metadata.annotations ?? {};
  const before = actual?.metadata.annotations?.[notebooksAnnotation];
  if (told === undefined || told === announced || told === before) return wanted;
  const kept = before === undefined ? {} : { [notebooksAnnotation]: before };
  return { ...wanted, metadata: { ...wanted.metadata, annotations: { ...annotations, ...kept } } };
};

/**
 * Slugs of teams whose notebooks are not those that their policies know: one started at the hub’s own page, one
 * stopped, one announced that never came. `policies`: those with the label of a list that is not empty.
 */
export const outOfStep = (pods: readonly Manifest[], policies: readonly Manifest[]): readonly string[] => {
  const running = Map.groupBy(livePods(pods), ({ metadata }) => metadata.namespace);
  return policies
    .filter(({ metadata }) => metadata.name === PolicyName.Baseline)
    .flatMap(({ metadata: { namespace, labels, annotations } }) => {
      const uids = (running.get(namespace) ?? []).flatMap(({ metadata }) => metadata.uid ?? []);
      const slug = labels?.['knada.io/team'];
      return slug === undefined || annotations?.[notebooksAnnotation] === known(uids) ? [] : [slug];
    })
    .toSorted();
};

/** The same, asked of the cluster: one list, and one more when some team has opted in. */
export const teamsOutOfStep = async (
  cluster: Pick<Cluster, 'list'>,
  signal: AbortSignal,
): Promise<readonly string[]> => {
  const policies = await cluster.list(
    { apiVersion: 'networking.k8s.io/v1', kind: 'NetworkPolicy', labels: allowlistLabel },
    signal,
  );
  if (policies.length === 0) return [];
  const pods = await cluster.list({ apiVersion: 'v1', kind: 'Pod', labels: notebookPods }, signal);
  return outOfStep(pods, policies);
};
