import type { OperationRecord } from '../model/operation.ts';
import { type HubFacts, hasNoPod, podOf, type ServerFacts } from './facts.ts';
import type { Failure } from './failure.ts';
import { restartHub } from './hub-steps.ts';
import { causeOf, failed, failureOf, isLate } from './operation-state.ts';
import { awaitReady, cancel, start } from './start-steps.ts';
import { awaitStopped, stop } from './stop-steps.ts';
import { type Next, wait, write } from './transition.ts';

const decide = (operation: OperationRecord, facts: ServerFacts | HubFacts, now: number): Next => {
  if ('deployment' in facts) return restartHub(operation, facts, now);
  switch (operation.step) {
    case 'stop':
      return stop(operation, facts, now);
    case 'await_stopped':
      return awaitStopped(operation, facts, now);
    case 'start':
      return start(operation, facts, now);
    case 'await_ready':
      return awaitReady(operation, facts, now);
    case 'cancel':
      return cancel(operation, facts, now);
    default:
      return wait;
  }
};

export const adviseForce =
  'Try again with force, which deletes the pod. If the hub is stuck, restart the hub.';

/** Why a step took too long, and what to do about it. */
const timedOut = (
  operation: OperationRecord,
  facts: ServerFacts | HubFacts,
): Pick<Failure, 'reason' | 'message'> => {
  if ('deployment' in facts) {
    const message =
      'The hub did not come back within 3 minutes. Notebooks keep running. Contact the platform team.';
    return { reason: 'hub_restart_timed_out', message };
  }
  if (operation.step === 'cancel') return failureOf(operation);
  const isStop = operation.step === 'stop' || operation.step === 'await_stopped';
  if (isStop && operation.force) {
    const message = hasNoPod(facts)
      ? 'The pod is deleted, but the hub does not cancel the start. Restart the hub.'
      : 'The pod still exists; its node may be gone. Contact the platform team.';
    return { reason: 'stop_timed_out', message };
  }
  if (!facts.hub.answered) {
    const advice = isStop ? adviseForce : 'Try again shortly. If the problem persists, restart the hub.';
    return { reason: 'hub_unavailable', message: `The hub does not answer. ${advice}` };
  }
  if (isStop)
    return { reason: 'stop_timed_out', message: `The notebook did not stop within a minute. ${adviseForce}` };
  const cause = podOf(facts)?.failure ?? causeOf(operation);
  if (cause !== undefined) return cause;
  const message =
    'The notebook did not become ready within five minutes. Try again. If the problem persists, restart the hub.';
  return { reason: 'start_timed_out', message };
};

/**
 * What to do now with an open operation. A step that exceeds its deadline fails, whatever it was about to do; progress
 * that was made by then still counts.
 */
export const nextStep = (operation: OperationRecord, facts: ServerFacts | HubFacts, now: number): Next => {
  const next = decide(operation, facts, now);
  if (!isLate(operation, now)) return next;
  if (next.do === 'write' && next.to.step !== operation.step) return next;
  if (next.do === 'call' && next.call === 'confirm_access') return next;
  return write(failed(operation, timedOut(operation, facts), now));
};
