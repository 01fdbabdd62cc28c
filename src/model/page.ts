import Type, { type Static, type TSchema } from 'typebox';
import { answer, closed, nullable } from '../lib/schema.ts';

/** How many items a page has when the query does not say. */
export const defaultPageSize = 50;

/** The query of every list. */
export const PageQuery = closed({
  limit: Type.Optional(
    Type.Integer({
      minimum: 1,
      maximum: 200,
      default: defaultPageSize,
      description: 'The most items to return.',
    }),
  ),
  cursor: Type.Optional(
    Type.String({
      maxLength: 1024,
      description: 'The nextCursor of the previous page; leave it out for the first page.',
    }),
  ),
});
export type PageQuery = Static<typeof PageQuery>;

/** One page of a list: `{items, nextCursor}`. `item` is usually a `ref`. */
export const pageOf = <T extends TSchema>(item: T, $id: string) =>
  answer(
    {
      items: Type.Array(item),
      nextCursor: nullable(
        Type.String({
          description: 'The cursor of the next page; null on the last page.',
          examples: [null, 'WyJ0ZWFtLWEiLCJhYmNkZWZnaGlqa2xtbm9wIl0'],
        }),
      ),
    },
    { $id },
  );
