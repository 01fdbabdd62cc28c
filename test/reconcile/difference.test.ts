import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import fc from 'fast-check';
import type { Manifest } from '../../src/ports/cluster.ts';
import { differs, foreignContent } from '../../src/reconcile/difference.ts';
import { mergePatch } from '../support/merge-patch.ts';

type Content = Pick<Manifest, 'data' | 'spec'>;
const configMap = (data: Readonly<Record<string, string>>): Manifest => ({
  apiVersion: 'v1',
  kind: 'ConfigMap',
  metadata: { name: 'notebook-profiles', labels: { 'knada.io/team-id': 'team-a-3f9c' } },
  data,
});
const helmRelease = (spec: Readonly<Record<string, unknown>>): Manifest => ({
  apiVersion: 'helm.toolkit.fluxcd.io/v2',
  kind: 'HelmRelease',
  metadata: { name: 'jupyterhub' },
  spec,
});
const policy = (spec: unknown): Manifest => ({
  apiVersion: 'networking.k8s.io/v1',
  kind: 'NetworkPolicy',
  metadata: { name: 'notebook-egress-open' },
  spec,
});

describe('whether an apply would change anything', () => {
  const wanted = helmRelease({
    interval: '30m',
    values: { hub: { db: { pvc: null }, list: [1, { a: 1 }] } },
  });
  const rows: readonly (readonly [string, unknown, boolean])[] = [
    ['as wanted: no', wanted.spec, false],
    ['with a default of the API server’s added: no', { ...Object(wanted.spec), driftDetection: {} }, false],
    ['a value changed: yes', mergePatch(wanted.spec, { interval: '5m' }), true],
    ['a value gone: yes', mergePatch(wanted.spec, { interval: null }), true],
    ['a mapping that became a text: yes', mergePatch(wanted.spec, { values: 'x' }), true],
    ['a list that grew: yes', mergePatch(wanted.spec, { values: { hub: { list: [1, { a: 1 }, 2] } } }), true],
    [
      'a list in another order: yes',
      mergePatch(wanted.spec, { values: { hub: { list: [{ a: 1 }, 1] } } }),
      true,
    ],
    [
      'an item of a list with one thing more: yes',
      mergePatch(wanted.spec, { values: { hub: { list: [1, { a: 1, b: 2 }] } } }),
      true,
    ],
    ['nothing there: yes', undefined, true],
  ];
  for (const [sentence, spec, expected] of rows) {
    it(sentence, () => assert.equal(differs({ ...wanted, spec }, wanted), expected));
  }

  it('compares our labels and annotations, not those of others', () => {
    const ours = configMap({});
    const labelled = (labels: Readonly<Record<string, string>>): Manifest => ({
      ...ours,
      metadata: { ...ours.metadata, uid: 'x', resourceVersion: '7', labels },
    });
    assert.equal(differs(labelled({ ...ours.metadata.labels, team: 'x' }), ours), false);
    assert.equal(differs(labelled({ team: 'x' }), ours), true);
  });
});

describe('foreign content of an object', () => {
  const rows: readonly (readonly [string, Manifest, Manifest, unknown])[] = [
    ['nothing', configMap({ a: '1' }), configMap({ a: '1' }), undefined],
    ['a key of a ConfigMap', configMap({ a: '1', b: '2' }), configMap({ a: '1' }), { data: { b: null } }],
    ['a changed key is not: an apply mends that', configMap({ a: '2' }), configMap({ a: '1' }), undefined],
    [
      'a chart value, however deep',
      helmRelease({ values: { hub: { db: { type: 'x' }, image: 'ours' } } }),
      helmRelease({ values: { hub: { image: 'ours' } } }),
      { spec: { values: { hub: { db: null } } } },
    ],
    [
      'values from elsewhere',
      helmRelease({ values: {}, valuesFrom: [{ kind: 'Secret', name: 'x' }] }),
      helmRelease({ values: {} }),
      { spec: { valuesFrom: null } },
    ],
    [
      'a default in the rest of a HelmRelease is not',
      helmRelease({ values: {}, suspend: false }),
      helmRelease({ values: {} }),
      undefined,
    ],
    [
      'a key that every JavaScript object seems to have',
      configMap({ constructor: '1', toString: '2' }),
      configMap({}),
      { data: { constructor: null, toString: null } },
    ],
    [
      'a selector of a network policy, which then lets go of pods',
      policy({ podSelector: { matchLabels: { component: 'singleuser-server', other: 'x' } } }),
      policy({ podSelector: { matchLabels: { component: 'singleuser-server' } } }),
      { spec: { podSelector: { matchLabels: { other: null } } } },
    ],
  ];
  for (const [sentence, actual, wanted, expected] of rows) {
    it(sentence, () => assert.deepEqual(foreignContent(actual, wanted), expected));
  }

  const names = fc.constantFrom('a', 'b', 'c', 'constructor', '__proto__', 'toString', 'valuesFrom');
  const anyValue = fc.letrec<{ value: unknown }>((tie) => ({
    value: fc.oneof(
      { depthSize: 'small', withCrossShrink: true },
      fc.constantFrom('x', 1, true),
      fc.array(tie('value'), { maxLength: 2 }),
      fc.dictionary(names, tie('value'), { maxKeys: 3, noNullPrototype: true }),
    ),
  })).value;
  const anyMap = fc.dictionary(names, anyValue, { maxKeys: 3, noNullPrototype: true });
  const anyTexts = fc.dictionary(names, fc.constantFrom('x', 'y'), { maxKeys: 3, noNullPrototype: true });
  const anyPair: fc.Arbitrary<readonly [Content, Content]> = fc.oneof(
    fc.tuple(
      anyTexts.map((data) => ({ data })),
      anyTexts.map((data) => ({ data })),
    ),
    fc.tuple(
      fc.tuple(anyMap, fc.boolean()).map(([values, from]) => ({
        spec: { values, ...(from ? { valuesFrom: [{ kind: 'Secret' }] } : {}) },
      })),
      anyMap.map((values) => ({ spec: { values } })),
    ),
  );

  /** Server-side apply, forced: our fields as we say, others’ left alone, lists as a whole. */
  const applied = (actual: Content, wanted: Content): Content => Object(mergePatch(actual, wanted));

  it('is removed by the patch, which leaves what we want', () => {
    fc.assert(
      fc.property(anyPair, ([found, want]) => {
        const base = {
          apiVersion: 'helm.toolkit.fluxcd.io/v2',
          kind: 'HelmRelease',
          metadata: { name: 'x' },
        };
        const wanted: Manifest = { ...base, ...want };
        let actual: Manifest = { ...base, ...found };
        // The order in which reconcile works.
        if (differs(actual, wanted)) actual = { ...base, ...applied(actual, want) };
        assert.equal(differs(actual, wanted), false);
        const patch = foreignContent(actual, wanted);
        if (patch !== undefined) actual = { ...base, ...Object(mergePatch(actual, patch)) };
        assert.equal(foreignContent(actual, wanted), undefined);
        assert.equal(differs(actual, wanted), false);
        assert.deepEqual(actual, wanted);
      }),
    );
  });
});
