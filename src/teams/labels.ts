import { at } from '../lib/json.ts';
import type { Manifest } from '../ports/cluster.ts';

/** The label that KubeSpawner and the chart set on every notebook pod. */
export const notebookPods: Readonly<Record<string, string>> = { component: 'singleuser-server' };

/** Whether every container of a pod has terminated, although the pod still exists. */
export const hasEnded = ({ status }: Pick<Manifest, 'status'>): boolean => {
  const phase = at(status, 'phase');
  return phase === 'Succeeded' || phase === 'Failed';
};
