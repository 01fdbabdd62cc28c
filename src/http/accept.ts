import type { FastifyRequest } from 'fastify';
import Negotiator from 'negotiator';
import { Problem } from '../model/problems.ts';

/**
 * The media type to answer in: of those offered the one that the Accept header likes best, the first one when it
 * likes all the same or is absent. Throws `not_acceptable`.
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
