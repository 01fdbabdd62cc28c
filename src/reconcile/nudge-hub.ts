import { kinds } from '../model/kinds.ts';
import { hubPods } from '../teams/labels.ts';
import type { ReconcileContext } from './context.ts';

const profilesVersionAnnotation = 'knada.io/profiles';

/**
 * Has the kubelet sync the mounted profiles at once, as it does whenever the pod itself changes. `version`: of the
 * profiles, another one each time they change.
 */
export const nudgeHub = async ({ deps, team, signal }: ReconcileContext, version: string): Promise<void> => {
  const { namespace } = team.names;
  const pods = await deps.cluster.list({ ...kinds.pod, namespace, labels: hubPods }, signal);
  for (const { metadata } of pods) {
    const { uid, resourceVersion, name } = metadata;
    if (uid === undefined || resourceVersion === undefined) continue;
    const annotations = { [profilesVersionAnnotation]: version };
    await deps.cluster.patch(
      { ...kinds.pod, namespace, name, uid, resourceVersion },
      { metadata: { annotations } },
      signal,
    );
  }
};
