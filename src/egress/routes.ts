import Type from 'typebox';
import type { Deps } from '../deps.ts';
import type { App } from '../http/server.ts';
import { closed, ref } from '../schema.ts';
import { AllowlistEntry, AllowlistError, ParsedAllowlist, parseAllowlist } from './entry.ts';

const AllowlistOrder = closed(
  {
    entries: Type.Array(Type.String({ examples: ['pypi.org', 'informatica.nav.no:6005-6010'] }), {
      maxItems: 1000,
    }),
  },
  { $id: 'AllowlistOrder' },
);

export const allowlistSchemas = [AllowlistEntry, AllowlistError, AllowlistOrder, ParsedAllowlist];

export const registerEgress = (app: App, { allowlist }: Pick<Deps, 'allowlist'>): void => {
  app.route({
    method: 'POST',
    url: '/v1/allowlist/validate',
    schema: {
      operationId: 'validateAllowlist',
      summary: 'Which entries an allowlist would take; writes nothing',
      tags: ['egress'],
      body: ref(AllowlistOrder),
      response: { 200: ref(ParsedAllowlist) },
    },
    handler: async ({ body }) => parseAllowlist(body.entries, allowlist),
  });
};
