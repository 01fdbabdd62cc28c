import { kinds } from '../model/kinds.ts';
import { growth, homeLabels } from '../notebooks/home.ts';
import { Blocked } from './blocked.ts';
import type { ReconcileContext } from './context.ts';

/** Grows the home volumes that exist: KubeSpawner sets the size of a volume only when it creates it. */
export const growHomes = async ({ deps, team, signal }: ReconcileContext): Promise<void> => {
  if (team.notebook === null) return;
  const { namespace } = team.names;
  const { home } = team.notebook.spec.storage;
  for (const claim of await deps.cluster.list(
    { ...kinds.volumeClaim, namespace, labels: homeLabels },
    signal,
  )) {
    const { name, uid, resourceVersion } = claim.metadata;
    const patch = growth(claim, home);
    if (patch === undefined || uid === undefined || resourceVersion === undefined) continue;
    const ref = { ...kinds.volumeClaim, namespace, name, uid, resourceVersion };
    const result = await deps.cluster.patch(ref, patch, signal);
    if (result.outcome === 'refused') {
      const message = `Home volume ${name} cannot grow to ${home}: ${result.message}`;
      throw new Blocked('blocked', 'HomesNotGrown', message);
    }
  }
};
