import { metaOf } from '../teams/desired.ts';
import type { ReconcileContext } from './context.ts';

/**
 * Makes the kubelet sync the mounted profiles at once: it does so whenever the pod itself changes. `version`: of the
 * profiles, another one each time they change.
 */
export const nudgeHub = async ({ deps, team, signal }: ReconcileContext, version: string): Promise<void> => {
  const { namespace } = metaOf(team);
  const pods = await deps.cluster.list(
    { apiVersion: 'v1', kind: 'Pod', namespace, labels: { component: 'hub' } },
    signal,
  );
  for (const { metadata } of pods) {
    const { uid, resourceVersion, name } = metadata;
    if (uid === undefined || resourceVersion === undefined) continue;
    const annotations = { 'knada.io/profiles': version };
    await deps.cluster.patch(
      { apiVersion: 'v1', kind: 'Pod', namespace, name, uid, resourceVersion },
      { metadata: { annotations } },
      signal,
    );
  }
};

export const profilesName = 'notebook-profiles';
