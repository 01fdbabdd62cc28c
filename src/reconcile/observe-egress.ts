import { addressesFor, wantHosts } from '../egress/addresses.ts';
import { namesOf } from '../egress/hosts.ts';
import { type LiveEgress, noNotebooks } from '../egress/live-egress.ts';
import { podOwners } from '../egress/pod-owner.ts';
import { kinds } from '../model/kinds.ts';
import { Unavailable } from '../ports/unavailable.ts';
import { livePods, notebookPods } from '../teams/labels.ts';
import { isRestricted } from '../teams/lifecycle.ts';
import type { ReconcileContext } from './context.ts';

/** The current facts that a team’s policies are made from. Costs nothing for a team that has not opted in. */
export const observeEgress = async (context: ReconcileContext): Promise<LiveEgress> => {
  const { deps, team } = context;
  if (!isRestricted(team)) return noNotebooks;
  const names = namesOf(team, deps.egress);
  const pods = await livePodsOf(context, names);
  const starts = context.announced || (await isStarting(context));
  const podsAlive = pods.length > 0 || starts;
  const addresses = await addressesFor(deps, names, {
    isLive: podsAlive,
    isStarting: starts,
    signal: context.signal,
    except: team.slug,
  });
  return { addresses, podsAlive, owners: podOwners(pods) };
};

/** While the pods cannot be listed, notebooks may be running: the addresses of their hosts are kept up to date. */
const livePodsOf = async ({ deps, team, signal }: ReconcileContext, names: readonly string[]) => {
  const pods = { ...kinds.pod, namespace: team.names.namespace, labels: notebookPods };
  try {
    return livePods(await deps.cluster.list(pods, signal));
  } catch (error) {
    if (error instanceof Unavailable) await wantHosts(deps, names, true);
    throw error;
  }
};

/** Whether an operation of ours is starting a notebook whose pod may not exist yet. */
const isStarting = async ({ deps, team }: ReconcileContext): Promise<boolean> =>
  (await deps.store.openOperations(team.slug)).some(({ kind }) => kind === 'start' || kind === 'restart');
