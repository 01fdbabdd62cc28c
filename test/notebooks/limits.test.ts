import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import fc from 'fast-check';
import { Value } from 'typebox/value';
import { defaultLimits, FieldLimits } from '../../src/model/limits.ts';
import { complete } from '../../src/model/notebook-fields.ts';
import { limitsView } from '../../src/notebooks/limits.ts';
import { changesBetween } from '../../src/notebooks/plan.ts';
import { boundsFaults } from '../../src/notebooks/spec.ts';
import { mergePatch } from '../support/merge-patch.ts';
import { anyLimits } from './orders.ts';

const orderOf = (path: string, value: unknown): unknown =>
  path
    .split('/')
    .slice(1)
    .reduceRight((inner, name) => ({ [name]: inner }), value);

describe('limits of an order', () => {
  it('cover every field, each once, with the default of an empty order', () => {
    fc.assert(
      fc.property(anyLimits, (limits) => {
        const { fields } = limitsView(limits);
        const ordered = fields.reduce<unknown>(
          // Not a patch: the default of a field may be null.
          (whole, field) =>
            field.default === null ? whole : mergePatch(whole, orderOf(field.pointer, field.default)),
          { image: null },
        );
        assert.deepEqual(changesBetween(complete({}, limits), ordered), []);
        assert.equal(new Set(fields.map(({ pointer }) => pointer)).size, fields.length);
      }),
    );
  });

  it('the limits match the validation: the minimum and maximum pass, and nothing beyond them', () => {
    fc.assert(
      fc.property(anyLimits, (limits) => {
        for (const { pointer: path, minimum, maximum } of limitsView(limits).fields) {
          if (minimum === undefined) continue;
          for (const value of [minimum, maximum]) {
            assert.deepEqual(boundsFaults(orderOf(path, value), limits), [], `${path} ${value}`);
          }
          const beyond =
            typeof minimum === 'number' && typeof maximum === 'number'
              ? [minimum - 0.0001, maximum + 1]
              : ['0Mi', '9999999Gi'];
          for (const value of beyond) {
            const [fault] = boundsFaults(orderOf(path, value), limits);
            assert.equal(fault?.pointer, path, `${path} ${value}`);
          }
        }
      }),
    );
  });

  it('the limits match their schema, and include the length of an allowlist', () => {
    const view = limitsView({ ...defaultLimits, hostsMax: 7 });
    for (const field of view.fields) assert.ok(Value.Check(FieldLimits, field), field.pointer);
    assert.equal(view.fields.find(({ pointer }) => pointer === '/allowlist/hosts')?.maximum, 7);
  });

  it('use the notation of the field', () => {
    const fields = new Map(limitsView(defaultLimits).fields.map((field) => [field.pointer, field]));
    assert.deepEqual(fields.get('/resources/memory/limit'), {
      pointer: '/resources/memory/limit',
      type: 'quantity',
      default: '2Gi',
      minimum: '256Mi',
      maximum: '128Gi',
    });
    assert.deepEqual(fields.get('/culling/timeoutSeconds'), {
      pointer: '/culling/timeoutSeconds',
      type: 'integer',
      default: 3600,
      minimum: 600,
      maximum: 604_800,
      unit: 'seconds',
    });
  });
});
