import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import fc from 'fast-check';
import { Check } from 'typebox/value';
import {
  driversOf,
  type EnvironmentFacts,
  environments,
  type StandardCandidate,
} from '../../src/environments/environment.ts';
import { jupyterSnapshot } from '../../src/environments/jupyter.ts';
import { pythonVersions, releaseCycleSnapshot } from '../../src/environments/python.ts';
import { knadaImages } from '../../src/environments/standard-images.ts';
import { StandardImage } from '../../src/model/environment.ts';

const now = Date.parse('2026-11-23T09:00:00Z');
const digest = `sha256:${'a'.repeat(64)}`;

function candidate(python: string, changes: Partial<StandardCandidate> = {}): StandardCandidate {
  return {
    repository: 'ghcr.io/navikt/knada-images/jupyter',
    python,
    tag: `20261116-120000-${python}`,
    digest,
    builtAt: '2026-11-16T12:00:00.000Z',
    drivers: [],
    ...changes,
  };
}

const ok: EnvironmentFacts = {
  candidates: [candidate('3.11'), candidate('3.12'), candidate('3.13')],
  cycle: releaseCycleSnapshot.cycle,
  jupyter: {
    '3.11': '2024-10-23T00:00:00.000Z',
    '3.12': '2025-08-15T00:00:00.000Z',
    '3.13': '2026-11-16T03:00:00.000Z',
  },
  now,
};

function offered(changes: Partial<EnvironmentFacts> = {}) {
  return environments({ ...ok, ...changes }).items.map(({ python }) => python);
}

function gaps(changes: Partial<EnvironmentFacts> = {}) {
  return Object.fromEntries(
    environments({ ...ok, ...changes }).gaps.map(({ python, reason }) => [python, reason]),
  );
}

function chosen(changes: Partial<EnvironmentFacts> = {}) {
  return environments({ ...ok, ...changes })
    .items.filter((item) => item.default)
    .map(({ python }) => python);
}

describe('the environments', () => {
  it('are one image per Python that is maintained, supported by Jupyter and built, the highest first', () => {
    assert.deepEqual(offered(), ['3.13', '3.12', '3.11']);
  });

  it('have the fields that a user chooses by', () => {
    const built = candidate('3.11', {
      tag: '20251124-120000-3.11',
      builtAt: '2025-11-24T12:00:00.000Z',
      drivers: [{ name: 'TDV', included: false, source: 'the Dockerfile', from: '2023-11-15' }],
    });
    assert.deepEqual(environments({ ...ok, candidates: [built] }).items, [
      {
        python: '3.11',
        image: 'ghcr.io/navikt/knada-images/jupyter:20251124-120000-3.11',
        tag: '20251124-120000-3.11',
        digest,
        drivers: [{ name: 'TDV', included: false, source: 'the Dockerfile' }],
        endOfLife: '2027-10-31',
        pythonStatus: 'security',
        jupyterMaintained: false,
        builtAt: '2025-11-24T12:00:00.000Z',
        stale: true,
        default: true,
      },
    ]);
  });

  it('are 3.11 only, with the images of NADA and Jupyter of November 2026', () => {
    const { items, gaps } = environments({
      candidates: ['3.8', '3.9', '3.10', '3.11'].map((python) => candidate(python)),
      cycle: releaseCycleSnapshot.cycle,
      jupyter: jupyterSnapshot.tags,
      now,
    });
    assert.deepEqual(
      items.map(({ python }) => python),
      ['3.11'],
    );
    assert.deepEqual(
      gaps.map(({ python, reason }) => [python, reason]),
      [
        ['3.15', 'no_jupyter_tag'],
        ['3.14', 'no_jupyter_tag'],
        ['3.13', 'no_standard_image'],
        ['3.12', 'no_standard_image'],
        ['3.10', 'end_of_life'],
        ['3.9', 'end_of_life'],
        ['3.8', 'end_of_life'],
      ],
    );
  });

  it('leave out a version after its last day', () => {
    const changes = { candidates: [candidate('3.10')], jupyter: { '3.10': null } };
    assert.deepEqual(offered({ ...changes, now: Date.parse('2026-10-31T23:59:00Z') }), ['3.10']);
    assert.deepEqual(offered(changes), []);
    assert.equal(gaps(changes)['3.10'], 'end_of_life');
  });

  it('leave out a version before its release', () => {
    const changes = { candidates: [candidate('3.16')], jupyter: { '3.16': null } };
    assert.deepEqual(offered(changes), []);
    assert.equal(gaps(changes)['3.16'], 'not_released');
  });

  it('leave out a version without a Jupyter tag', () => {
    const { '3.13': _, ...jupyter } = ok.jupyter;
    assert.deepEqual(offered({ jupyter }), ['3.12', '3.11']);
    assert.equal(gaps({ jupyter })['3.13'], 'no_jupyter_tag');
  });

  it('leave out an unknown version', () => {
    assert.equal(gaps({ candidates: [candidate('3.99')] })['3.99'], 'unknown_python');
  });

  it('do not mention past versions that were never offered', () => {
    assert.equal(gaps()['2.7'], undefined);
    assert.equal(gaps()['3.16'], undefined);
  });

  it('use the newest of several images, and the first configured of equally new ones', () => {
    const older = candidate('3.13', { digest: 'older', builtAt: '2026-11-01T00:00:00.000Z' });
    const first = candidate('3.13', { digest: 'first' });
    const second = candidate('3.13', { digest: 'second' });
    assert.equal(environments({ ...ok, candidates: [older, first, second] }).items[0]?.digest, 'first');
  });

  it('treat an image that was pushed again as fresh', () => {
    const pushedAgain = candidate('3.13', {
      builtAt: '2026-01-01T00:00:00.000Z',
      pushedAt: '2026-11-20T00:00:00.000Z',
    });
    assert.equal(environments({ ...ok, candidates: [pushedAgain] }).items[0]?.stale, false);
  });

  it('are stale after the days that the platform configures', () => {
    const stale = (staleAfterDays: number) => environments({ ...ok, staleAfterDays }).items[0]?.stale;
    assert.equal(stale(7), false);
    assert.equal(stale(6), true);
  });

  it('default to the highest version that is maintained and fresh', () => {
    const maintained = {
      '3.11': '2026-11-20T00:00:00.000Z',
      '3.12': '2026-11-20T00:00:00.000Z',
      '3.13': '2025-01-01T00:00:00.000Z',
    };
    const staleBuild = candidate('3.12', { builtAt: '2025-01-01T00:00:00.000Z' });
    assert.deepEqual(chosen(), ['3.13']);
    assert.deepEqual(chosen({ jupyter: maintained }), ['3.12']);
    assert.deepEqual(
      chosen({ jupyter: maintained, candidates: [candidate('3.11'), staleBuild, candidate('3.13')] }),
      ['3.11'],
    );
    assert.deepEqual(chosen({ jupyter: maintained, candidates: [staleBuild, candidate('3.13')] }), ['3.12']);
    assert.deepEqual(chosen({ jupyter: { '3.11': null, '3.12': null } }), ['3.12']);
  });

  it('cover each version once, as an item or as a gap, with one default if there is an item', () => {
    const pythons = ['3.8', '3.10', '3.11', '3.12', '3.13', '3.14', '3.15', '3.16', '3.99'];
    const modified = fc.option(fc.constantFrom('2024-01-01T00:00:00.000Z', '2026-11-20T00:00:00.000Z'));
    fc.assert(
      fc.property(
        fc.subarray(pythons),
        fc.dictionary(fc.constantFrom(...pythons), modified),
        fc.integer({ min: Date.parse('2020-01-01'), max: Date.parse('2035-01-01') }),
        (images, jupyter, when) => {
          const result = environments({
            ...ok,
            candidates: images.map((python) => candidate(python)),
            jupyter,
            now: when,
          });
          const all = [...result.items, ...result.gaps].map(({ python }) => python);
          assert.equal(new Set(all).size, all.length);
          for (const python of images) assert.ok(all.includes(python), python);
          for (const { version, status } of pythonVersions(ok.cycle, when)) {
            if (status === 'bugfix' || status === 'security') assert.ok(all.includes(version), version);
          }
          assert.equal(result.items.filter((item) => item.default).length, result.items.length > 0 ? 1 : 0);
          for (const item of result.items) assert.notEqual(item.pythonStatus, 'end_of_life');
        },
      ),
    );
  });
});

describe('the drivers of the standard image', () => {
  const [image] = knadaImages;
  assert.ok(image);
  const named = (builtAt: string) =>
    driversOf(image.drivers, builtAt).map(({ name, included, version }) => [name, included, version]);

  it('are configuration that matches its schema', () => {
    for (const standard of knadaImages) assert.ok(Check(StandardImage, standard));
  });

  it('are those of the day when it was built', () => {
    assert.deepEqual(named('2025-11-24T12:00:00.000Z'), [
      ['Oracle', true, '21.11'],
      ['Postgres', true, undefined],
      ['TDV', false, undefined],
    ]);
    assert.deepEqual(named('2023-09-20T00:00:00.000Z'), [
      ['Oracle', true, '19.15'],
      ['Postgres', true, undefined],
      ['TDV', true, undefined],
    ]);
    assert.deepEqual(named('2023-11-15T00:00:00.000Z').at(-1), ['TDV', false, undefined]);
  });
});
