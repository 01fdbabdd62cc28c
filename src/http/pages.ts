import { hash } from 'node:crypto';
import { defaultPageSize, type PageQuery } from '../model/page.ts';
import { Problem } from '../model/problems.ts';
import type { Page } from '../ports/store.ts';

/** The list and the caller that a cursor belongs to: another list, filter or caller has other pages. */
export interface List {
  readonly name: string;
  readonly view: string;
}

// Detects mix-ups and is not a secret: the caller's rights decide what a page holds, not its cursor.
const checkOf = ({ name, view }: List, after: string) =>
  hash('sha256', JSON.stringify([name, view, after]), 'base64url').slice(0, 16);

/** An opaque cursor for the page after `after`. */
export const encodeCursor = (list: List, after: string): string =>
  Buffer.from(JSON.stringify([after, checkOf(list, after)])).toString('base64url');

/** Throws `invalid_cursor` unless this list created the cursor for this view. */
export const decodeCursor = (list: List, cursor: string): string => {
  const [after, check] = parseCursor(cursor);
  if (typeof after !== 'string' || check !== checkOf(list, after) || encodeCursor(list, after) !== cursor)
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

/** The store’s arguments for a list query. */
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
  ...(page.next !== undefined && { nextCursor: encodeCursor(list, page.next) }),
});
