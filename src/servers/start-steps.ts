import { isoOf } from '../lib/time.ts';
import type { OperationRecord } from '../model/operation.ts';
import type { HubServer } from '../ports/hubs.ts';
import { isStopped, podOf, type ServerFacts } from './facts.ts';
import { hubFailure, isUnexplained } from './failure.ts';
import {
  cancelling,
  causeOf,
  failed,
  failureOf,
  messageOf,
  movedTo,
  withMessage,
} from './operation-state.ts';
import { type Next, wait, write } from './transition.ts';

/** An image that cannot be pulled for this long will not appear by itself (the kubelet retries after 10 s). */
const pullPatienceMs = 20_000;

const isFromBefore = (server: HubServer | null, stoppedAt: string | null): boolean => {
  const startedAt = server?.startedAt ?? null;
  return startedAt !== null && stoppedAt !== null && startedAt <= stoppedAt;
};

export const start = (operation: OperationRecord, facts: ServerFacts, now: number): Next => {
  if (!facts.isMember) {
    const message = `${operation.user} is no longer a member of the team.`;
    return write(failed(operation, { reason: 'not_a_member', message }, now));
  }
  const { hub, pods } = facts;
  if (!hub.answered || !pods.answered) return wait;
  const { pod } = pods;
  const pending = hub.server?.pending ?? null;
  // A hub that missed a forced stop waits for the deleted pod until its start times out.
  if (pending === 'spawn' && pod === undefined && isFromBefore(hub.server, facts.stoppedAt))
    return { do: 'call', call: 'stop_stale' };
  if (pending === 'spawn') return write(movedTo(operation, 'await_ready', now));
  if (pending !== null || pod?.isTerminating) return wait;
  if (isStopped(hub.server)) {
    return { do: 'call', call: 'start', formerPod: pod?.uid ?? operation.formerPod, isUser: hub.isUser };
  }
  if (pod === undefined) return { do: 'call', call: 'stop_stale' };
  return pod.uid === operation.formerPod ? wait : write(movedTo(operation, 'await_ready', now));
};

/**
 * Keeps waiting with what delays the start, which becomes its failure if the hub gives up first. Writes only what has
 * changed: a store accepts few writes a second.
 */
const awaitWith = (
  operation: OperationRecord,
  { reason, message, pullFailingSince }: Pick<OperationRecord, 'reason' | 'message' | 'pullFailingSince'>,
  now: number,
): Next => {
  const isKnown =
    message === operation.message &&
    reason === operation.reason &&
    pullFailingSince === operation.pullFailingSince;
  if (isKnown) return wait;
  const { pullFailingSince: _since, reason: _reason, ...rest } = operation;
  return write(
    withMessage(rest, message, now, {
      ...(reason === undefined ? {} : { reason }),
      ...(pullFailingSince === undefined ? {} : { pullFailingSince }),
    }),
  );
};

export const awaitReady = (operation: OperationRecord, facts: ServerFacts, now: number): Next => {
  const { hub } = facts;
  const seen = podOf(facts);
  const pod = seen?.uid === operation.formerPod ? undefined : seen;
  if (hub.answered && isStopped(hub.server)) {
    const failure = pod?.failure ?? hubFailure(facts.hubMessage);
    return write(failed(operation, isUnexplained(failure) ? (causeOf(operation) ?? failure) : failure, now));
  }
  if (hub.answered && hub.server?.ready && hub.server.pending === null) {
    return pod !== undefined && !pod.isTerminating ? { do: 'call', call: 'confirm_access' } : wait;
  }
  const failure = pod?.isTerminating ? undefined : pod?.failure;
  if (failure?.final) return write(cancelling(operation, failure, now));
  if (failure?.reason === 'image_pull_failed') {
    const since = operation.pullFailingSince ?? isoOf(now);
    if (now - Date.parse(since) >= pullPatienceMs) return write(cancelling(operation, failure, now));
    const { reason, message } = failure;
    return awaitWith(operation, { reason, message, pullFailingSince: since }, now);
  }
  if (failure !== undefined) return awaitWith(operation, failure, now);
  // A hub that gives up deletes the pod: without a pod, the last known cause still applies.
  return pod === undefined || pod.isTerminating
    ? wait
    : awaitWith(operation, { message: messageOf.await_ready }, now);
};

export const cancel = (operation: OperationRecord, { hub }: ServerFacts, now: number): Next => {
  if (!hub.answered) return wait;
  const isOver = isStopped(hub.server) || hub.server?.pending === 'stop';
  return isOver ? write(failed(operation, failureOf(operation), now)) : { do: 'call', call: 'cancel' };
};
