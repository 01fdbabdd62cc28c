import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import fc from 'fast-check';
import Type from 'typebox';
import { Value } from 'typebox/value';
import { parseTeamImage } from '../../src/images/reference.ts';
import { FaultCode } from '../../src/model/faults.ts';
import { defaultLimits, FieldLimits, FieldRule } from '../../src/model/limits.ts';
import { LocalizedText } from '../../src/model/localized-text.ts';
import { NotebookOrder, notebookParts } from '../../src/model/notebook.ts';
import { complete } from '../../src/model/notebook-fields.ts';
import { limitsView } from '../../src/notebooks/limits.ts';
import { changesBetween } from '../../src/notebooks/plan.ts';
import { boundsFaults } from '../../src/notebooks/spec.ts';
import { mergePatch } from '../support/merge-patch.ts';
import { anyLimits } from './orders.ts';

const namedSchemas = {
  ...Object.fromEntries(notebookParts.map((part) => [part.$id, Type.Unsafe(part)])),
  FaultCode: Type.Unsafe(FaultCode),
  LocalizedText,
};

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
    for (const field of view.fields) assert.ok(Value.Check(namedSchemas, FieldLimits, field), field.pointer);
    for (const rule of view.rules) assert.ok(Value.Check(namedSchemas, FieldRule, rule), rule.pointer);
    assert.equal(view.fields.find(({ pointer }) => pointer === '/allowlist/hosts')?.maximum, 7);
  });

  it('use the notation of the field', () => {
    const fields = new Map(limitsView(defaultLimits).fields.map((field) => [field.pointer, field]));
    assert.deepEqual(fields.get('/resources/memory/limit'), {
      pointer: '/resources/memory/limit',
      label: { en: 'Memory limit', nb: 'Minnegrense' },
      type: 'quantity',
      pattern: '^[0-9]+(\\.[0-9]+)?(Mi|Gi)$',
      default: '2Gi',
      minimum: '256Mi',
      maximum: '128Gi',
    });
    assert.deepEqual(fields.get('/culling/timeoutSeconds'), {
      pointer: '/culling/timeoutSeconds',
      label: { en: 'Idle timeout', nb: 'Tid uten aktivitet før stopp' },
      type: 'integer',
      default: 3600,
      minimum: 600,
      maximum: 604_800,
      unit: 'seconds',
    });
  });

  it('label each field and each rule differently in English and Norwegian', () => {
    const { fields, rules } = limitsView(defaultLimits);
    for (const { pointer, label } of fields) {
      assert.match(label.en, /^\p{Lu}.*[^.]$/u, pointer);
      assert.match(label.nb, /^\p{Lu}.*[^.]$/u, pointer);
      assert.notEqual(label.en, label.nb, pointer);
    }
    assert.equal(new Set(fields.map(({ label }) => label.en)).size, fields.length);
    assert.equal(new Set(fields.map(({ label }) => label.nb)).size, fields.length);
    for (const { pointer, message } of rules) {
      assert.match(message.en, /^\p{Lu}.*\.$/u, pointer);
      assert.match(message.nb, /^\p{Lu}.*\.$/u, pointer);
      assert.notEqual(message.en, message.nb, pointer);
    }
  });

  it('give a quantity the pattern that the schema of an order has', () => {
    const { fields } = limitsView(defaultLimits);
    const quantities = fields.filter(({ type }) => type === 'quantity');
    assert.equal(quantities.length, 3);
    for (const { pointer, pattern } of quantities) {
      assert.ok(pattern, pointer);
      fc.assert(
        fc.property(fc.stringMatching(/^[0-9. ]{0,4}[MGKi]{0,2}$/), (text) => {
          const isAccepted = Value.Check(namedSchemas, NotebookOrder, orderOf(pointer, text));
          assert.equal(new RegExp(pattern).test(text), isAccepted, text);
        }),
      );
    }
  });

  it('give the image a pattern that every accepted image matches', () => {
    const pattern = limitsView(defaultLimits).fields.find(({ pointer }) => pointer === '/image')?.pattern;
    assert.ok(pattern);
    const form = new RegExp(pattern);
    const policy = { ghcrOwner: 'navikt', garRegion: 'europe-north1', garProject: 'knada-gcp', garTeam: 'a' };
    const digest = `sha256:${'0a'.repeat(32)}`;
    const accepted = [
      'ghcr.io/navikt/a:1',
      'GHCR.io/navikt/a-b/c__d.e:Tag_1',
      `ghcr.io/navikt/a@${digest}`,
      `ghcr.io/navikt/a:1@${digest}`,
      'europe-north1-docker.pkg.dev/knada-gcp/a/b:1',
    ];
    for (const image of accepted) {
      assert.ok(parseTeamImage(image, policy).ok, image);
      assert.match(image, form);
    }
    const parts = fc.constantFrom(
      'ghcr.io',
      'GHCR.IO',
      'navikt',
      'a',
      'B',
      '/',
      '/',
      ':',
      '@',
      digest,
      '.',
      '-',
      '1',
    );
    fc.assert(
      fc.property(fc.array(parts, { maxLength: 12 }), (some) => {
        const text = `ghcr.io/navikt/${some.join('')}`;
        if (parseTeamImage(text, policy).ok) assert.match(text, form);
      }),
      { numRuns: 2000 },
    );
    for (const image of ['ghcr.io/navikt/a', 'navikt/a:1', 'ghcr.io/navikt/A:1', 'ghcr.io/navikt/a:1\n']) {
      assert.doesNotMatch(image, form);
    }
  });
});
