import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { describe, it } from 'node:test';
import type { OpenapiDocument } from '../../src/http/openapi.ts';
import { v1Faults } from './v1-rules.ts';

const committed: OpenapiDocument = JSON.parse(
  readFileSync(new URL('../../openapi/openapi.json', import.meta.url), 'utf8'),
);

type Json = Record<string, unknown>;
const at = (node: unknown, ...path: readonly string[]): Json =>
  path.reduce<Json>((inner, name) => Object(inner[name]), Object(node));
const operation = (document: OpenapiDocument, path: string, method: string) =>
  at(document.paths, path, method);
const field = (document: OpenapiDocument, schema: string, name: string) =>
  at(document.components.schemas, schema, 'properties', name);

describe('the contract v1', () => {
  it('keeps every rule', () => {
    assert.deepEqual(v1Faults(committed), []);
  });

  const team = '/v1/teams/{team}';
  const breaches: readonly (readonly [RegExp, (document: OpenapiDocument) => unknown])[] = [
    [/GET \/v1\/teams needs a description/, (d) => delete operation(d, '/v1/teams', 'get').description],
    [
      /has more than one type of success/,
      (d) =>
        (at(operation(d, team, 'get'), 'responses')['202'] = {
          content: { 'application/json': { schema: { $ref: '#/components/schemas/Fault' } } },
        }),
    ],
    [
      /GET \/v1\/teams is a list that is no page/,
      (d) => (at(d.components.schemas, 'TeamPage').required = ['items']),
    ],
    [/has no default problem/, (d) => delete at(operation(d, team, 'get'), 'responses').default],
    [
      /200 does not document x-request-id/,
      (d) => delete at(operation(d, team, 'get'), 'responses', '200', 'headers')['x-request-id'],
    ],
    [
      /200 does not document etag/,
      (d) => delete at(operation(d, team, 'get'), 'responses', '200', 'headers').etag,
    ],
    [
      /429 does not document retry-after/,
      (d) => delete at(d.components.responses, 'TooManyRequests', 'headers')['retry-after'],
    ],
    [
      /429 is no problem/,
      (d) =>
        (at(d.components.responses, 'TooManyRequests', 'content')['application/problem+json'] = {
          schema: {},
        }),
    ],
    [
      /\/Team\/extra is an object without a name/,
      (d) =>
        (at(d.components.schemas, 'Team', 'properties').extra = {
          type: 'object',
          properties: {},
          additionalProperties: true,
        }),
    ],
    [
      /\/TeamOrder is a request that is not closed/,
      (d) => (at(d.components.schemas, 'TeamOrder').additionalProperties = true),
    ],
    [
      /\/Team is an answer that cannot gain a field/,
      (d) => (at(d.components.schemas, 'Team').additionalProperties = false),
    ],
    [
      /is used in requests and in answers/,
      (d) =>
        (at(d.components.schemas, 'Team', 'properties').order = { $ref: '#/components/schemas/TeamOrder' }),
    ],
    [
      /\/Version has a name that every SDK has already/,
      (d) => {
        d.components.schemas.Version = { type: 'string' };
        at(d.components.schemas, 'Team', 'properties').version = { $ref: '#/components/schemas/Version' };
      },
    ],
    [
      /\/Server\/state is an answer that cannot gain a value/,
      (d) => (field(d, 'Server', 'state').enum = ['a']),
    ],
    [
      /has null in its list of values/,
      (d) => (field(d, 'Server', 'state')['x-extensible-enum'] = ['a', null]),
    ],
    [
      /has the value "end-of-life" in another casing/,
      (d) => (field(d, 'PythonVersion', 'status')['x-extensible-enum'] = ['end-of-life']),
    ],
    [/is a number without format double/, (d) => delete field(d, 'CpuResources', 'limit').format],
    [/is an integer without a format/, (d) => delete field(d, 'Culling', 'timeoutSeconds').format],
    [
      /\/ServerProfile is an object of an answer that may be null/,
      (d) => (at(d.components.schemas, 'ServerProfile').type = ['object', 'null']),
    ],
    [
      /streams events whose type has no name/,
      (d) => {
        const path = `${team}/servers/events`;
        const content = at(operation(d, path, 'get'), 'responses', '200', 'content', 'text/event-stream');
        content.schema = { oneOf: [] };
      },
    ],
    [
      /\/Team\/created is an instant whose name does not end in At/,
      (d) =>
        (at(d.components.schemas, 'Team', 'properties').created = { type: 'string', format: 'date-time' }),
    ],
    [/portStart is a port that is no integer/, (d) => (field(d, 'EgressEntry', 'portStart').type = 'string')],
    [
      /\/Change\/path is called path/,
      (d) => (at(d.components.schemas, 'Change', 'properties').path = { type: 'string' }),
    ],
  ];
  for (const [expected, breach] of breaches) {
    it(`notices what breaks it: ${expected.source.replaceAll('\\', '')}`, () => {
      const document = structuredClone(committed);
      breach(document);
      assert.match(v1Faults(document).join('\n'), expected);
    });
  }
});
