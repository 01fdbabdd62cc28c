import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import fc from 'fast-check';
import { mebibytes } from '../../src/lib/quantity.ts';
import { defaultLimits, type Limits } from '../../src/model/limits.ts';
import type { NotebookImage, NotebookOrder, NotebookPatch, NotebookSpec } from '../../src/model/notebook.ts';
import { complete } from '../../src/model/notebook-fields.ts';
import { Problem } from '../../src/model/problems.ts';
import type { TeamRecord } from '../../src/model/record.ts';
import { changesBetween, planChange } from '../../src/notebooks/plan.ts';
import {
  deleteNotebook,
  notebookView,
  orderNotebook,
  refreshImage,
  retryNotebook,
} from '../../src/notebooks/rules.ts';
import { applyPatch, assertWithinBounds, boundsFaults, restoreSpec } from '../../src/notebooks/spec.ts';
import type { Decision } from '../../src/ports/store.ts';
import { mergePatch } from '../support/merge-patch.ts';
import { aMoment, aNotebook, anOrderedRecord, aRecord, aSpec } from '../support/records.ts';
import { anyCompleteSpec, anyLimitsAndOrder, anyOrder } from './orders.ts';

const later = '2026-11-23T10:00:00.000Z';
const act = { by: 'ola.nordmann@nav.no', now: later };

/** Every value that was given, with its path. */
const leaves = (value: unknown, path: readonly string[] = []): readonly (readonly [string, unknown])[] =>
  typeof value === 'object' && value !== null && !Array.isArray(value)
    ? Object.entries(value).flatMap(([name, inner]) => leaves(inner, [...path, name]))
    : [[`/${path.join('/')}`, value]];

const isProblem = (code: string) => (error: unknown) => error instanceof Problem && error.code === code;

describe('an order', () => {
  it('that is empty is completed with the documented defaults', () => {
    assert.deepEqual(complete({}, defaultLimits), {
      resources: { cpu: { guarantee: 0.2, limit: 0.5 }, memory: { guarantee: '1Gi', limit: '2Gi' } },
      image: null,
      standardEnvironments: true,
      culling: { timeoutSeconds: 3600, maxAgeSeconds: 604_800, keepBusyKernels: true },
      allowlist: { enabled: false, hosts: [] },
      storage: { home: '10Gi' },
      pip: { userInstallByDefault: false },
    } satisfies NotebookSpec);
  });

  const rows: readonly (readonly [string, NotebookOrder, string, unknown])[] = [
    [
      'a large guarantee raises the limit',
      { resources: { cpu: { guarantee: 4 } } },
      '/resources/cpu/limit',
      4,
    ],
    [
      'a small limit lowers the guarantee',
      { resources: { cpu: { limit: 0.1 } } },
      '/resources/cpu/guarantee',
      0.1,
    ],
    [
      'a large limit leaves the guarantee',
      { resources: { cpu: { limit: 8 } } },
      '/resources/cpu/guarantee',
      0.2,
    ],
    [
      'a large guarantee of memory raises the limit, in its own words',
      { resources: { memory: { guarantee: '4096Mi' } } },
      '/resources/memory/limit',
      '4096Mi',
    ],
    [
      'a small limit of memory lowers the guarantee',
      { resources: { memory: { limit: '0.5Gi' } } },
      '/resources/memory/guarantee',
      '0.5Gi',
    ],
    [
      'a long timeout leaves the age',
      { culling: { timeoutSeconds: 7200 } },
      '/culling/maxAgeSeconds',
      604_800,
    ],
    [
      'a short age shortens the timeout',
      { culling: { maxAgeSeconds: 1800 } },
      '/culling/timeoutSeconds',
      1800,
    ],
    ['a long age leaves the timeout', { culling: { maxAgeSeconds: 7200 } }, '/culling/timeoutSeconds', 3600],
  ];
  for (const [sentence, given, path, expected] of rows) {
    it(`${sentence}`, () => {
      assert.equal(new Map(leaves(complete(given, defaultLimits))).get(path), expected);
    });
  }

  it('with the longest timeout gets a maximum age that is at least as long', () => {
    const limits = { ...defaultLimits, timeoutMaxSeconds: 1_000_000 };
    const { culling } = complete({ culling: { timeoutSeconds: 1_000_000 } }, limits);
    assert.equal(culling.maxAgeSeconds, 1_000_000);
  });

  it('within the bounds is within them once completed, for any bounds and any omitted fields', () => {
    fc.assert(
      fc.property(anyLimitsAndOrder, ({ limits, order: given }) => {
        const spec = complete(given, limits);
        assert.deepEqual(boundsFaults(spec, limits), []);
        assert.doesNotThrow(() => assertWithinBounds(spec, limits));
        const { cpu, memory } = spec.resources;
        assert.ok(cpu.guarantee <= cpu.limit);
        assert.ok(mebibytes(memory.guarantee) <= mebibytes(memory.limit));
        assert.ok(spec.culling.timeoutSeconds <= spec.culling.maxAgeSeconds);
      }),
    );
  });

  it('keeps every given value', () => {
    fc.assert(
      fc.property(anyLimitsAndOrder, ({ limits, order: given }) => {
        const completed = new Map(leaves(complete(given, limits)));
        for (const [path, value] of leaves(given)) {
          if (completed.has(path)) assert.deepEqual(completed.get(path), value, path);
          // An empty section gives nothing.
          else assert.deepEqual(value, undefined, path);
        }
      }),
    );
  });

  it('is unchanged when completed twice', () => {
    fc.assert(
      fc.property(anyLimitsAndOrder, ({ limits, order: given }) => {
        const once = complete(given, limits);
        assert.deepEqual(complete(once, limits), once);
      }),
    );
  });
});

/** Any part of an order, where every value may be null instead. */
const anyPatch: fc.Arbitrary<NotebookPatch> = fc
  .tuple(anyOrder(defaultLimits), fc.infiniteStream(fc.nat(3)))
  .map(([given, dice]) => {
    const sprinkled = (value: unknown): unknown => {
      if (dice.next().value === 0) return null;
      if (typeof value !== 'object' || value === null || Array.isArray(value)) return value;
      return Object.fromEntries(Object.entries(value).map(([name, inner]) => [name, sprinkled(inner)]));
    };
    const entries = Object.entries(given).map(([name, value]) => [name, sprinkled(value)]);
    return Object.fromEntries(entries) as NotebookPatch;
  });

describe('a patch', () => {
  it('that is empty changes nothing', () => {
    fc.assert(
      fc.property(anyCompleteSpec, (spec) => assert.deepEqual(applyPatch(spec, {}, defaultLimits), spec)),
    );
  });

  it('is idempotent', () => {
    fc.assert(
      fc.property(anyCompleteSpec, anyPatch, (spec, patch) => {
        const once = applyPatch(spec, patch, defaultLimits);
        assert.deepEqual(applyPatch(once, patch, defaultLimits), once);
      }),
    );
  });

  it('is a JSON merge patch, with missing fields completed', () => {
    fc.assert(
      fc.property(anyCompleteSpec, anyPatch, (spec, patch) => {
        const expected = complete(mergePatch(spec, patch) as NotebookOrder, defaultLimits);
        assert.deepEqual(applyPatch(spec, patch, defaultLimits), expected);
      }),
    );
  });

  it('of one field keeps its siblings', () => {
    const spec = aSpec({ culling: { timeoutSeconds: 900, maxAgeSeconds: 9000, keepBusyKernels: false } });
    assert.deepEqual(applyPatch(spec, { culling: { timeoutSeconds: 1200 } }, defaultLimits), {
      ...spec,
      culling: { timeoutSeconds: 1200, maxAgeSeconds: 9000, keepBusyKernels: false },
    });
  });

  it('replaces a list as a whole', () => {
    const spec = aSpec({ allowlist: { enabled: true, hosts: ['a.no', 'b.no'] } });
    const { allowlist } = applyPatch(spec, { allowlist: { hosts: ['c.no'] } }, defaultLimits);
    assert.deepEqual(allowlist, { enabled: true, hosts: ['c.no'] });
  });

  const defaults = complete({}, defaultLimits);
  const odd = aSpec({
    resources: { cpu: { guarantee: 3, limit: 4 }, memory: { guarantee: '3Gi', limit: '5Gi' } },
    image: 'ghcr.io/navikt/a:1',
    culling: { timeoutSeconds: 900, maxAgeSeconds: 9000, keepBusyKernels: false },
    allowlist: { enabled: true, hosts: ['a.no'] },
    storage: { home: '20Gi' },
    pip: { userInstallByDefault: true },
  });
  const nulls: readonly (readonly [NotebookPatch, Partial<NotebookSpec>])[] = [
    [{ resources: null }, { resources: defaults.resources }],
    [
      { resources: { cpu: null } },
      { resources: { cpu: defaults.resources.cpu, memory: odd.resources.memory } },
    ],
    [
      { resources: { cpu: { limit: null } } },
      // Its sibling still asks for three cores.
      { resources: { ...odd.resources, cpu: { guarantee: 3, limit: 3 } } },
    ],
    [{ image: null }, { image: null }],
    [{ culling: null }, { culling: defaults.culling }],
    [{ culling: { keepBusyKernels: null } }, { culling: { ...odd.culling, keepBusyKernels: true } }],
    [{ allowlist: null }, { allowlist: defaults.allowlist }],
    [{ allowlist: { hosts: null } }, { allowlist: { enabled: true, hosts: [] } }],
    [{ storage: null }, { storage: defaults.storage }],
    [{ pip: { userInstallByDefault: null } }, { pip: defaults.pip }],
  ];
  for (const [patch, expected] of nulls) {
    it(`${JSON.stringify(patch)} resets to the default`, () => {
      assert.deepEqual(applyPatch(odd, patch, defaultLimits), { ...odd, ...expected });
    });
  }
});

describe('a restored revision', () => {
  it('keeps home volumes that have grown since, and restores everything else', () => {
    const earlier = aSpec({ image: 'ghcr.io/navikt/a:1', storage: { home: '5Gi' } });
    const present = aSpec({ storage: { home: '20Gi' } });
    assert.deepEqual(restoreSpec(earlier, present, defaultLimits), { ...earlier, storage: { home: '20Gi' } });
  });

  it('is unchanged if there is no notebook, or a smaller one', () => {
    const earlier = aSpec({ storage: { home: '5Gi' } });
    assert.deepEqual(restoreSpec(earlier, undefined, defaultLimits), earlier);
    assert.deepEqual(restoreSpec(earlier, aSpec({ storage: { home: '1Gi' } }), defaultLimits), earlier);
  });

  it('has the default of a field that did not exist then', () => {
    const { pip: _later, ...earlier } = aSpec();
    assert.deepEqual(restoreSpec(earlier as NotebookSpec, undefined, defaultLimits).pip, {
      userInstallByDefault: false,
    });
  });
});

const faultsOf = (given: unknown, limits: Limits = defaultLimits) =>
  boundsFaults(given, limits).map(({ pointer, code }) => `${pointer} ${code}`);

describe('the bounds', () => {
  const ok = aSpec();
  it('accept a usual configuration', () => assert.deepEqual(faultsOf(ok), []));

  const rows: readonly (readonly [unknown, readonly string[]])[] = [
    [{ resources: { cpu: { guarantee: 0.099, limit: 1 } } }, ['/resources/cpu/guarantee out_of_range']],
    [{ resources: { cpu: { limit: 16.5 } } }, ['/resources/cpu/limit out_of_range']],
    [{ resources: { cpu: { guarantee: 2, limit: 1 } } }, ['/resources/cpu/guarantee above_limit']],
    [{ resources: { memory: { guarantee: '255.9Mi' } } }, ['/resources/memory/guarantee out_of_range']],
    [{ resources: { memory: { limit: '129Gi' } } }, ['/resources/memory/limit out_of_range']],
    [
      { resources: { memory: { guarantee: '2Gi', limit: '2047Mi' } } },
      ['/resources/memory/guarantee above_limit'],
    ],
    [{ culling: { timeoutSeconds: 599 } }, ['/culling/timeoutSeconds out_of_range']],
    [{ culling: { timeoutSeconds: 604_801 } }, ['/culling/timeoutSeconds out_of_range']],
    [{ culling: { maxAgeSeconds: 599 } }, ['/culling/maxAgeSeconds out_of_range']],
    [{ culling: { maxAgeSeconds: 2_592_001 } }, ['/culling/maxAgeSeconds out_of_range']],
    [{ culling: { timeoutSeconds: 7200, maxAgeSeconds: 3600 } }, ['/culling/maxAgeSeconds below_timeout']],
    [{ storage: { home: '1023Mi' } }, ['/storage/home out_of_range']],
    [{ storage: { home: '1024.5Gi' } }, ['/storage/home out_of_range']],
    // One fault per field: the first thing wrong with it.
    [{ resources: { cpu: { guarantee: 20, limit: 1 } } }, ['/resources/cpu/guarantee out_of_range']],
    [{ culling: { timeoutSeconds: 7200, maxAgeSeconds: 60 } }, ['/culling/maxAgeSeconds out_of_range']],
    // At the bound is within it.
    [{ resources: { cpu: { guarantee: 0.1, limit: 16 } } }, []],
    [{ resources: { memory: { guarantee: '256Mi', limit: '128Gi' } } }, []],
    [{ culling: { timeoutSeconds: 604_800, maxAgeSeconds: 2_592_000 } }, []],
    [{ storage: { home: '1048576Mi' } }, []],
  ];
  for (const [given, expected] of rows) {
    it(`${JSON.stringify(given)}: ${expected.join(', ') || 'within'}`, () => {
      assert.deepEqual(faultsOf(given), expected);
    });
  }

  it('report every violation at once, each with its pointer', () => {
    const breaches = [
      ['/resources/cpu/guarantee', { resources: { cpu: { guarantee: 0 } } }],
      ['/resources/cpu/limit', { resources: { cpu: { limit: 99 } } }],
      ['/resources/memory/guarantee', { resources: { memory: { guarantee: '1Mi' } } }],
      ['/resources/memory/limit', { resources: { memory: { limit: '999Gi' } } }],
      ['/culling/timeoutSeconds', { culling: { timeoutSeconds: 1 } }],
      ['/culling/maxAgeSeconds', { culling: { maxAgeSeconds: 9_999_999 } }],
      ['/storage/home', { storage: { home: '9999Gi' } }],
    ] as const;
    fc.assert(
      fc.property(fc.subarray([...breaches]), (some) => {
        const given = some.reduce<unknown>((whole, [, part]) => mergePatch(whole, part), {});
        const pointers = boundsFaults(given, defaultLimits).map(({ pointer }) => pointer);
        assert.deepEqual(
          pointers,
          some.map(([pointer]) => pointer),
        );
      }),
    );
  });

  it('give the valid values in readable units', () => {
    const [cpu, home] = boundsFaults(
      { resources: { cpu: { limit: 99 } }, storage: { home: '1Mi' } },
      defaultLimits,
    );
    assert.equal(cpu?.message, 'Must be 0.1 to 16 cores.');
    assert.equal(home?.message, 'Must be 1Gi to 1024Gi.');
  });

  it('ignore values of the wrong type, which the schema reports', () => {
    for (const wrong of [null, [], 'text', 7, true, { guarantee: 'x', limit: [] }]) {
      const given = {
        resources: { cpu: wrong, memory: wrong },
        culling: wrong,
        storage: wrong,
        allowlist: wrong,
      };
      assert.deepEqual(faultsOf(given), []);
      assert.deepEqual(faultsOf(wrong), []);
    }
    assert.deepEqual(faultsOf({ storage: { home: '5 Gi' } }), []);
    fc.assert(fc.property(fc.jsonValue(), (given) => assert.ok(Array.isArray(faultsOf(given)))));
  });
});

describe('a configuration that offers nothing', () => {
  it('is a fault: without an image, the standard environments cannot be switched off', () => {
    assert.throws(
      () => assertWithinBounds(aSpec({ standardEnvironments: false }), defaultLimits),
      (error) =>
        error instanceof Problem &&
        error.errors?.[0]?.pointer === '/standardEnvironments' &&
        error.errors[0].code === 'image_needed',
    );
    const own = aSpec({ standardEnvironments: false, image: 'ghcr.io/navikt/a:1' });
    assert.doesNotThrow(() => assertWithinBounds(own, defaultLimits));
  });
});

describe('a plan', () => {
  const base = aSpec();
  const rows: readonly (readonly [Partial<NotebookSpec>, readonly string[], string])[] = [
    [{}, [], 'unaffected'],
    [{ image: 'ghcr.io/navikt/a:1' }, ['/image'], 'next_start'],
    [{ storage: { home: '20Gi' } }, ['/storage/home'], 'unaffected'],
    [{ pip: { userInstallByDefault: false } }, ['/pip/userInstallByDefault'], 'next_start'],
    [
      { resources: { ...base.resources, cpu: { guarantee: 1, limit: 2 } } },
      ['/resources/cpu/guarantee', '/resources/cpu/limit'],
      'next_start',
    ],
    [{ culling: { ...base.culling, timeoutSeconds: 900 } }, ['/culling/timeoutSeconds'], 'now'],
    [{ allowlist: { enabled: true, hosts: [] } }, ['/allowlist/enabled'], 'now'],
    [{ allowlist: { enabled: false, hosts: ['a.no'] } }, ['/allowlist/hosts'], 'now'],
    [
      { image: 'ghcr.io/navikt/a:1', allowlist: { enabled: true, hosts: ['a.no'] } },
      ['/image', '/allowlist/enabled', '/allowlist/hosts'],
      'now',
    ],
  ];
  for (const [change, paths, runningServers] of rows) {
    it(`${JSON.stringify(change)} reaches running servers: ${runningServers}`, () => {
      const plan = planChange(base, { ...base, ...change });
      assert.deepEqual(
        plan.changes.map(({ pointer }) => pointer),
        paths,
      );
      assert.equal(plan.runningServers, runningServers);
      assert.equal(plan.restartsHub, false);
    });
  }

  it('of a first order lists the whole configuration, and affects no running server', () => {
    const plan = planChange(null, base);
    assert.deepEqual(plan.changes, [{ pointer: '', from: null, to: base, takesEffect: 'next_start' }]);
    assert.equal(plan.runningServers, 'unaffected');
  });

  it('gives for each change of a mixed patch when it takes effect', () => {
    const { changes, runningServers } = planChange(base, {
      ...base,
      image: 'ghcr.io/navikt/a:1',
      culling: { ...base.culling, timeoutSeconds: 900 },
      storage: { home: '20Gi' },
    });
    assert.deepEqual(
      changes.map(({ pointer, takesEffect }) => [pointer, takesEffect]),
      [
        ['/image', 'next_start'],
        ['/culling/timeoutSeconds', 'immediately'],
        ['/storage/home', 'new_homes'],
      ],
    );
    assert.equal(runningServers, 'now');
  });

  it('is empty exactly when nothing differs, and its changes turn one spec into the other', () => {
    fc.assert(
      fc.property(anyCompleteSpec, anyCompleteSpec, fc.boolean(), (from, other, same) => {
        const to = same ? structuredClone(from) : other;
        const changes = changesBetween(from, to);
        const before = new Map(leaves(from));
        const after = new Map(leaves(to));
        for (const change of changes) {
          assert.deepEqual(change.from, before.get(change.pointer));
          before.set(change.pointer, change.to);
        }
        assert.deepEqual(before, after);
        const paths = changes.map(({ pointer }) => pointer);
        assert.equal(new Set(paths).size, paths.length);
        if (same) assert.deepEqual(changes, []);
      }),
    );
  });

  it('has null for a value that was or will be absent', () => {
    assert.deepEqual(changesBetween({ a: 1 }, { b: [2] }), [
      { pointer: '/a', from: 1, to: null },
      { pointer: '/b', from: null, to: [2] },
    ]);
  });
});

const image = (hex: string): NotebookImage => ({
  reference: 'ghcr.io/navikt/a:1',
  digest: `sha256:${hex.repeat(64)}`,
  resolvedAt: aMoment,
  newerDigest: null,
});
const release = { platformHash: 'platform-2', spec: { interval: '30m' } };
const ordering = (spec: NotebookSpec, resolved: NotebookImage | null = null) => ({
  spec,
  image: resolved,
  release,
});
const deletion = { requestedAt: aMoment, deleteHomes: false };
const ready: TeamRecord = anOrderedRecord({
  status: { phase: 'Ready', conditions: [], appliedGeneration: 2, appliedRevision: 1, wasReady: true },
  statusVersion: 5,
  reconcile: { dueAt: aMoment, failures: 3 },
});

describe('ordering a notebook', () => {
  it('for the first time makes the team Pending and due, with a release of its own', () => {
    const decision = orderNotebook(aRecord(), ordering(aSpec()), act, 'notebook_ordered');
    assert.deepEqual(decision?.next, {
      ...aRecord(),
      updatedAt: later,
      generation: 2,
      notebookRevision: 1,
      notebook: {
        spec: aSpec(),
        image: null,
        imageGeneration: 0,
        createdAt: later,
        updatedAt: later,
        updatedBy: act.by,
        deletion: null,
        retry: null,
      },
      release,
      status: { ...aRecord().status, phase: 'Pending' },
      statusVersion: 1,
      reconcile: { dueAt: later, failures: 0 },
      // Its servers are looked after from the next pass on.
      culling: { dueAt: later, servers: {} },
    } satisfies TeamRecord);
    assert.deepEqual(decision?.event, {
      at: later,
      by: act.by,
      action: 'notebook_ordered',
      revision: 1,
      changes: [{ pointer: '', from: null, to: aSpec() }],
      spec: aSpec(),
    });
  });

  it('again, with another Cull Timeout, makes the next culling run check the servers; no other change does', () => {
    const team = {
      ...ready,
      notebook: aNotebook(),
      culling: { dueAt: '2026-11-23T23:00:00.000Z', servers: {} },
    };
    const { culling } = aSpec();
    const shorter = aSpec({ culling: { ...culling, timeoutSeconds: 1800 } });
    const larger = aSpec({ storage: { home: '20Gi' } });
    const dueAt = (spec: NotebookSpec) =>
      orderNotebook(team, ordering(spec), act, 'notebook_changed')?.next.culling.dueAt;
    assert.equal(dueAt(shorter), later);
    assert.equal(dueAt(larger), '2026-11-23T23:00:00.000Z');
  });

  it('again, changed, keeps the release, the date of the first order and the requests to Flux', () => {
    const asked = { at: aMoment, force: true };
    const team = { ...ready, notebook: aNotebook({ retry: asked }) };
    const spec = aSpec({ storage: { home: '20Gi' } });
    const decision = orderNotebook(team, ordering(spec), act, 'notebook_changed');
    assert.equal(decision?.next.release, ready.release);
    assert.equal(decision?.next.notebook?.createdAt, aMoment);
    assert.deepEqual(decision?.next.notebook?.retry, asked);
    assert.equal(decision?.next.notebookRevision, 2);
    assert.equal(decision?.next.revision, 1, 'the team itself is as it was');
    assert.equal(decision?.next.status.phase, 'Applying');
    assert.equal(decision?.next.status.wasReady, true);
    assert.deepEqual(decision?.event?.changes, [{ pointer: '/storage/home', from: '10Gi', to: '20Gi' }]);
  });

  it('unchanged writes nothing', () => {
    assert.equal(orderNotebook(ready, ordering(aSpec()), act, 'notebook_changed'), undefined);
    const pinned = { ...ready, notebook: aNotebook({ image: image('a') }) };
    assert.equal(orderNotebook(pinned, ordering(aSpec(), image('a')), act, 'notebook_changed'), undefined);
  });

  it('again, unchanged, uses the newer image if the tag has moved', () => {
    const pinned = { ...ready, notebook: aNotebook({ image: image('a') }) };
    const decision = orderNotebook(pinned, ordering(aSpec(), image('b')), act, 'notebook_changed');
    assert.deepEqual(decision?.next.notebook?.image, image('b'));
    assert.equal(decision?.next.notebookRevision, 2);
  });

  it('an order of another image is the generation from which choices of profile count', () => {
    const one = 'ghcr.io/navikt/a:1';
    const { resources } = aSpec();
    const more = { resources: { ...resources, cpu: { guarantee: 1, limit: 2 } } };
    const had = (reference: string | null, imageGeneration: number): TeamRecord => ({
      ...ready,
      notebook: aNotebook({
        spec: aSpec({ image: reference }),
        image: reference === null ? null : image('a'),
        imageGeneration,
      }),
    });
    const next = ready.generation + 1;
    for (const [what, team, spec, expected] of [
      ['a first order without an image', aRecord(), {}, 0],
      ['a first order with one', aRecord(), { image: one }, aRecord().generation + 1],
      ['the first image', had(null, 0), { image: one }, next],
      ['another tag', had(one, 1), { image: 'ghcr.io/navikt/a:2' }, next],
      ['more memory', had(one, 1), { image: one, ...more }, 1],
      ['the same image in other words', had('GHCR.io/navikt/a:1', 1), { image: one, ...more }, 1],
      ['no image any more', had(one, 1), { image: null }, 1],
      ['the same image again after none', had(null, 1), { image: one }, next],
    ] as const) {
      const pinned = 'image' in spec && spec.image !== null ? image('a') : null;
      const decision = orderNotebook(team, ordering(aSpec(spec), pinned), act, 'notebook_changed');
      assert.equal(decision?.next.notebook?.imageGeneration, expected, what);
    }
    const refreshed = refreshImage(had(one, 1), { ...image('b'), reference: one }, act);
    assert.equal(refreshed?.next.notebook?.imageGeneration, 1, 'a newer digest is no other image');
  });

  it('an order after a deletion continues the revision count, and has not been Ready', () => {
    const emptied = { ...ready, notebook: null, release: null, notebookRevision: 7 };
    const decision = orderNotebook(emptied, ordering(aSpec()), act, 'notebook_ordered');
    assert.equal(decision?.next.notebookRevision, 8);
    assert.equal(decision?.next.status.wasReady, false);
    assert.equal(decision?.next.status.phase, 'Pending');
  });

  it('with smaller homes is refused, and with the same size in another unit accepted', () => {
    assert.throws(
      () => orderNotebook(ready, ordering(aSpec({ storage: { home: '9.99Gi' } })), act, 'notebook_changed'),
      (error) =>
        error instanceof Problem &&
        error.code === 'cannot_shrink' &&
        error.errors?.[0]?.pointer === '/storage/home',
    );
    assert.ok(
      orderNotebook(ready, ordering(aSpec({ storage: { home: '10240Mi' } })), act, 'notebook_changed'),
    );
  });

  it('an order is refused while the notebook or its team is being deleted', () => {
    for (const team of [
      { ...ready, notebook: aNotebook({ deletion }) },
      { ...ready, deletion: { ...deletion, deleteSecret: false } },
      { ...aRecord(), deletion: { ...deletion, deleteSecret: false } },
    ]) {
      assert.throws(
        () => orderNotebook(team, ordering(aSpec()), act, 'notebook_changed'),
        isProblem('deleting'),
      );
      assert.throws(() => retryNotebook(team, false, act), isProblem('deleting'));
    }
  });
});

describe('deleting a notebook', () => {
  const leaving = (deleteHomes: boolean): TeamRecord => ({
    ...ready,
    notebook: aNotebook({ deletion: { requestedAt: aMoment, deleteHomes } }),
  });

  it('marks it, and keeps spec and release until it is gone', () => {
    const decision = deleteNotebook(ready, { deleteHomes: false }, act);
    assert.deepEqual(decision?.next.notebook?.deletion, { requestedAt: later, deleteHomes: false });
    assert.deepEqual(decision?.next.notebook?.spec, ready.notebook?.spec);
    assert.equal(decision?.next.release, ready.release);
    assert.equal(decision?.next.status.phase, 'Deleting');
    assert.deepEqual(decision?.next.reconcile, { dueAt: later, failures: 0 });
  });

  const rows: readonly (readonly [boolean, boolean, TeamRecordDeletion])[] = [
    [false, false, undefined],
    [false, true, { requestedAt: later, deleteHomes: true }],
    // What was asked for is not taken back.
    [true, false, undefined],
    // The homes that there are by now.
    [true, true, { requestedAt: later, deleteHomes: true }],
  ];
  for (const [before, asked, expected] of rows) {
    it(`again: homes ${before ? 'being deleted' : 'kept'}, ${asked ? 'deletion requested' : 'not requested'}: ${expected ? 'written' : 'nothing'}`, () => {
      const decision = deleteNotebook(leaving(before), { deleteHomes: asked }, act);
      assert.deepEqual(decision?.next.notebook?.deletion, expected);
    });
  }

  it('again changes nothing, for any field order of the stored record', () => {
    const team = {
      ...ready,
      notebook: aNotebook({ deletion: { deleteHomes: false, requestedAt: aMoment } }),
    };
    assert.equal(deleteNotebook(team, { deleteHomes: false }, act), undefined);
  });

  it('changes nothing if there is none, or if the whole team is being deleted', () => {
    assert.equal(deleteNotebook(aRecord(), { deleteHomes: true }, act), undefined);
    const team = { ...ready, deletion: { ...deletion, deleteSecret: false } };
    assert.equal(deleteNotebook(team, { deleteHomes: true }, act), undefined);
  });
});
type TeamRecordDeletion = { requestedAt: string; deleteHomes: boolean } | undefined;

describe('a retry', () => {
  it('reaches Flux with the time of its request, and is not a new revision', () => {
    const { next, event } = retryNotebook(ready, true, act);
    assert.deepEqual(next.notebook?.retry, { at: later, force: true });
    assert.equal(next.generation, ready.generation + 1);
    assert.equal(next.notebookRevision, ready.notebookRevision);
    assert.equal(next.status.phase, 'Applying');
    assert.deepEqual(next.reconcile, { dueAt: later, failures: 0 });
    assert.equal(event?.revision, null);
  });

  it('requires a notebook', () =>
    assert.throws(() => retryNotebook(aRecord(), false, act), isProblem('notebook_not_ordered')));
});

describe('any sequence of requests for a notebook', () => {
  type Ask = (team: TeamRecord, now: string) => Decision | undefined;
  const anyAsk: fc.Arbitrary<Ask> = fc.oneof(
    fc
      .constantFrom(aSpec(), aSpec({ image: 'ghcr.io/navikt/a:1' }), aSpec({ storage: { home: '20Gi' } }))
      .map(
        (spec): Ask =>
          (team, now) =>
            orderNotebook(team, ordering(spec), { by: act.by, now }, 'notebook_changed'),
      ),
    fc.boolean().map(
      (deleteHomes): Ask =>
        (team, now) =>
          deleteNotebook(team, { deleteHomes }, { by: act.by, now }),
    ),
    fc.boolean().map(
      (force): Ask =>
        (team, now) =>
          retryNotebook(team, force, { by: act.by, now }),
    ),
    // The teardown came to its end.
    fc.constant<Ask>((team) =>
      team.notebook?.deletion
        ? { next: { ...team, notebook: null, release: null, generation: team.generation + 1 } }
        : undefined,
    ),
  );

  it('only increases the revision, and writes exactly when something changes', () => {
    fc.assert(
      fc.property(fc.array(anyAsk, { maxLength: 12 }), (asks) => {
        let team = aRecord();
        for (const [index, ask] of asks.entries()) {
          const now = new Date(Date.parse(aMoment) + (index + 1) * 1000).toISOString();
          const before = structuredClone(team);
          let decision: Decision | undefined;
          try {
            decision = ask(team, now);
          } catch (error) {
            assert.ok(error instanceof Problem, String(error));
          }
          assert.deepEqual(team, before, 'a decision leaves what it was made about alone');
          if (decision === undefined) continue;
          const { next, event } = decision;
          assert.deepEqual(JSON.parse(JSON.stringify(next)), next, 'is plain JSON');
          assert.equal(next.generation, team.generation + 1);
          assert.ok(next.revision >= team.revision);
          const isNewRevision = event !== undefined && event.revision !== null;
          assert.equal(next.notebookRevision, team.notebookRevision + (isNewRevision ? 1 : 0));
          if (event !== undefined) {
            assert.equal(event.at, now);
            assert.equal(next.statusVersion, team.statusVersion + 1);
            assert.deepEqual(next.reconcile, { dueAt: now, failures: 0 });
            if (isNewRevision) assert.equal(event.revision, next.notebookRevision);
          }
          team = next;
        }
      }),
    );
  });
});

describe('a notebook as clients see it', () => {
  const url = 'https://team-a.jupyter.knada.io';
  it('is undefined when none is ordered', () => assert.equal(notebookView(aRecord()), undefined));

  it('the view shows the order, and the revision that the cluster has', () => {
    assert.deepEqual(notebookView(ready), {
      spec: aSpec(),
      status: { phase: 'Ready', conditions: [], url, observedRevision: 1 },
      revision: 1,
      createdAt: aMoment,
      updatedAt: aMoment,
      updatedBy: 'kari.nordmann@nav.no',
    });
  });

  it('shows the pinned image where there is one', () => {
    const team = { ...ready, notebook: aNotebook({ image: image('a') }) };
    assert.deepEqual(notebookView(team)?.status.image, image('a'));
  });

  it('the view is Deleting while the notebook or its team is being deleted, at any status', () => {
    const going = { ...ready, notebook: aNotebook({ deletion }) };
    assert.equal(notebookView(going)?.status.phase, 'Deleting');
    const team = { ...ready, deletion: { ...deletion, deleteSecret: false } };
    assert.equal(notebookView(team)?.status.phase, 'Deleting');
  });
});
