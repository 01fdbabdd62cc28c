import assert from 'node:assert/strict';
import type { Operation, OperationRecord } from '../../src/model/operation.ts';
import { aMoment } from './records.ts';

/** A newly opened operation: Kari’s server is to be started, and the operation is due. */
export const anOperation = (overrides: Partial<OperationRecord> = {}): OperationRecord => ({
  id: 'op-6f1c2a9be0d34c57',
  kind: 'start',
  user: 'kari.nordmann@nav.no',
  step: 'start',
  outcome: null,
  progress: 0,
  message: 'The notebook is starting.',
  force: false,
  profile: null,
  formerPod: null,
  by: 'kari.nordmann@nav.no',
  createdAt: aMoment,
  updatedAt: aMoment,
  deadlineAt: '2026-11-23T09:10:00.000Z',
  dueAt: aMoment,
  expiresAt: '2026-11-24T09:00:00.000Z',
  ...overrides,
});

/** Fails unless the operation has ended in success. */
export const assertSucceeded = (operation: Operation): void => {
  assert.ok(operation.done && operation.error === undefined, JSON.stringify(operation));
};
