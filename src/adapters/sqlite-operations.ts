import { isDeepStrictEqual } from 'node:util';
import type { OperationRecord } from '../model/operation.ts';
import type { OperationStore } from '../ports/store.ts';
import { assertSameOperation, assertUnfinished } from './invariants.ts';
import { type Row, type SqliteConnection, text } from './sqlite-connection.ts';

const toOperation = (row: Row): OperationRecord => JSON.parse(text(row, 'operation'));

/** Opening an operation deletes finished ones past their `expiresAt`. */
export const sqliteOperations = ({ all, get, run, read, write }: SqliteConnection): OperationStore => ({
  openOperation: (slug, operation) =>
    write(() => {
      assertUnfinished(operation);
      if (get('teamExists', slug) === undefined) return undefined;
      const { id, user, createdAt } = operation;
      const present = get('operation', slug, id) ?? get('operationOn', slug, JSON.stringify(user));
      if (present !== undefined) return toOperation(present);
      run('forgetOperations', createdAt);
      run('insertOperation', slug, id, JSON.stringify(operation));
      return operation;
    }),

  operation: (slug, id) =>
    read(() => {
      const row = get('operation', slug, id);
      return row && toOperation(row);
    }),

  changeOperation: (slug, id, decide) =>
    write(() => {
      const row = get('operation', slug, id);
      if (row === undefined) return undefined;
      const current = toOperation(row);
      const next = decide(current);
      if (next === undefined || isDeepStrictEqual(next, current)) return current;
      assertSameOperation(current, next);
      run('updateOperation', JSON.stringify(next), slug, id);
      return next;
    }),

  openOperations: (slug) => read(() => all('openOperations', slug).map(toOperation)),

  operationsDue: (now, limit) =>
    read(() =>
      all('operationsDue', now, limit).map((row) => ({ slug: text(row, 'slug'), id: text(row, 'id') })),
    ),
});
