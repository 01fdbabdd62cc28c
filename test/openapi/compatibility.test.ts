import assert from 'node:assert/strict';
import { readdirSync, readFileSync } from 'node:fs';
import { describe, it } from 'node:test';
import type { OpenapiDocument } from '../../src/http/openapi.ts';
import { breakingChanges } from './compatibility.ts';

const folder = new URL('../../openapi/', import.meta.url);
const read = (name: string): OpenapiDocument => JSON.parse(readFileSync(new URL(name, folder), 'utf8'));
const current = read('openapi.json');

describe('clients of a released contract', () => {
  const released = readdirSync(new URL('released/', folder)).filter((name) => name.endsWith('.json'));
  it('exist: v1 is released', () => {
    assert.ok(released.includes('v1.json'));
  });
  for (const name of released) {
    it(`of ${name} still understand this API, and it understands them`, () => {
      assert.deepEqual(breakingChanges(read(`released/${name}`), current), []);
    });
  }
});

/** A small contract; each case below changes one thing in it. */
const small = (): OpenapiDocument => structuredClone(contract);
const contract: OpenapiDocument = {
  openapi: '3.1.0',
  paths: {
    '/v1/teams/{team}': {
      put: {
        operationId: 'putTeam',
        parameters: [
          { in: 'path', name: 'team', schema: { type: 'string', pattern: '^[a-z]+$' }, required: true },
          { in: 'query', name: 'dry', schema: { type: 'boolean' }, required: false },
        ],
        requestBody: {
          required: false,
          content: {
            'application/json': { schema: { $ref: '#/components/schemas/Order' } },
            'application/yaml': { schema: {} },
          },
        },
        responses: {
          200: {
            description: 'ok',
            headers: { etag: {} },
            content: { 'application/json': { schema: { $ref: '#/components/schemas/Team' } } },
          },
          404: { description: 'no' },
        },
        security: [],
      },
    },
  },
  components: {
    responses: {},
    schemas: {
      Order: {
        type: 'object',
        properties: {
          size: { type: 'integer', minimum: 1, maximum: 9 },
          kind: { type: 'string', enum: ['a', 'b'] },
          names: { type: 'array', items: { type: ['string', 'null'], maxLength: 9 } },
        },
        additionalProperties: false,
      },
      Team: {
        type: 'object',
        required: ['id', 'phase', 'count'],
        properties: {
          id: { type: 'string' },
          phase: { type: 'string', 'x-extensible-enum': ['Pending'] },
          count: { type: 'integer', format: 'int32' },
          closed: { type: 'object', properties: {}, additionalProperties: false },
          fixed: { type: 'string', enum: ['a'] },
          self: { $ref: '#/components/schemas/Team' },
        },
        additionalProperties: true,
      },
    },
  },
};

type Json = Record<string, unknown>;
const at = (node: unknown, ...path: string[]): Json =>
  path.reduce<Json>((inner, name) => Object(inner[name]), Object(node));
const put = (document: OpenapiDocument, ...path: string[]) =>
  at(document, 'paths', '/v1/teams/{team}', 'put', ...path);
const parametersOf = (document: OpenapiDocument): Json[] => {
  const { parameters } = put(document);
  assert.ok(Array.isArray(parameters));
  return parameters;
};
const field = (document: OpenapiDocument, schema: string, name: string) =>
  at(document, 'components', 'schemas', schema, 'properties', name);
const schema = (document: OpenapiDocument, name: string) => at(document, 'components', 'schemas', name);

type Change = (document: OpenapiDocument) => unknown;
const operation = 'PUT /v1/teams/{team}';

describe('breaking changes', () => {
  it('are none between a contract and itself', () => {
    assert.deepEqual(breakingChanges(current, structuredClone(current)), []);
    assert.deepEqual(breakingChanges(small(), small()), []);
  });

  it('are found in the real contract', () => {
    const without = structuredClone(current);
    delete without.paths['/v1/limits'];
    delete field(without, 'Culling', 'timeoutSeconds').type;
    delete at(schema(without, 'NotebookOrder'), 'properties').image;
    assert.deepEqual(breakingChanges(current, without).toSorted(), [
      'GET /v1/limits is gone',
      'GET /v1/teams/{team}/history 200/items/*/spec/culling/timeoutSeconds may be of any type',
      'PUT /v1/teams/{team}/notebook body lost its field image',
    ]);
  });

  const breaking: readonly (readonly [string, Change])[] = [
    [`${operation} is gone`, (d) => delete d.paths['/v1/teams/{team}']],
    [`${operation} is called setTeam now`, (d) => (put(d).operationId = 'setTeam')],
    [`${operation} now needs a token`, (d) => delete put(d).security],
    [`${operation} lost its parameter query dry`, (d) => parametersOf(d).pop()],
    [
      `${operation} now needs its parameter header if-match`,
      (d) => parametersOf(d).push({ in: 'header', name: 'if-match', required: true }),
    ],
    [`${operation} now needs its parameter query dry`, (d) => (at(parametersOf(d), '1').required = true)],
    [
      `${operation} path team has another pattern`,
      (d) => (at(parametersOf(d), '0', 'schema').pattern = '^[a-y]+$'),
    ],
    [`${operation} now needs a body`, (d) => (put(d, 'requestBody').required = true)],
    [
      `${operation} body has no application/yaml any more`,
      (d) => delete put(d, 'requestBody', 'content')['application/yaml'],
    ],
    [`${operation} body lost its field kind`, (d) => delete at(schema(d, 'Order'), 'properties').kind],
    [`${operation} body now needs the field size`, (d) => (schema(d, 'Order').required = ['size'])],
    [
      `${operation} body/size does not take integer any more`,
      (d) => (field(d, 'Order', 'size').type = 'string'),
    ],
    [`${operation} body/size has a minimum of 2, it was 1`, (d) => (field(d, 'Order', 'size').minimum = 2)],
    [`${operation} body/size has a maximum of 8, it was 9`, (d) => (field(d, 'Order', 'size').maximum = 8)],
    [
      `${operation} body/names has a maxItems of 5, it was none`,
      (d) => (field(d, 'Order', 'names').maxItems = 5),
    ],
    [
      `${operation} body/kind does not take "b" any more`,
      (d) => (field(d, 'Order', 'kind').enum = ['a', 'c']),
    ],
    [
      `${operation} body/names/* does not take null any more`,
      (d) => (at(field(d, 'Order', 'names'), 'items').type = 'string'),
    ],
    [`${operation} does not answer 200 any more`, (d) => delete put(d, 'responses')['200']],
    [`${operation} 200 lost its header etag`, (d) => delete put(d, 'responses', '200', 'headers').etag],
    [
      `${operation} 200 has no application/json any more`,
      (d) => delete put(d, 'responses', '200', 'content')['application/json'],
    ],
    [`${operation} 200 may leave out the field phase`, (d) => (schema(d, 'Team').required = ['id', 'count'])],
    [`${operation} 200 lost its field id`, (d) => delete at(schema(d, 'Team'), 'properties').id],
    [`${operation} 200/id may now be null`, (d) => (field(d, 'Team', 'id').type = ['string', 'null'])],
    [`${operation} 200/count has another format`, (d) => (field(d, 'Team', 'count').format = 'int64')],
    [
      `${operation} 200/closed has a new field more, but clients were told that there is no other`,
      (d) => (at(field(d, 'Team', 'closed'), 'properties').more = {}),
    ],
    [
      `${operation} 200/fixed may now be "b", but clients were told that there is no other value`,
      (d) => (field(d, 'Team', 'fixed').enum = ['a', 'b']),
    ],
    [
      `${operation} 200/phase does not announce other values any more`,
      (d) => {
        const phase = field(d, 'Team', 'phase');
        phase.enum = phase['x-extensible-enum'];
        delete phase['x-extensible-enum'];
      },
    ],
    [
      `${operation} 200 does not announce other fields any more`,
      (d) => (schema(d, 'Team').additionalProperties = false),
    ],
  ];
  for (const [sentence, change] of breaking) {
    it(`are reported: ${sentence}`, () => {
      const next = small();
      change(next);
      assert.deepEqual(breakingChanges(small(), next), [sentence]);
    });
  }

  it('are reported: the component Team is gone', () => {
    const next = small();
    next.components.schemas.Group = schema(next, 'Team');
    delete next.components.schemas.Team;
    put(next, 'responses', '200', 'content', 'application/json').schema = {
      $ref: '#/components/schemas/Group',
    };
    field(next, 'Group', 'self').$ref = '#/components/schemas/Group';
    assert.deepEqual(breakingChanges(small(), next), ['the component Team is gone']);
  });

  const compatible: readonly (readonly [string, Change])[] = [
    ['a new operation', (d) => (d.paths['/v1/new'] = { get: { operationId: 'new', responses: {} } })],
    ['a new optional field of a request', (d) => (at(schema(d, 'Order'), 'properties').more = {})],
    ['a wider bound', (d) => Object.assign(field(d, 'Order', 'size'), { minimum: 0, maximum: 99 })],
    ['a value more to choose from', (d) => (field(d, 'Order', 'kind').enum = ['a', 'b', 'c'])],
    ['a number in place of an integer taken', (d) => (field(d, 'Order', 'size').type = 'number')],
    [
      'a new field in an answer that announces other fields',
      (d) => (at(schema(d, 'Team'), 'properties').more = {}),
    ],
    [
      'a new value in an answer that announces other values',
      (d) => (field(d, 'Team', 'phase')['x-extensible-enum'] = ['Pending', 'Ready']),
    ],
    ['a new problem', (d) => (put(d, 'responses')['409'] = { description: 'conflict' })],
    ['a problem that does not happen any more', (d) => delete put(d, 'responses')['404']],
    ['a new optional parameter', (d) => parametersOf(d).push({ in: 'query', name: 'x', required: false })],
  ];
  for (const [what, change] of compatible) {
    it(`are none in ${what}`, () => {
      const next = small();
      change(next);
      assert.deepEqual(breakingChanges(small(), next), []);
    });
  }
});
