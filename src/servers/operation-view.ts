import type { Operation, OperationRecord, OperationStep } from '../model/operation.ts';
import { messageOf } from './operation-state.ts';

const phases: Readonly<Record<Exclude<OperationStep, 'done'>, Operation['phase']>> = {
  stop: 'stopping',
  await_stopped: 'stopping',
  start: 'starting',
  await_ready: 'starting',
  cancel: 'starting',
  restart_hub: 'stopping',
  await_hub: 'starting',
};

/** The operation as clients see it; `live` is the hub’s current progress report of a start. */
export const operationView = (
  { id, kind, user, step, outcome, progress, message, reason, createdAt, updatedAt }: OperationRecord,
  live?: { readonly progress: number; readonly message: string },
): Operation => {
  const report = step === 'await_ready' && outcome === null ? live : undefined;
  // 100 means that the operation is done, which includes the confirmation of network access.
  const currentProgress = Math.max(progress, Math.min(99, Math.floor(report?.progress ?? 0)));
  return {
    id,
    kind,
    phase: outcome ?? (step === 'done' ? 'ready' : phases[step]),
    progress: currentProgress,
    message: report !== undefined && message === messageOf.await_ready ? report.message : message,
    ...(outcome === 'failed' && reason !== undefined ? { reason } : {}),
    ...(user === null ? {} : { user }),
    createdAt,
    updatedAt,
  };
};
