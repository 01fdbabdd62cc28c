import { growth, homeLabels } from '../notebooks/home.ts';
import { metaOf } from '../teams/desired.ts';
import { Blocked, type ReconcileContext } from './context.ts';

/** Home volumes that exist are grown too; KubeSpawner sizes a volume only when it makes it. */
export const growHomes = async ({ deps, team, signal }: ReconcileContext): Promise<void> => {
  if (team.notebook === null) return;
  const { namespace } = metaOf(team);
  const { home } = team.notebook.spec.storage;
  const kind = { apiVersion: 'v1', kind: 'PersistentVolumeClaim', namespace } as const;
  for (const claim of await deps.cluster.list({ ...kind, labels: homeLabels }, signal)) {
    const { name, uid, resourceVersion } = claim.metadata;
    const patch = growth(claim, home);
    if (patch === undefined || uid === undefined || resourceVersion === undefined) continue;
    const result = await deps.cluster.patch({ ...kind, name, uid, resourceVersion }, patch, signal);
    if (result.outcome === 'refused') {
      throw new Blocked(
        'blocked',
        'HomesNotGrown',
        `Home volume ${name} cannot grow to ${home}: ${result.message}`,
      );
    }
  }
};
