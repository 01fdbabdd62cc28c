import type { IncomingHttpHeaders } from 'node:http';
import type { FastifyReply, FastifyRequest } from 'fastify';
import Type from 'typebox';
import { Problem } from '../model/problems.ts';

/** The two counters of a representation: of requested changes, and of status changes. */
export interface Version {
  readonly revision: number;
  readonly statusVersion: number;
}

/** The answer without a body, for a route's response schemas. */
export const NotModified = Type.Unsafe<undefined>({ description: 'Not modified.' });

/** ETags of writes and reads; naming them in a route's schema puts them into the contract. */
export const WriteHeaders = Type.Object({
  'if-match': Type.Optional(
    Type.String({
      description: 'The ETag that you read; its revision must still be current.',
      examples: ['"3.14"'],
    }),
  ),
});

export const ReadHeaders = Type.Object({
  'if-none-match': Type.Optional(
    Type.String({ description: 'The ETag that you have; 304 if it is still current.', examples: ['"3.14"'] }),
  ),
});

interface Tag {
  readonly weak: boolean;
  readonly value: string;
}

type Tags = '*' | readonly Tag[];

/** The preconditions of a request (RFC 9110, section 13.1). */
export interface Preconditions {
  readonly ifMatch?: Tags;
  readonly ifNoneMatch?: Tags;
}

/** A strong tag: the same revision and status version are the same bytes. */
export const etagOf = ({ revision, statusVersion }: Version) => `"${revision}.${statusVersion}"`;

const entityTag = /^(W\/)?"([\x21\x23-\x7e\x80-\xff]*)"$/;

const parse = (header: string | undefined, name: string): Tags | undefined => {
  if (header === undefined) return undefined;
  if (header.trim() === '*') return '*';
  // The API’s own tags contain no comma, and a foreign one matches nothing, whole or split.
  const items = header.split(',').map((item) => item.trim());
  return items
    .filter((item) => item !== '')
    .map((item) => {
      const [whole, weak, value = ''] = entityTag.exec(item) ?? [];
      if (whole === undefined)
        throw new Problem('validation_failed', {
          errors: [
            {
              pointer: `/header/${name}`,
              code: 'bad_format',
              message: `Must be * or a list of ETags such as "3.14".`,
            },
          ],
        });
      return { weak: weak !== undefined, value };
    });
};

/** Throws `validation_failed` for an invalid entity tag. */
export const preconditionsOf = (headers: IncomingHttpHeaders): Preconditions => {
  const ifMatch = parse(headers['if-match'], 'if-match');
  const ifNoneMatch = parse(headers['if-none-match'], 'if-none-match');
  return { ...(ifMatch && { ifMatch }), ...(ifNoneMatch && { ifNoneMatch }) };
};

const revisionIn = (value: string) => value.replace(/\.[^.]*$/, '');

/**
 * For writes, inside the decision, so it is evaluated again after a lost race. If-Match compares the revision only: a
 * changed status does not fail a write. `undefined`: it does not exist yet. Throws `revision_mismatch`.
 */
export const checkPreconditions = (
  { ifMatch, ifNoneMatch }: Preconditions,
  current: Version | undefined,
): void => {
  const matches =
    ifMatch === undefined ||
    (current !== undefined &&
      (ifMatch === '*' ||
        ifMatch.some(({ weak, value }) => !weak && revisionIn(value) === String(current.revision))));
  if (!matches) throw new Problem('revision_mismatch');
  const collides =
    ifNoneMatch !== undefined &&
    current !== undefined &&
    (ifNoneMatch === '*' || ifNoneMatch.some(({ value }) => revisionIn(value) === String(current.revision)));
  if (collides)
    throw new Problem('revision_mismatch', ifNoneMatch === '*' ? { detail: 'It exists already.' } : {});
};

/** For reads: whether the caller has exactly this representation already. */
export const isNotModified = ({ ifNoneMatch }: Preconditions, current: Version): boolean => {
  if (ifNoneMatch === undefined) return false;
  const { revision, statusVersion } = current;
  return ifNoneMatch === '*' || ifNoneMatch.some(({ value }) => value === `${revision}.${statusVersion}`);
};

/** Sets the ETag of the response. True: respond 304 without a body, `return reply.code(304).send()`. */
export const unchanged = (request: FastifyRequest, reply: FastifyReply, current: Version): boolean => {
  reply.header('etag', etagOf(current));
  return isNotModified(preconditionsOf(request.headers), current);
};
