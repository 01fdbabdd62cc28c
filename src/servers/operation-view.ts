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

/** The operation as clients see it; `live` is the hub’s current message about a start. */
export const operationView = (
  { id, kind, user, step, outcome, progress, message, reason, createdAt, updatedAt }: OperationRecord,
  live?: { readonly message: string },
): Operation => {
  const report = step === 'await_ready' && outcome === null ? live : undefined;
  return {
    id,
    kind,
    phase: outcome ?? (step === 'done' ? 'ready' : phases[step]),
    progress,
    message: report !== undefined && message === messageOf.await_ready ? report.message : message,
    ...(outcome === 'failed' && reason !== undefined ? { reason } : {}),
    ...(user === null ? {} : { user }),
    createdAt,
    updatedAt,
  };
};
