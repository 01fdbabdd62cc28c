import type { ConditionReason } from '../model/condition-reasons.ts';

/** What prevents a part of a reconcile until a person acts, or until something else has finished. */
export type BlockedReason = Extract<
  ConditionReason,
  | 'Conflict'
  | 'Refused'
  | 'HomesNotGrown'
  | 'ForeignContent'
  | 'StoreBehindCluster'
  | 'Terminating'
  | 'Deleting'
>;

/** Something has changed since it was read: what was decided is out of date, so reconcile again. */
export class StaleRead extends Error {
  override readonly name = 'StaleRead';
  /** The revision of an object that is newer than the order that was read; 0 when something else has changed. */
  readonly clusterRevision: number;
  constructor(clusterRevision = 0) {
    super();
    this.clusterRevision = clusterRevision;
  }
}

/** This part of a reconcile cannot go on until a person acts (`blocked`), or something else has finished (`waiting`). */
export class Blocked extends Error {
  override readonly name = 'Blocked';
  readonly outcome: 'waiting' | 'blocked';
  readonly reason: BlockedReason;
  /** How much of a deletion is done, in percent; undefined for anything else. */
  readonly progress: number | undefined;
  constructor(outcome: 'waiting' | 'blocked', reason: BlockedReason, message: string, progress?: number) {
    super(message);
    this.progress = progress;
    this.outcome = outcome;
    this.reason = reason;
  }
}
