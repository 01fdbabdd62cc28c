import { isoOf } from '../lib/time.ts';
import type { OperationKind, OperationRecord, OperationStep } from '../model/operation.ts';
import type { Failure } from './failure.ts';

/** How long a step and the wait after it may take together. The hub allows a start 300 seconds (start_timeout). */
const timeoutMs: Readonly<Record<Exclude<OperationStep, 'done'>, number>> = {
  stop: 60_000,
  await_stopped: 60_000,
  start: 330_000,
  await_ready: 330_000,
  cancel: 30_000,
  restart_hub: 180_000,
  await_hub: 180_000,
  // Flux has up to several attempts of minutes each.
  await_reconcile: 3_600_000,
};

/** A wait keeps the deadline of the call before it. */
const waits: readonly OperationStep[] = ['await_stopped', 'await_ready', 'await_hub'];

const retentionMs = 7 * 24 * 3_600_000;

const firstStep = {
  start: 'start',
  stop: 'stop',
  restart: 'stop',
  restart_hub: 'restart_hub',
  retry_notebook: 'await_reconcile',
  delete_notebook: 'await_reconcile',
  delete_team: 'await_reconcile',
} as const satisfies Record<OperationKind, OperationStep>;

const progressOf: Readonly<Record<OperationStep, number>> = {
  stop: 5,
  await_stopped: 20,
  start: 30,
  await_ready: 40,
  cancel: 90,
  restart_hub: 10,
  await_hub: 40,
  await_reconcile: 0,
  done: 100,
};

type OwnStep = Exclude<OperationStep, 'done' | 'cancel' | 'await_reconcile'>;

export const messageOf: Readonly<Record<OwnStep, string>> = {
  stop: 'The notebook is about to stop.',
  await_stopped: 'The notebook is stopping.',
  start: 'The notebook is about to start.',
  await_ready: 'The notebook is starting.',
  restart_hub: 'The hub is about to restart; notebooks keep running.',
  await_hub: 'The hub is restarting; notebooks keep running.',
};

const firstMessage: Readonly<Record<OperationKind, string>> = {
  start: messageOf.start,
  stop: messageOf.stop,
  restart: messageOf.stop,
  restart_hub: messageOf.restart_hub,
  retry_notebook: 'The roll-out is about to be retried.',
  delete_notebook: 'The notebook is about to be deleted.',
  delete_team: 'The team is about to be deleted.',
};

const successMessage: Readonly<Record<OperationKind, string>> = {
  start: 'The notebook is running.',
  stop: 'The notebook is stopped.',
  restart: 'The notebook is running again.',
  restart_hub: 'The hub is running again.',
  retry_notebook: 'The notebook is rolled out.',
  delete_notebook: 'The notebook is deleted.',
  delete_team: 'The team is deleted.',
};

/** What a new operation is made from. */
export type OperationSeed = Pick<
  OperationRecord,
  'id' | 'kind' | 'user' | 'force' | 'profile' | 'profileChosenAt' | 'by' | 'bySubject' | 'readers'
>;

/** An operation at its first step. `now`: epoch milliseconds, here and below. */
export const newOperation = (order: OperationSeed, now: number): OperationRecord => {
  const step = firstStep[order.kind];
  return {
    ...order,
    step,
    outcome: null,
    progress: progressOf[step],
    message: firstMessage[order.kind],
    formerPod: null,
    createdAt: isoOf(now),
    updatedAt: isoOf(now),
    deadlineAt: isoOf(now + timeoutMs[step]),
    dueAt: isoOf(now),
    expiresAt: isoOf(now + retentionMs),
  };
};

export const movedTo = (
  { reason: _cause, ...operation }: OperationRecord,
  step: OwnStep,
  now: number,
  change: Partial<OperationRecord> = {},
): OperationRecord => ({
  ...operation,
  ...change,
  step,
  progress: Math.max(operation.progress, progressOf[step]),
  message: messageOf[step],
  updatedAt: isoOf(now),
  deadlineAt: waits.includes(step) ? operation.deadlineAt : isoOf(now + timeoutMs[step]),
  dueAt: isoOf(now),
});

/** The operation at the same step, with something new to say. */
export const withMessage = (
  operation: OperationRecord,
  message: string,
  now: number,
  change: Partial<OperationRecord> = {},
): OperationRecord => ({ ...operation, ...change, message, updatedAt: isoOf(now) });

/** The operation once it can no longer succeed, while its start is being cancelled. */
export const cancelling = (
  operation: OperationRecord,
  { reason, message }: Pick<Failure, 'reason' | 'message'>,
  now: number,
): OperationRecord =>
  withMessage(operation, message, now, {
    step: 'cancel',
    progress: progressOf.cancel,
    reason,
    deadlineAt: isoOf(now + timeoutMs.cancel),
  });

export const succeeded = ({ reason: _cause, ...operation }: OperationRecord, now: number): OperationRecord =>
  withMessage(operation, successMessage[operation.kind], now, {
    step: 'done',
    outcome: 'ready',
    progress: progressOf.done,
    dueAt: null,
    expiresAt: isoOf(now + retentionMs),
  });

/** An operation whose goal is reached already: it has ended before it began. */
export const nothingToDo = (order: OperationSeed, now: number): OperationRecord =>
  succeeded(newOperation(order, now), now);

/** The operation ended in failure; the message says what the user can do. */
export const failed = (
  operation: OperationRecord,
  { reason, message }: Pick<Failure, 'reason' | 'message'>,
  now: number,
): OperationRecord =>
  withMessage(operation, message, now, {
    step: 'done',
    outcome: 'failed',
    reason,
    dueAt: null,
    expiresAt: isoOf(now + retentionMs),
  });

/** The same operation from its first step, by force. It does not wait for another instance’s call in progress. */
export const escalatedToForce = (
  { claimedUntil: _claim, reason: _cause, bySubject: _subject, ...operation }: OperationRecord,
  author: Pick<OperationRecord, 'by' | 'bySubject'>,
  now: number,
): OperationRecord => {
  const step = firstStep[operation.kind];
  return withMessage(operation, firstMessage[operation.kind], now, {
    step,
    progress: Math.max(operation.progress, progressOf[step]),
    deadlineAt: isoOf(now + timeoutMs[step]),
    dueAt: isoOf(now),
    ...author,
    force: true,
  });
};

/** What delays an open operation, as far as it is known. */
export const causeOf = ({
  reason,
  message,
}: OperationRecord): Pick<Failure, 'reason' | 'message'> | undefined =>
  reason === undefined ? undefined : { reason, message };

/** Why an operation is being cancelled. */
export const failureOf = ({
  reason = 'start_failed',
  message,
}: OperationRecord): Pick<Failure, 'reason' | 'message'> => ({ reason, message });

export const isLate = ({ deadlineAt }: OperationRecord, now: number): boolean =>
  now >= Date.parse(deadlineAt);
