import { at } from '../lib/json.ts';
import type { Manifest } from '../ports/cluster.ts';

/** The label that KubeSpawner and the chart give every notebook pod. */
export const notebookPods: Readonly<Record<string, string>> = { component: 'singleuser-server' };

/** Whether nothing of a pod runs any more, though the pod is still there. */
export const hasEnded = ({ status }: Pick<Manifest, 'status'>): boolean => {
  const phase = at(status, 'phase');
  return phase === 'Succeeded' || phase === 'Failed';
};
