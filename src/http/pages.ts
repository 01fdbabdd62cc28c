import { hash } from 'node:crypto';
import Type, { type Static, type TSchema } from 'typebox';
import { closed } from '../lib/schema.ts';
import { Problem } from '../model/problems.ts';
import type { Page } from '../ports/store.ts';

const defaultLimit = 50;

/** The query of every list. */
export const PageQuery = closed({
  limit: Type.Optional(
    Type.Integer({ minimum: 1, maximum: 200, default: defaultLimit, description: 'How many items at most.' }),
  ),
  cursor: Type.Optional(
    Type.String({ maxLength: 1024, description: 'nextCursor of the page before; the first page has none.' }),
  ),
});
export type PageQuery = Static<typeof PageQuery>;

/** The answer of a list: `{items, nextCursor?}`. `item` is usually a `ref`. */
export const pageOf = <T extends TSchema>(item: T, $id: string) =>
  closed(
    {
      items: Type.Array(item),
      nextCursor: Type.Optional(
        Type.String({
          description: 'Asks for the next page; absent on the last one.',
          examples: ['WyJ0ZWFtLWEiLCJhYmNkZWZnaGlqa2xtbm9wIl0'],
        }),
      ),
    },
    { $id },
  );

/** Which list a cursor walks through, and as whom: another list, filter or caller has other pages. */
export interface List {
  readonly name: string;
  readonly view: string;
}

// A check against mix-ups and not a secret: what a page holds is decided by the caller's rights, not by its cursor.
const checkOf = ({ name, view }: List, after: string) =>
  hash('sha256', JSON.stringify([name, view, after]), 'base64url').slice(0, 16);

/** An opaque cursor for the page after `after`. */
export const encodeCursor = (list: List, after: string): string =>
  Buffer.from(JSON.stringify([after, checkOf(list, after)])).toString('base64url');

/** Throws `invalid_cursor` for what this list did not make for this view. */
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

/** What a list’s query asks of the store. */
export const pageRequest = (
  query: PageQuery,
  list: List,
): { readonly limit: number; readonly after?: string } => ({
  limit: query.limit ?? defaultLimit,
  ...(query.cursor !== undefined && { after: decodeCursor(list, query.cursor) }),
});

/** The store’s page as the answer of a list. */
export const pageAnswer = <T, U>(page: Page<T>, list: List, present: (item: T) => U) => ({
  items: page.items.map(present),
  ...(page.next !== undefined && { nextCursor: encodeCursor(list, page.next) }),
});
