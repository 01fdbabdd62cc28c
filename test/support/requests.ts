import type { IdempotencyRecord } from '../../src/model/idempotency.ts';

/** A request that is running since aMoment. */
export const aRequest = (overrides: Partial<IdempotencyRecord> = {}): IdempotencyRecord => ({
  id: 'request-1',
  fingerprint: 'f00d',
  attempt: 'attempt-1',
  runsUntil: '2026-11-23T09:02:00.000Z',
  answer: null,
  expiresAt: '2026-11-24T09:00:00.000Z',
  ...overrides,
});
