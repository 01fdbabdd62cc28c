import { hash } from 'node:crypto';
import { defaultPageSize, type PageQuery } from '../model/page.ts';
import { Problem } from '../model/problems.ts';
import type { Page } from '../ports/store.ts';

/** The list that a cursor belongs to, and for whom: another list, filter or caller has other pages. */
export interface List {
  readonly name: string;
  readonly view: string;
  /** The form of a position in this list. A forged cursor can hold any text, and stores accept only their own. */
  readonly position: RegExp;
}

// A checksum against mix-ups, not a secret: access is decided by the caller’s rights, never by a cursor.
const checkOf = ({ name, view }: Pick<List, 'name' | 'view'>, after: string) =>
  hash('sha256', JSON.stringify([name, view, after]), 'base64url').slice(0, 16);

/** An opaque cursor for the page after `after`. */
export const encodeCursor = (list: Pick<List, 'name' | 'view'>, after: string): string =>
  Buffer.from(JSON.stringify([after, checkOf(list, after)])).toString('base64url');

/** Throws `invalid_cursor` for a cursor that this list did not create for this view. */
export const decodeCursor = (list: List, cursor: string): string => {
  const [after, check] = parseCursor(cursor);
  if (typeof after !== 'string' || !list.position.test(after)) throw new Problem('invalid_cursor');
  if (check !== checkOf(list, after) || encodeCursor(list, after) !== cursor)
    throw new Problem('invalid_cursor');
  return after;
};

const parseCursor = (cursor: string): readonly unknown[] => {
  try {
    const parsed: unknown = JSON.parse(Buffer.from(cursor, 'base64url').toString());
    return Array.isArray(parsed) ? parsed : [];
  } catch {
    return [];
  }
};

/** A list’s query as the request to the store. */
export const pageRequest = (
  query: PageQuery,
  list: List,
): { readonly limit: number; readonly after?: string } => ({
  limit: query.limit ?? defaultPageSize,
  ...(query.cursor !== undefined && { after: decodeCursor(list, query.cursor) }),
});

/** The store’s page as the response of a list. */
export const pageAnswer = <T, U>(page: Page<T>, list: List, present: (item: T) => U) => ({
  items: page.items.map(present),
  nextCursor: page.next === undefined ? null : encodeCursor(list, page.next),
});
