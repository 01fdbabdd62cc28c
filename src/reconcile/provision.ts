import type { TeamRecord } from '../model/record.ts';
import type { ProvisionResult } from '../secrets/provision.ts';
import { StaleRead } from './blocked.ts';
import type { ReconcileContext } from './context.ts';
import { assertSameGeneration, isSameGeneration } from './fencing.ts';
import { resyncSeconds } from './next-attempt.ts';

/** Its own time: a reconcile that was held back has used up its deadline, and what it granted must not stay. */
const undoMs = 10_000;
const undoAttempts = 3;

/** Google is asked after every change of the order, while something is not in order, and every half hour. */
const isProvisioned = ({ generation, status }: TeamRecord, now: number): boolean =>
  status.provisioned?.generation === generation &&
  Math.abs(now - Date.parse(status.provisioned.at)) < resyncSeconds * 1000;

/**
 * Provisions the team’s secret and account; undefined when that is not due. The order is read again before every call
 * that grants or creates, and once more after the last one. If it has changed by then this throws StaleRead, and the next
 * attempt takes back what is no longer wanted; if the team is gone there is no next attempt, so this takes back all.
 */
export const provision = async (context: ReconcileContext): Promise<ProvisionResult | undefined> => {
  const { deps, team, signal } = context;
  if (isProvisioned(team, deps.clock.now())) return undefined;
  await assertSameGeneration(context);
  const assertWanted = () => assertSameGeneration(context);
  const [provisioned] = await Promise.allSettled([deps.google.provision(team, signal, assertWanted)]);
  await assertStillWanted(context);
  if (provisioned.status === 'rejected') throw provisioned.reason;
  return provisioned.value;
};

const assertStillWanted = async (context: ReconcileContext): Promise<void> => {
  const { deps, team } = context;
  const current = await deps.store.team(team.slug);
  if (isSameGeneration(current, team)) return;
  if (current?.id !== team.id) await takeBackAll(context);
  throw new StaleRead();
};

/** A team’s id is never used again, so no other team has a part in it. A secret with versions was kept on request. */
const takeBackAll = async ({ deps, team }: ReconcileContext): Promise<void> => {
  for (let attempt = 0; attempt < undoAttempts; attempt++) {
    const outcome = await deps.google.dismantle(team, { deleteSecret: false }, AbortSignal.timeout(undoMs));
    if (outcome.state === 'gone') return;
    deps.log.error(
      { team: team.slug, id: team.id, reason: outcome.reason },
      'grants of a deleted team not removed',
    );
  }
};
