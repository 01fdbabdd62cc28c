import { hash } from 'node:crypto';
import { codes } from '../http/codes.ts';
import { NotModified, preconditionsOf, ReadHeaders } from '../http/preconditions.ts';
import type { App } from '../http/server.ts';
import { ref } from '../lib/schema.ts';
import { Code, CodePage } from '../model/code.ts';
import { LocalizedText } from '../model/localized-text.ts';

export const codeSchemas = [LocalizedText, Code, CodePage];

const page = { items: [...codes], nextCursor: null };
const version = hash('sha256', JSON.stringify(page), 'base64url').slice(0, 22);

/** The codes that clients show, for every caller alike; they change with a deployment only. */
export const registerCodes = (app: App): void => {
  app.route({
    method: 'GET',
    url: '/v1/codes',
    config: { public: true },
    schema: {
      operationId: 'listCodes',
      summary: 'List every code and reason with its texts',
      description:
        'Every code of a problem, of its faults and of warnings, and every reason of a condition or an operation, with a title and a help text in English and Norwegian. All are on one page. No token is needed, and the answer may be cached.',
      tags: ['codes'],
      headers: ReadHeaders,
      response: { 200: ref(CodePage), 304: NotModified },
    },
    handler: async ({ headers }, reply) => {
      reply.header('etag', `"${version}"`).header('cache-control', 'public, max-age=3600');
      const { ifNoneMatch = [] } = preconditionsOf(headers);
      const isCurrent = ifNoneMatch === '*' || ifNoneMatch.some(({ value }) => value === version);
      return isCurrent ? reply.code(304).send() : page;
    },
  });
};
