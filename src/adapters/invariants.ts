import { isDeepStrictEqual } from 'node:util';
import type { HostRecord } from '../model/host.ts';
import type { IdempotencyRecord } from '../model/idempotency.ts';
import type { OperationRecord } from '../model/operation.ts';
import type { TeamRecord } from '../model/record.ts';

/** What a decision must not change, in either store; each throws TypeError. */
export const assertSameTeam = (current: TeamRecord, next: TeamRecord): void => {
  if (next.slug !== current.slug || next.id !== current.id)
    throw new TypeError('A team keeps its slug and its id.');
  if (!isDeepStrictEqual(next.names, current.names)) throw new TypeError('A team keeps its names.');
};

export const assertUnfinished = ({ dueAt }: OperationRecord): void => {
  if (dueAt === null) throw new TypeError('An operation must not be finished when it is opened.');
};

export const assertFinished = ({ dueAt }: OperationRecord): void => {
  if (dueAt !== null) throw new TypeError('An operation that is added must be finished.');
};

/** A finished operation stays finished: its subject may already have another one. */
export const assertSameOperation = (current: OperationRecord, next: OperationRecord): void => {
  if (next.id !== current.id || next.user !== current.user)
    throw new TypeError('An operation keeps its id and its subject.');
  if (current.dueAt === null && next.dueAt !== null)
    throw new TypeError('An operation that is finished stays finished.');
};

export const assertSameRequest = (id: string, next: IdempotencyRecord): void => {
  if (next.id !== id) throw new TypeError('A request keeps its id.');
};

export const assertSameHost = (name: string, next: HostRecord): void => {
  if (next.name !== name) throw new TypeError('A host keeps its name.');
};
