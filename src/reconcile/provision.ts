import type { TeamRecord } from '../model/record.ts';
import type { ProvisionResult } from '../secrets/provision.ts';
import type { ReconcileContext } from './context.ts';
import { isSameGeneration } from './fencing.ts';
import { resyncSeconds } from './next-attempt.ts';

/** Google is asked after every change of the order, while something is not in order, and every half hour. */
const isProvisioned = ({ generation, status }: TeamRecord, now: number): boolean =>
  status.provisioned?.generation === generation &&
  Math.abs(now - Date.parse(status.provisioned.at)) < resyncSeconds * 1000;

/** Provisions the team’s secret and account; undefined when that is not due, or the order has changed. */
export const provision = async ({
  deps,
  team,
  signal,
}: ReconcileContext): Promise<ProvisionResult | undefined> => {
  if (isProvisioned(team, deps.clock.now())) return undefined;
  // A delayed reconcile must not bring back what a deletion has removed.
  if (!isSameGeneration(await deps.store.team(team.slug), team)) return undefined;
  return deps.google.provision(team, signal);
};
