import type { FastifyRequest } from 'fastify';
import Negotiator from 'negotiator';
import { Problem } from '../model/problems.ts';

/**
 * The media type of the response: the offered one that the Accept header prefers, or the first one when it has no
 * preference or is absent. Throws `not_acceptable`.
 */
export const negotiate = <const T extends readonly [string, ...string[]]>(
  request: FastifyRequest,
  offered: T,
): T[number] => {
  const chosen = new Negotiator({ headers: { accept: request.headers.accept } }).mediaType([...offered]);
  if (chosen === undefined)
    throw new Problem('not_acceptable', { detail: `This operation answers in ${offered.join(' or ')}.` });
  return chosen;
};
