import { isDeepStrictEqual } from 'node:util';
import type { IdempotencyRecord } from '../model/idempotency.ts';
import type { IdempotencyStore } from '../ports/store.ts';
import { assertSameRequest } from './invariants.ts';
import { type SqliteConnection, text } from './sqlite-connection.ts';

/** Storing a record deletes those that have expired. */
export const sqliteIdempotency = ({ get, run, write }: SqliteConnection): IdempotencyStore => ({
  changeRequest: (id, now, decide) =>
    write(() => {
      run('forgetRequests', now);
      const row = get('request', id);
      const current: IdempotencyRecord | undefined = row && JSON.parse(text(row, 'request'));
      const next = decide(current);
      if (next === undefined || isDeepStrictEqual(next, current)) return current;
      if (next === 'remove') {
        run('deleteRequest', id);
        return undefined;
      }
      assertSameRequest(id, next);
      run('setRequest', id, JSON.stringify(next));
      return next;
    }),
});
