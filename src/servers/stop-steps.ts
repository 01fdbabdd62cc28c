import type { OperationRecord } from '../model/operation.ts';
import { hasNoPod, isDown, isStopped, podOf, type ServerFacts } from './facts.ts';
import { movedTo, succeeded } from './operation-state.ts';
import { type Next, wait, write } from './transition.ts';

/** How long a forced stop waits, once the pod is gone, for a hub that is completing its own stop. */
const hubStopPatienceMs = 10_000;

const afterStop = (operation: OperationRecord, now: number): Next =>
  write(operation.kind === 'restart' ? movedTo(operation, 'start', now) : succeeded(operation, now));

export const stop = (operation: OperationRecord, facts: ServerFacts, now: number): Next => {
  const pod = podOf(facts);
  const formerPod = pod?.uid ?? operation.formerPod;
  if (isDown(facts)) return afterStop({ ...operation, formerPod }, now);
  if (operation.force) {
    return facts.hub.answered || facts.pods.answered ? { do: 'call', call: 'force_stop', pod } : wait;
  }
  if (!facts.hub.answered) return wait;
  const pending = facts.hub.server?.pending ?? null;
  if (pending === 'check') return wait;
  if (pending === 'stop' || isStopped(facts.hub.server)) {
    return write(movedTo(operation, 'await_stopped', now, { formerPod }));
  }
  return { do: 'call', call: 'stop', formerPod };
};

export const awaitStopped = (operation: OperationRecord, facts: ServerFacts, now: number): Next => {
  if (isDown(facts)) return afterStop(operation, now);
  const pod = podOf(facts);
  const pending = facts.hub.answered ? facts.hub.server?.pending : undefined;
  const isSpawning = pending === 'spawn';
  if (operation.force) {
    // The hub would wait for the deleted pod until its start times out, and the next start with it.
    if (isSpawning && hasNoPod(facts)) return { do: 'call', call: 'force_stop', pod: undefined };
    const isFinishing = pending === 'stop' && now < Date.parse(operation.updatedAt) + hubStopPatienceMs;
    if (isFinishing && hasNoPod(facts)) return wait;
    // The hub’s own poll notices that the pod is gone; a start makes it notice first.
    if (hasNoPod(facts)) return afterStop(operation, now);
    return pod !== undefined && !pod.isTerminating ? { do: 'call', call: 'force_stop', pod } : wait;
  }
  const isRunning = facts.hub.answered && facts.hub.server?.pending === null && !isStopped(facts.hub.server);
  // A hub that restarted in the meantime has forgotten the stop, and one that was busy may not have cancelled the start.
  return isRunning || isSpawning ? { do: 'call', call: 'stop', formerPod: operation.formerPod } : wait;
};
