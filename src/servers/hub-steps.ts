import type { OperationRecord } from '../model/operation.ts';
import type { HubFacts } from './facts.ts';
import { failed, movedTo, succeeded } from './operation-state.ts';
import { type Next, wait, write } from './transition.ts';

/** Both steps of a hub restart. */
export const restartHub = (
  operation: OperationRecord,
  { deployment, answers }: HubFacts,
  now: number,
): Next => {
  if (deployment === undefined) return wait;
  if (deployment === null) {
    const message = 'The hub is not installed, so there is nothing to restart.';
    return write(failed(operation, { reason: 'no_hub', message }, now));
  }
  const isRequested = Date.parse(deployment.restartedAt ?? '') >= Date.parse(operation.createdAt);
  if (!isRequested) return { do: 'call', call: 'restart_hub' };
  if (operation.step === 'restart_hub') return write(movedTo(operation, 'await_hub', now));
  return deployment.isRolledOut && answers ? write(succeeded(operation, now)) : wait;
};
