import { kinds } from '../model/kinds.ts';
import type { ReconcileContext } from './context.ts';
import type { ReleaseState } from './release-state.ts';

const message =
  'Flux has installed the hub, and its Deployment is gone. Flux restores it at its next check, within 30 minutes; retryNotebook with force restores it at once.';

/**
 * The state of a release with what Flux has not noticed: it checks an installed release every half hour, and until then
 * calls it ready although somebody has uninstalled it or deleted the hub.
 */
export const withInstalledHub = async (
  { deps, team, signal }: Pick<ReconcileContext, 'deps' | 'team' | 'signal'>,
  release: ReleaseState,
): Promise<ReleaseState> => {
  if (release.state !== 'applied') return release;
  const hub = { ...kinds.deployment, name: 'hub', namespace: team.names.namespace };
  return (await deps.cluster.read(hub, signal)) === undefined ? { state: 'drifted', message } : release;
};
