import type { Operation, OperationRecord, OperationStep } from '../model/operation.ts';
import { sentence } from './steps.ts';

const phases: Readonly<Record<Exclude<OperationStep, 'done'>, Operation['phase']>> = {
  stop: 'stopping',
  await_stopped: 'stopping',
  start: 'starting',
  await_ready: 'starting',
  cancel: 'starting',
  restart_hub: 'stopping',
  await_hub: 'starting',
};

/** The operation as its clients see it; `live` is what the hub tells of a start this very moment. */
export const operationView = (
  { id, kind, user, step, outcome, progress, message, reason, createdAt, updatedAt }: OperationRecord,
  live?: { readonly progress: number; readonly message: string },
): Operation => {
  const hears = step === 'await_ready' && outcome === null ? live : undefined;
  // 100 is said once it is over, and over it is when the access is confirmed too.
  const percentNow = Math.max(progress, Math.min(99, Math.floor(hears?.progress ?? 0)));
  return {
    id,
    kind,
    phase: outcome ?? (step === 'done' ? 'ready' : phases[step]),
    progress: percentNow,
    message: hears !== undefined && message === sentence.await_ready ? hears.message : message,
    ...(outcome === 'failed' && reason !== undefined ? { reason } : {}),
    ...(user === null ? {} : { user }),
    createdAt,
    updatedAt,
  };
};
