import { isoOf } from '../lib/time.ts';
import type { OperationRecord } from '../model/operation.ts';
import type { HubRefusal } from '../ports/hubs.ts';
import { adviseForce } from './next-step.ts';
import { failed, failureOf, isLate, movedTo, succeeded, withMessage } from './operation-state.ts';
import type { Answer, Call } from './transition.ts';

/** When the hub limits concurrent starts without saying for how long. */
const retrySeconds = 10;

/** The hub runs the server, or is about to: because of this start, or of another one that was faster. */
const isStarted = (answer: Answer): boolean =>
  answer.answer === 'done' ||
  (answer.answer === 'refused' &&
    (answer.refused === 'already_running' || answer.refused === 'pending_spawn'));

const isPendingCheck = (answer: Answer): boolean =>
  answer.answer === 'refused' && answer.refused === 'pending_check';

const afterRefusedStart = (
  operation: OperationRecord,
  { refused, message, retryAfterSeconds = retrySeconds }: HubRefusal,
  now: number,
): OperationRecord | undefined => {
  switch (refused) {
    case 'pending_stop':
    case 'pending_check':
      return undefined;
    case 'too_many_starts':
      return withMessage(
        operation,
        'Many notebooks are starting at this hub; this one starts as soon as there is capacity.',
        now,
        { dueAt: isoOf(now + retryAfterSeconds * 1000) },
      );
    case 'too_many_servers': {
      const limitReached =
        'The hub has reached its limit of running notebooks. Stop one, or ask the platform team for a higher limit.';
      return failed(operation, { reason: refused, message: limitReached }, now);
    }
    default: {
      const reason = 'start_refused';
      return failed(operation, { reason, message: `The hub refused the start: ${message}` }, now);
    }
  }
};

/** The operation after a call; undefined when it stays as it is and is observed again. */
export const afterCall = (
  operation: OperationRecord,
  call: Call,
  answer: Answer,
  now: number,
): OperationRecord | undefined => {
  switch (call.call) {
    case 'force_stop':
      return movedTo(operation, 'await_stopped', now, { formerPod: call.pod?.uid ?? operation.formerPod });
    case 'stop': {
      if (answer.answer === 'no_answer' || isPendingCheck(answer)) return undefined;
      const formerPod = call.formerPod ?? operation.formerPod;
      if (answer.answer === 'refused' && answer.refused === 'refused') {
        const message = `The hub refused the stop: ${answer.message} ${adviseForce}`;
        return failed(operation, { reason: 'stop_refused', message }, now);
      }
      return movedTo(operation, 'await_stopped', now, { formerPod });
    }
    case 'start': {
      if (isStarted(answer)) return movedTo(operation, 'await_ready', now, { formerPod: call.formerPod });
      return answer.answer === 'refused' ? afterRefusedStart(operation, answer, now) : undefined;
    }
    case 'confirm_access': {
      if (answer.answer === 'done') return succeeded(operation, now);
      const message = 'The notebook is running, but its network access is not confirmed yet.';
      if (isLate(operation, now)) {
        const advice = 'Access opens as soon as the cluster accepts its policies.';
        return failed(operation, { reason: 'access_not_confirmed', message: `${message} ${advice}` }, now);
      }
      return operation.message === message ? undefined : withMessage(operation, message, now);
    }
    case 'cancel':
      return answer.answer === 'no_answer' ? undefined : failed(operation, failureOf(operation), now);
    case 'restart_hub': {
      if (answer.answer === 'done') return movedTo(operation, 'await_hub', now);
      if (answer.answer !== 'refused') return undefined;
      const message = `Kubernetes refused to restart the hub: ${answer.message}`;
      return failed(operation, { reason: 'restart_refused', message }, now);
    }
    case 'stop_stale':
      return undefined;
  }
};
