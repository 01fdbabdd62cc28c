import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { describe, it } from 'node:test';
import { Ajv2020 } from 'ajv/dist/2020.js';
import addFormats from 'ajv-formats';
import type { OpenapiDocument } from '../../src/http/openapi.ts';
import { contractFile } from './clients.ts';
import {
  callsOf,
  newerAnswers,
  newerProblem,
  newerValue,
  newField,
  newValue,
  shapes,
} from './newer-server.ts';

const document: OpenapiDocument = JSON.parse(readFileSync(contractFile, 'utf8'));

const objectsIn = (value: unknown): readonly object[] => {
  if (typeof value !== 'object' || value === null) return [];
  const inner = Object.values(value).flatMap(objectsIn);
  return Array.isArray(value) ? inner : [value, ...inner];
};

/** How many extensible enums stand below a schema. */
const extensibleIn = (node: unknown): number => {
  if (typeof node !== 'object' || node === null) return 0;
  const { $ref, properties, items, ...rest }: Record<string, unknown> = Object(node);
  const name = typeof $ref === 'string' ? $ref.replace(/^.*\//, '') : undefined;
  if (name !== undefined) return extensibleIn(document.components.schemas[name]);
  const fields = Object.values(Object(properties)).reduce<number>((sum, one) => sum + extensibleIn(one), 0);
  return fields + extensibleIn(items) + (rest['x-extensible-enum'] === undefined ? 0 : 1);
};

const newValuesIn = (value: unknown): number => {
  if (value === newValue) return 1;
  if (typeof value !== 'object' || value === null) return 0;
  return Object.entries(value).reduce(
    (sum, [name, inner]) => sum + (name === newField ? 0 : newValuesIn(inner)),
    0,
  );
};

describe('answers of a later version', () => {
  const ajv = new Ajv2020({ strict: false, allErrors: true });
  addFormats.default(ajv);
  ajv.addSchema(Object(document), 'api');

  const schemaOf = (operation: string) => {
    const found = Object.values(document.paths)
      .flatMap((methods) => Object.values(methods))
      .find(({ operationId }) => operationId === operation);
    const [, response] =
      Object.entries(found?.responses ?? {}).find(([status]) => status.startsWith('2')) ?? [];
    return response?.content?.['application/json']?.schema;
  };

  for (const shape of shapes) {
    it(`fit the contract of today, which allows what it does not list (${shape})`, () => {
      for (const [operation, answer] of newerAnswers(document, shape)) {
        if (answer === null) continue;
        const { $ref } = Object(schemaOf(operation));
        const validate = ajv.compile(
          $ref === undefined ? Object(schemaOf(operation)) : { $ref: `api${$ref}` },
        );
        assert.ok(validate(answer), `${operation}: ${ajv.errorsText(validate.errors)}`);
      }
      const ofProblem = ajv.compile({ $ref: 'api#/components/schemas/Problem' });
      assert.ok(ofProblem(newerProblem(document)), ajv.errorsText(ofProblem.errors));
    });
  }

  it('have the new field in every object', () => {
    const objects = [...newerAnswers(document, 'full').values()].flatMap(objectsIn);
    assert.ok(objects.length > 100);
    assert.deepEqual(
      objects.filter((one) => !Object.hasOwn(one, newField)),
      [],
    );
  });

  it('have the new value in place of every extensible enum', () => {
    for (const [operation, answer] of newerAnswers(document, 'full')) {
      const expected = extensibleIn(schemaOf(operation));
      assert.equal(newValuesIn(answer), expected, operation);
    }
    const conditions = newerValue(
      { $ref: '#/components/schemas/NotebookStatus' },
      document.components,
      'full',
    );
    assert.ok(newValuesIn(conditions) >= 2);
  });

  it('cover every operation but the streams', () => {
    const all = Object.values(document.paths).flatMap((methods) =>
      Object.values(methods).map(({ operationId }) => String(operationId)),
    );
    const covered = new Set(callsOf(document).map(({ operation }) => operation));
    assert.deepEqual(all.filter((operation) => !covered.has(operation)).toSorted(), [
      'watchNotebook',
      'watchOperation',
      'watchServers',
    ]);
  });
});
