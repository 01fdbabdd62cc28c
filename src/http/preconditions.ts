import type { IncomingHttpHeaders } from 'node:http';
import type { FastifyReply, FastifyRequest } from 'fastify';
import Type from 'typebox';
import { enforcedByHandler } from '../lib/schema.ts';
import { Problem } from '../model/problems.ts';

/**
 * The version of a representation: which resource it is, by an id that is never used again, and the counters of requested
 * changes and of observed ones. A resource that is deleted and created again under the same path is another one.
 */
export interface Version {
  readonly id: string;
  readonly revision: number;
  readonly statusVersion: number;
}

/** The response without a body, for a route’s response schemas. */
export const NotModified = Type.Unsafe<undefined>({ description: 'Your representation is current.' });

const oneTag = '(W/)?"[!#-+.-~-]*"';

/** `*` or a list of entity tags, in ASCII and without a comma in them as this API writes them. */
const tagsPattern = `^(\\*|[ ,]*(${oneTag}( *,[ ,]*${oneTag})*[ ,]*)?)$`;

/** A header of entity tags; parsed below. */
export const entityTags = (description: string, example: string) =>
  Type.Optional(
    enforcedByHandler(Type.String({ description, examples: [example] }), { pattern: tagsPattern }),
  );

/** Conditional headers of writes and reads, for a route’s schema. */
export const WriteHeaders = Type.Object({
  'if-match': entityTags(
    'The ETag that you read; rejected if the resource was changed, or deleted and created again, since then. A change of its status alone is not a reason to reject.',
    '"team-a-3f9c.3.14"',
  ),
});

export const ReadHeaders = Type.Object({
  'if-none-match': entityTags('The ETag that you have; 304 if it is still current.', '"team-a-3f9c.3.14"'),
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

/** What a conditional write compares: everything but the status. */
const revisionTag = ({ id, revision }: Version): string => `${id}.${revision}`;

const versionTag = (version: Version): string => `${revisionTag(version)}.${version.statusVersion}`;

/** A strong entity tag, opaque to clients: the same version has the same bytes. */
export const etagOf = (version: Version): string => `"${versionTag(version)}"`;

const entityTag = /^(W\/)?"([\x21\x23-\x7e\x80-\xff]*)"$/;

const parse = (header: string | undefined, name: string): Tags | undefined => {
  if (header === undefined) return undefined;
  if (header.trim() === '*') return '*';
  // No tag of this API has a comma in it, and any other tag matches nothing, split or whole.
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
              message: `Must be * or a list of ETags such as "team-a-3f9c.3.14".`,
            },
          ],
        });
      return { weak: weak !== undefined, value };
    });
};

/** Throws `validation_failed` for a value that is not an entity tag. */
export const preconditionsOf = (headers: IncomingHttpHeaders): Preconditions => {
  const ifMatch = parse(headers['if-match'], 'if-match');
  const ifNoneMatch = parse(headers['if-none-match'], 'if-none-match');
  return { ...(ifMatch && { ifMatch }), ...(ifNoneMatch && { ifNoneMatch }) };
};

const hasRevision = ({ value }: Tag, current: Version): boolean =>
  value === revisionTag(current) || value.startsWith(`${revisionTag(current)}.`);

/**
 * For writes, inside the decision, so a write that lost a race is checked again. If-Match ignores the status: a status
 * update is no reason to reject a write. `undefined`: the resource does not exist. Throws `revision_mismatch`.
 */
export const checkPreconditions = (
  { ifMatch, ifNoneMatch }: Preconditions,
  current: Version | undefined,
): void => {
  const matches =
    ifMatch === undefined ||
    (current !== undefined &&
      (ifMatch === '*' || ifMatch.some((tag) => !tag.weak && hasRevision(tag, current))));
  if (!matches) throw new Problem('revision_mismatch');
  const collides =
    ifNoneMatch !== undefined &&
    current !== undefined &&
    (ifNoneMatch === '*' || ifNoneMatch.some((tag) => hasRevision(tag, current)));
  if (collides)
    throw new Problem(
      'revision_mismatch',
      ifNoneMatch === '*' ? { detail: 'The resource exists already.' } : {},
    );
};

/** For reads: whether the caller already has exactly this representation. */
export const isNotModified = ({ ifNoneMatch }: Preconditions, current: Version): boolean => {
  if (ifNoneMatch === undefined) return false;
  return ifNoneMatch === '*' || ifNoneMatch.some(({ value }) => value === versionTag(current));
};

/** Sets the ETag header. True: send 304 without a body, `return reply.code(304).send()`. */
export const unchanged = (request: FastifyRequest, reply: FastifyReply, current: Version): boolean => {
  reply.header('etag', etagOf(current));
  return isNotModified(preconditionsOf(request.headers), current);
};
