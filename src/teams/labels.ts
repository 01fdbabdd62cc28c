import { at } from '../lib/json.ts';
import type { Manifest } from '../ports/cluster.ts';

/** Whose an object is. Nothing without this label is ever changed. */
export const teamIdLabel = 'knada.io/team-id';

/** The team’s slug, for people and for lookups; it proves nothing, since a slug may be used again. */
export const teamLabel = 'knada.io/team';

/** On every object that this product applies. */
export const managedBy = { 'app.kubernetes.io/managed-by': 'knada-notebooks' } as const;

/** On the namespaces of teams. */
export const teamNamespace = { 'team-namespace': 'true' } as const;

/** On the namespaces of teams that have opted in to an allowlist: what the admission webhook selects. */
export const restrictedNamespace = { 'knada.io/egress': 'restricted' } as const;

/** The generation an object was last applied for; an admission policy refuses a lower one. */
export const revisionAnnotation = 'knada.io/revision';

/** The chart’s label for the part that a pod belongs to. */
export const componentLabel = 'component';

/** The label that KubeSpawner and the chart give every notebook pod. */
export const notebookPods: Readonly<Record<string, string>> = { [componentLabel]: 'singleuser-server' };

/** The label that the chart gives the hub’s pod. */
export const hubPods: Readonly<Record<string, string>> = { [componentLabel]: 'hub' };

/** Whether every container of a pod has ended, though the pod object still exists. */
export const hasEnded = ({ status }: Pick<Manifest, 'status'>): boolean => {
  const phase = at(status, 'phase');
  return phase === 'Succeeded' || phase === 'Failed';
};

/** Pods that run, will run, or are terminating: each keeps its network access until it is gone. */
export const livePods = (pods: readonly Manifest[]): readonly Manifest[] =>
  pods.filter((pod) => !hasEnded(pod));
