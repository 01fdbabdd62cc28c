import type { OperationRecord } from '../model/operation.ts';
import { isStopped, podOf, type ServerFacts } from './facts.ts';
import { hubFailure } from './failure.ts';
import { cancelling, failed, failureOf, messageOf, movedTo, withMessage } from './operation-state.ts';
import { type Next, wait, write } from './transition.ts';

/** An image that cannot be pulled for this long will not appear by itself (the kubelet retries after 10 s). */
const pullPatienceMs = 20_000;

export const start = (operation: OperationRecord, facts: ServerFacts, now: number): Next => {
  if (!facts.isMember) {
    const message = `${operation.user} is no longer a member of the team.`;
    return write(failed(operation, { reason: 'not_a_member', message }, now));
  }
  const { hub, pods } = facts;
  if (!hub.answered || !pods.answered) return wait;
  const { pod } = pods;
  const pending = hub.server?.pending ?? null;
  if (pending === 'spawn') return write(movedTo(operation, 'await_ready', now));
  if (pending !== null || pod?.isTerminating) return wait;
  if (isStopped(hub.server)) {
    return { do: 'call', call: 'start', formerPod: pod?.uid ?? operation.formerPod, isUser: hub.isUser };
  }
  if (pod === undefined) return { do: 'call', call: 'stop_stale' };
  return pod.uid === operation.formerPod ? wait : write(movedTo(operation, 'await_ready', now));
};

/** Keeps waiting, and writes only what has changed: a store accepts few writes a second. */
const awaitWithMessage = (
  operation: OperationRecord,
  { message, pullFailingSince }: Pick<OperationRecord, 'message' | 'pullFailingSince'>,
  now: number,
): Next => {
  if (message === operation.message && pullFailingSince === operation.pullFailingSince) return wait;
  const { pullFailingSince: _before, ...rest } = operation;
  return write(withMessage(rest, message, now, pullFailingSince === undefined ? {} : { pullFailingSince }));
};

export const awaitReady = (operation: OperationRecord, facts: ServerFacts, now: number): Next => {
  const { hub } = facts;
  const seen = podOf(facts);
  const pod = seen?.uid === operation.formerPod ? undefined : seen;
  if (hub.answered && isStopped(hub.server)) {
    const failure = pod?.failure ?? hubFailure(facts.hubMessage);
    return write(failed(operation, failure, now));
  }
  if (hub.answered && hub.server?.ready && hub.server.pending === null) {
    return pod !== undefined && !pod.isTerminating ? { do: 'call', call: 'confirm_access' } : wait;
  }
  const failure = pod?.isTerminating ? undefined : pod?.failure;
  if (failure?.final) return write(cancelling(operation, failure, now));
  if (failure?.reason === 'image_pull_failed') {
    const since = operation.pullFailingSince ?? new Date(now).toISOString();
    if (now - Date.parse(since) >= pullPatienceMs) return write(cancelling(operation, failure, now));
    return awaitWithMessage(operation, { message: failure.message, pullFailingSince: since }, now);
  }
  return facts.pods.answered
    ? awaitWithMessage(operation, { message: failure?.message ?? messageOf.await_ready }, now)
    : wait;
};

export const cancel = (operation: OperationRecord, { hub }: ServerFacts, now: number): Next => {
  if (!hub.answered) return wait;
  const isOver = isStopped(hub.server) || hub.server?.pending === 'stop';
  return isOver ? write(failed(operation, failureOf(operation), now)) : { do: 'call', call: 'cancel' };
};
