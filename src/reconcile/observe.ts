import { policiesIn } from '../egress/current-egress.ts';
import type { LiveEgress } from '../egress/live-egress.ts';
import { type Manifest, refOf } from '../ports/cluster.ts';
import type { ReconcileContext } from './context.ts';
import { observeEgress } from './observe-egress.ts';
import { withRoom } from './quota.ts';

/** The desired objects of a team with a notebook, and the cluster as it was read. */
export interface Observed {
  readonly live: LiveEgress;
  /** In the order to apply. */
  readonly wanted: readonly Manifest[];
  /** What is in the cluster of each of them, in the same order. */
  readonly actual: readonly (Manifest | undefined)[];
  /** Every egress policy of the namespace, also those of others. */
  readonly policies: readonly Manifest[];
}

export const observe = async (context: ReconcileContext): Promise<Observed> => {
  const { deps, team, signal } = context;
  const live = await observeEgress(context);
  const wanted = await withRoom(context, await deps.render(team, live));
  const [actual, { policies }] = await Promise.all([
    Promise.all(wanted.map((object) => deps.cluster.read(refOf(object), signal))),
    policiesIn(deps.cluster, team.names.namespace, signal),
  ]);
  return { live, wanted, actual, policies };
};
