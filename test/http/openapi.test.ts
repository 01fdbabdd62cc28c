import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import Type from 'typebox';
import { registerAuth } from '../../src/http/auth.ts';
import { exampleOf } from '../../src/http/example.ts';
import { registerHealth } from '../../src/http/health.ts';
import {
  type OpenapiDocument,
  openapiDocument,
  printedJson,
  registerOpenapi,
} from '../../src/http/openapi.ts';
import { closed, ref } from '../../src/lib/schema.ts';
import { NotebookPatch, notebookParts } from '../../src/model/notebook.ts';
import { PageQuery, pageOf } from '../../src/model/page.ts';
import { MemberOrder, Slug, TeamOrder } from '../../src/model/team.ts';
import { TeamQuotaOrder } from '../../src/model/team-quota.ts';
import { exampleFaults, openapiFaults } from '../openapi/openapi-rules.ts';
import { shell } from './shell.ts';

const params = closed({ team: Slug });
const TeamOrderPage = pageOf(ref(TeamOrder), 'TeamOrderPage');

const declare = async (reversed = false) => {
  const app = await shell();
  for (const schema of [
    MemberOrder,
    TeamOrder,
    TeamQuotaOrder,
    NotebookPatch,
    ...notebookParts,
    TeamOrderPage,
  ])
    app.addSchema(schema);
  registerAuth(app, { issuers: [], adminGroups: [], auditorGroups: [], teamCreators: [] });
  registerOpenapi(app, {
    title: 'Notebooks',
    version: '1.2.3',
    description: 'For tests.',
    tags: [{ name: 'teams', description: 'Teams.' }],
  });
  const routes = [
    () =>
      app.get(
        '/v1/teams',
        {
          schema: {
            operationId: 'listTeams',
            summary: 'Your teams',
            tags: ['teams'],
            querystring: PageQuery,
            response: { 200: ref(TeamOrderPage) },
            problems: ['invalid_cursor'],
          },
        },
        async () => ({ items: [], nextCursor: null }),
      ),
    () =>
      app.patch(
        '/v1/teams/:team/notebook',
        {
          schema: {
            operationId: 'patchNotebook',
            summary: 'Change a notebook',
            tags: ['teams'],
            params,
            headers: Type.Object({ 'if-match': Type.Optional(Type.String({ examples: ['"3.14"'] })) }),
            body: ref(NotebookPatch),
            response: { 200: ref(NotebookPatch) },
            problems: ['revision_mismatch', 'deleting', 'cannot_shrink'],
          },
        },
        async (request) => request.body,
      ),
    () => registerHealth(app, { ping: async () => {}, name: 'n', version: '1' }),
    () => app.get('/hidden', { schema: { hide: true, operationId: 'hidden' } }, async () => ({})),
  ];
  for (const route of reversed ? routes.toReversed() : routes) route();
  await app.ready();
  return app;
};

const at = (value: unknown, ...keys: string[]): unknown =>
  keys.reduce<unknown>((node, key) => Object(node)[key], value);

describe('the OpenAPI document', () => {
  it('the document is byte-identical for any order of registration', async () => {
    const [one, two] = [await declare(), await declare(true)];
    assert.equal(printedJson(await openapiDocument(one)), printedJson(await openapiDocument(two)));
  });

  it('the document is public and served as committed', async () => {
    const app = await declare();
    const answer = await app.inject('/openapi.json');
    assert.deepEqual([answer.statusCode, answer.headers['content-type']], [200, 'application/json']);
    assert.equal(answer.body, printedJson(await openapiDocument(app)));
  });

  it('the document follows the API’s rules, and every example matches its schema', async () => {
    const document = await openapiDocument(await declare());
    assert.deepEqual(openapiFaults(document), []);
    assert.deepEqual(exampleFaults(document), []);
  });

  it('names its components and refers to them', async () => {
    const document = await openapiDocument(await declare());
    const parts = notebookParts.map(({ $id }) => $id);
    const others = [
      'Fault',
      'FaultCode',
      'Health',
      'MemberOrder',
      'NotebookPatch',
      'Problem',
      'ProblemCode',
      'ServiceVersion',
      'TeamOrder',
      'TeamQuotaOrder',
    ];
    assert.deepEqual(
      Object.keys(document.components.schemas),
      [...others, 'TeamOrderPage', ...parts].toSorted(),
    );
    const items = at(document.components.schemas.TeamOrderPage, 'properties', 'items', 'items');
    assert.deepEqual(items, { $ref: '#/components/schemas/TeamOrder' });
  });

  it('lists the problems of an operation, and adds those of every operation', async () => {
    const { paths, components } = await openapiDocument(await declare());
    const resolved = (response: unknown) => {
      const name = String(at(response, '$ref')).replace(/^.*\//, '');
      return components.responses[name] ?? response;
    };
    const codes = (path: string, method: string) =>
      Object.fromEntries(
        Object.entries(paths[path]?.[method]?.responses ?? {})
          .filter(([status]) => /^[45]/.test(status))
          .map(([status, response]) => [
            status,
            Object.keys(Object(at(resolved(response), 'content', 'application/problem+json', 'examples'))),
          ]),
      );
    assert.deepEqual(codes('/v1/teams/{team}/notebook', 'patch'), {
      400: ['malformed', 'validation_failed'],
      401: ['unauthenticated'],
      404: ['not_found'],
      409: ['cannot_shrink', 'deleting'],
      412: ['revision_mismatch'],
      413: ['payload_too_large'],
      415: ['unsupported_media_type'],
      429: ['too_many_requests'],
      500: ['internal'],
      503: ['upstream_unavailable'],
    });
    assert.deepEqual(codes('/livez', 'get'), { 429: ['too_many_requests'], 500: ['internal'] });
    assert.deepEqual(codes('/v1/teams', 'get')[400], ['invalid_cursor', 'validation_failed']);
  });

  it('documents public operations, the types of a patch and the ETag', async () => {
    const document = await openapiDocument(await declare());
    assert.deepEqual(document.security, [{ bearer: [] }]);
    assert.deepEqual(at(document.paths, '/livez', 'get', 'security'), []);
    assert.equal(at(document.paths, '/v1/teams', 'get', 'security'), undefined);
    const patch = document.paths['/v1/teams/{team}/notebook']?.patch;
    assert.deepEqual(Object.keys(patch?.requestBody?.content ?? {}), [
      'application/merge-patch+json',
      'application/json',
    ]);
    assert.equal(patch?.requestBody?.required, true);
    assert.ok(at(patch, 'responses', '200', 'headers', 'etag'));
    assert.equal(at(document.paths, '/v1/teams', 'get', 'responses', '200', 'headers', 'etag'), undefined);
  });

  it('a deprecated operation is marked, and announces itself and its end in headers', async () => {
    const app = await shell();
    registerOpenapi(app, { title: 'Notebooks', version: '1.2.3', description: 'For tests.', tags: [] });
    const deprecation = { since: '2027-01-01T00:00:00Z', sunset: '2027-07-01T00:00:00Z' };
    const schema = { operationId: 'old', summary: 'Old', response: { 200: { type: 'string' } } };
    app.get('/v1/old', { config: { deprecation }, schema }, async () => 'old');
    app.get('/v1/going', { config: { deprecation: { since: deprecation.since } } }, async () => 'going');
    app.get('/v1/new', async () => 'new');
    await app.ready();
    const announced = async (url: string) => {
      const { headers } = await app.inject(url);
      return [headers.deprecation, headers.sunset];
    };
    assert.deepEqual(await announced('/v1/old'), ['@1798761600', 'Thu, 01 Jul 2027 00:00:00 GMT']);
    assert.deepEqual(await announced('/v1/going'), ['@1798761600', undefined]);
    assert.deepEqual(await announced('/v1/new'), [undefined, undefined]);
    assert.equal(at((await openapiDocument(app)).paths, '/v1/old', 'get', 'deprecated'), true);
  });

  it('the document leaves out hidden routes', async () => {
    assert.doesNotMatch(printedJson(await openapiDocument(await declare())), /hidden|\/docs/);
  });
});

describe('the rules of the contract', () => {
  const good = async () => structuredClone(await openapiDocument(await declare()));
  const get = (document: OpenapiDocument) => {
    const operation = document.paths['/v1/teams']?.get;
    assert.ok(operation);
    return operation;
  };
  for (const [what, spoil, expected] of [
    ['no operationId', (d) => delete get(d).operationId, /GET \/v1\/teams needs a camelCase operationId/],
    ['a snake_case operationId', (d) => (get(d).operationId = 'list_teams'), /camelCase/],
    [
      'an operationId twice',
      (d) => (get(d).operationId = 'patchNotebook'),
      /has the operationId of|patchNotebook/,
    ],
    ['no summary', (d) => (get(d).summary = ''), /needs a summary/],
    ['no tags', (d) => (get(d).tags = []), /needs a tag/],
    ['no problems', (d) => (get(d).responses = { 200: get(d).responses['200'] ?? {} }), /lists no problems/],
    ['no success', (d) => delete get(d).responses['200'], /nothing but problems/],
    [
      'an unnamed answer',
      (d) => (get(d).responses['200'] = { content: { 'application/json': { schema: {}, example: 1 } } }),
      /named component for 200/,
    ],
    [
      'no example',
      (d) => (get(d).responses['200'] = { content: { 'application/json': { schema: { $ref: '#/x' } } } }),
      /example for 200/,
    ],
    [
      'a free path parameter',
      (d) => (d.paths['/v1/{x}'] = { get: { ...get(d), operationId: 'x' } }),
      /pattern for its parameter x/,
    ],
    [
      'a number without bounds',
      (d) => (get(d).parameters = [{ in: 'query', name: 'n', schema: { type: 'integer', minimum: 1 } }]),
      /maximum for its parameter n/,
    ],
    [
      'a union with null',
      (d) => (d.components.schemas.A = { anyOf: [{ type: 'null' }] }),
      /\/schemas\/A says null with a union/,
    ],
    ['nullable', (d) => (d.components.schemas.A = { type: 'string', nullable: true }), /nullable/],
    ['lookahead', (d) => (d.components.schemas.A = { pattern: '^(?!a)b$' }), /lookaround/],
    ['an open pattern', (d) => (d.components.schemas.A = { pattern: 'a|b' }), /anchored/],
  ] as [string, (document: OpenapiDocument) => unknown, RegExp][]) {
    it(`detect ${what}`, async () => {
      const document = await good();
      spoil(document);
      assert.match(openapiFaults(document).join('\n'), expected);
    });
  }

  it('detect an example that does not match its schema', async () => {
    const document = await good();
    const content = get(document).responses['200']?.content?.['application/json'];
    assert.ok(content);
    content.example = { items: [{ slug: 7 }] };
    assert.match(exampleFaults(document).join('\n'), /slug must be string/);
  });
});

describe('examples', () => {
  const components = { Named: { type: 'string', examples: ['by name'] } };
  for (const [schema, expected] of [
    [{ $ref: '#/components/schemas/Named' }, 'by name'],
    [
      { type: 'object', properties: { a: { enum: ['x', 'y'] }, b: { type: 'integer', minimum: 3 } } },
      { a: 'x', b: 3 },
    ],
    [{ type: 'array', items: { $ref: 'Named' } }, ['by name']],
    [{ type: ['string', 'null'] }, null],
    [{ type: ['string', 'null'], examples: ['team-a'] }, 'team-a'],
    [{ type: 'integer', default: 50 }, 50],
    [{ type: 'boolean' }, true],
    [{ type: 'string', format: 'date' }, '2026-11-23'],
    [{ type: 'string', format: 'other' }, 'text'],
  ] as const) {
    it(`of ${JSON.stringify(schema)} are ${JSON.stringify(expected)}`, () => {
      assert.deepEqual(exampleOf(schema, components), expected);
    });
  }
});

describe('the documentation page', () => {
  it('Swagger UI loads everything from this origin and has no inline script', async () => {
    const app = await declare();
    for (const url of ['/docs', '/docs/']) {
      const page = await app.inject(url);
      assert.deepEqual([page.statusCode, page.headers['content-type']], [200, 'text/html; charset=utf-8']);
      assert.match(String(page.headers['content-security-policy']), /script-src 'self';/);
      assert.doesNotMatch(page.body, /(?:src|href)="(?:https?:)?\/\//);
      const parts = [...page.body.matchAll(/(?:src|href)="([^"]+)"/g)].map(([, path = '']) =>
        path.startsWith('/') ? path : `/docs/${path.replace('./', '')}`,
      );
      assert.ok(parts.length >= 5, page.body);
      for (const part of parts) {
        const asset = await app.inject(part);
        assert.equal(asset.statusCode, 200, part);
        assert.ok(asset.rawPayload.length > 0, part);
      }
      assert.doesNotMatch(page.body, /<script>[^<]/);
    }
  });

  it('shows the served document', async () => {
    const app = await declare();
    const shown = (await app.inject('/docs/json')).json();
    assert.deepEqual(Object.keys(shown.paths), Object.keys((await openapiDocument(app)).paths));
  });

  it('gives no access to other files', async () => {
    const app = await declare();
    for (const url of [
      '/docs/static/../../package.json',
      '/docs/static/%2e%2e/package.json',
      '/docs/nothing',
    ]) {
      assert.equal((await app.inject(url)).statusCode, 404, url);
    }
  });
});
