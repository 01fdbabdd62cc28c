import { isDeepStrictEqual } from 'node:util';
import { isByReconcile, type OperationRecord } from '../model/operation.ts';
import type { OperationStore } from '../ports/store.ts';
import { assertFinished, assertSameOperation, assertUnfinished } from './invariants.ts';
import { type Row, type SqliteConnection, text } from './sqlite-connection.ts';

const toOperation = (row: Row): OperationRecord => JSON.parse(text(row, 'operation'));

const listStatement = (open: boolean | undefined) => {
  if (open === undefined) return 'newestOperations';
  return open ? 'newestOpen' : 'newestEnded';
};

/** Sorts after every instant. */
const theEnd = { createdAt: '~', id: '~' };

/** Storing an operation deletes finished ones past their `expiresAt`. */
export const sqliteOperations = ({ all, get, run, read, write }: SqliteConnection): OperationStore => {
  const forgetExpired = (now: string) => {
    run('forgetOperations', now);
    run('forgetDepartures', now);
  };

  return {
    openOperation: (slug, operation) =>
      write(() => {
        assertUnfinished(operation);
        const { id, user, kind, createdAt } = operation;
        const json = JSON.stringify(operation);
        if (kind === 'delete_team') {
          const same = get('departure', slug, id);
          if (same !== undefined) return toOperation(same);
          forgetExpired(createdAt);
          run('insertDeparture', slug, id, json);
          return operation;
        }
        if (get('teamExists', slug) === undefined) return undefined;
        const other = isByReconcile(operation) ? undefined : get('operationOn', slug, JSON.stringify(user));
        const present = get('operation', slug, id) ?? other;
        if (present !== undefined) return toOperation(present);
        forgetExpired(createdAt);
        run('insertOperation', slug, id, json);
        return operation;
      }),

    addOperation: (slug, operation) =>
      write(() => {
        assertFinished(operation);
        if (get('teamExists', slug) === undefined) return false;
        forgetExpired(operation.createdAt);
        run('insertOperation', slug, operation.id, JSON.stringify(operation));
        return true;
      }),

    operation: (slug, id) =>
      read(() => {
        const row = get('operation', slug, id) ?? get('departure', slug, id);
        return row && toOperation(row);
      }),

    operations: (slug, { limit, before = theEnd, open }) =>
      read(() => all(listStatement(open), slug, before.createdAt, before.id, limit).map(toOperation)),

    changeOperation: (slug, id, decide) =>
      write(() => {
        const own = get('operation', slug, id);
        const row = own ?? get('departure', slug, id);
        if (row === undefined) return undefined;
        const current = toOperation(row);
        const next = decide(current);
        if (next === undefined || isDeepStrictEqual(next, current)) return current;
        assertSameOperation(current, next);
        run(own === undefined ? 'updateDeparture' : 'updateOperation', JSON.stringify(next), slug, id);
        return next;
      }),

    openOperations: (slug) => read(() => all('openOperations', slug).map(toOperation)),

    operationsDue: (now, limit) =>
      read(() =>
        all('operationsDue', now, limit).map((row) => ({ slug: text(row, 'slug'), id: text(row, 'id') })),
      ),
  };
};
