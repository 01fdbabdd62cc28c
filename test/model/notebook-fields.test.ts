import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import fc from 'fast-check';
import Type from 'typebox';
import { Value } from 'typebox/value';
import { at, isObject } from '../../src/lib/json.ts';
import { defaultLimits } from '../../src/model/limits.ts';
import { NotebookOrder, NotebookSpec, notebookParts } from '../../src/model/notebook.ts';
import { complete, fieldPairs, fieldRows, measureOf, valueAt } from '../../src/model/notebook-fields.ts';
import { anyLimitsAndOrder } from '../notebooks/orders.ts';

const components = Object.fromEntries(notebookParts.map((part) => [part.$id, Type.Unsafe(part)]));

/** Every leaf of a schema with its JSON pointer; a list is one leaf. */
const leavesOf = (declared: unknown, pointer = ''): readonly (readonly [string, unknown])[] => {
  const schema = components[String(at(declared, '$ref'))] ?? declared;
  const properties = at(schema, 'properties');
  if (!isObject(properties)) return [[pointer, schema]];
  return Object.entries(properties).flatMap(([name, inner]) => leavesOf(inner, `${pointer}/${name}`));
};

const schemaTypes: Readonly<Record<string, unknown>> = {
  number: 'number',
  integer: 'integer',
  quantity: 'string',
  text: ['string', 'null'],
  boolean: 'boolean',
  list: 'array',
};

describe('the table of notebook fields', () => {
  it('has exactly one row for every leaf of NotebookSpec, in its order and of its type', () => {
    assert.deepEqual(
      fieldRows.map(({ pointer, type }) => [pointer, schemaTypes[type]]),
      leavesOf(NotebookSpec).map(([pointer, leaf]) => [pointer, at(leaf, 'type')]),
    );
  });

  it('gives every field with bounds a default that has a measure and is within the default bounds', () => {
    const bounded = fieldRows.filter(({ bounds }) => bounds !== undefined);
    assert.ok(bounded.length > 0);
    for (const row of bounded) {
      const [minimum = 0, maximum = 0] = row.bounds?.(defaultLimits) ?? [];
      const measure = measureOf(row, row.default) ?? Number.NaN;
      assert.ok(minimum <= measure && measure <= maximum, row.pointer);
    }
  });

  it('relates only fields that both have a measure, each pair once', () => {
    const bounded = fieldRows.filter(({ bounds }) => bounds !== undefined).map(({ pointer }) => pointer);
    for (const { low, high } of fieldPairs) {
      assert.ok(bounded.includes(low) && bounded.includes(high), `${low} ${high}`);
    }
    assert.equal(new Set(fieldPairs.map(({ low, high }) => `${low} ${high}`)).size, fieldPairs.length);
  });
});

describe('completing an order', () => {
  it('gives a NotebookSpec for every order, and leaves a complete one unchanged', () => {
    fc.assert(
      fc.property(anyLimitsAndOrder, ({ limits, order }) => {
        fc.pre(Value.Check(components, NotebookOrder, order));
        const spec = complete(order, limits);
        assert.ok(Value.Check(components, NotebookSpec, spec));
        assert.deepEqual(complete(spec, limits), spec);
      }),
    );
  });

  it('never changes a given value', () => {
    fc.assert(
      fc.property(anyLimitsAndOrder, ({ limits, order }) => {
        const spec = complete(order, limits);
        for (const { pointer } of fieldRows) {
          const given = valueAt(order, pointer);
          if (given !== undefined) assert.deepEqual(valueAt(spec, pointer), given, pointer);
        }
      }),
    );
  });
});
