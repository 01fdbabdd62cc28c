import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import fc from 'fast-check';
import { jupyterMaintained, jupyterSnapshot, jupyterTags } from '../../src/environments/jupyter.ts';
import {
  isSupported,
  parseReleaseCycle,
  pythonVersions,
  releaseCycleSnapshot,
} from '../../src/environments/python.ts';
import type { ReleaseCycle } from '../../src/model/environment.ts';

const at = (instant: string) => Date.parse(instant);
const autumn2026 = at('2026-11-23T09:00:00Z');

const okEntry = { status: 'security', first_release: '2021-10-04', end_of_life: '2026-10' } as const;

function only(entry: ReleaseCycle[string], now: string, version = '3.10') {
  const [found] = pythonVersions({ [version]: entry }, at(now));
  assert.ok(found);
  return found;
}

describe('the release cycle document', () => {
  it('is parsed although upstream adds fields', () => {
    const cycle = { '3.10': { ...okEntry, branch: '3.10', pep: 619, release_manager: 'Pablo', new: [] } };
    const parsed = parseReleaseCycle(cycle);
    assert.equal(parsed.ok, true);
  });

  const broken: readonly (readonly [string, unknown])[] = [
    ['no object', '<html>'],
    ['null', null],
    ['a list', [okEntry]],
    ['empty', {}],
    ['a status we do not know', { '3.10': { ...okEntry, status: 'retired' } }],
    ['a number as version', { 3: okEntry }],
    ['a version that is none', { latest: okEntry }],
    ['one bad version among good ones', { '3.10': okEntry, '3.x': okEntry }],
    ['no end of life', { '3.10': { status: 'security', first_release: '2021-10-04' } }],
    ['an end that is a boolean', { '3.10': { ...okEntry, end_of_life: false } }],
    ['a month that does not exist', { '3.10': { ...okEntry, end_of_life: '2026-13' } }],
    ['a day that does not exist', { '3.10': { ...okEntry, end_of_life: '2026-02-30' } }],
    ['a date with a time', { '3.10': { ...okEntry, first_release: '2021-10-04T00:00:00Z' } }],
  ];
  for (const [what, document] of broken) {
    it(`is refused as a whole: ${what}`, () => {
      const parsed = parseReleaseCycle(document);
      assert.equal(parsed.ok, false);
      assert.match(parsed.ok ? '' : parsed.message, /\w.*\.$/);
    });
  }

  it('is parsed or refused for any JSON, and never throws', () => {
    fc.assert(fc.property(fc.jsonValue(), (document) => void parseReleaseCycle(document)));
  });
});

describe('a Python version', () => {
  it('is supported through the last day of its month', () => {
    assert.equal(only(okEntry, '2026-10-31T23:59:59.999Z').isEndOfLife, false);
    assert.equal(only(okEntry, '2026-11-01T00:00:00.000Z').isEndOfLife, true);
    assert.equal(only(okEntry, '2026-11-01T00:00:00.000Z').endOfLife, '2026-10-31');
  });

  it('is not retired by a placeholder day', () => {
    const placeholder = { ...okEntry, end_of_life: '2026-10-01' };
    assert.equal(only(placeholder, '2026-10-20T00:00:00Z').isEndOfLife, false);
    assert.equal(only(placeholder, '2026-10-20T00:00:00Z').endOfLife, '2026-10-31');
  });

  it('keeps the first of a month as its end once upstream has closed it', () => {
    const closed = { ...okEntry, status: 'end-of-life', end_of_life: '2020-01-01' } as const;
    assert.equal(only(closed, '2026-10-20T00:00:00Z', '2.7').endOfLife, '2020-01-01');
  });

  it('is supported to the day that upstream names', () => {
    const named = { ...okEntry, end_of_life: '2026-10-04' };
    assert.equal(only(named, '2026-10-04T12:00:00Z').isEndOfLife, false);
    assert.equal(only(named, '2026-10-05T00:00:00Z').isEndOfLife, true);
  });

  it('is at its end when upstream says so, also before the day', () => {
    assert.equal(only({ ...okEntry, status: 'end-of-life' }, '2026-01-01T00:00:00Z').isEndOfLife, true);
  });

  it('ends on the 29th in February of a leap year', () => {
    assert.equal(
      only({ ...okEntry, end_of_life: '2028-02' }, '2026-01-01T00:00:00Z').endOfLife,
      '2028-02-29',
    );
  });

  it('is released on its day, although upstream still calls it a prerelease', () => {
    const next = { status: 'prerelease', first_release: '2026-10-01', end_of_life: '2031-10' } as const;
    assert.equal(only(next, '2026-09-30T23:00:00Z', '3.15').status, 'prerelease');
    assert.equal(only(next, '2026-10-01T00:00:00Z', '3.15').status, 'bugfix');
  });

  it('gets only security fixes after two years of bug fixes, from 3.13 on', () => {
    const entry = { status: 'bugfix', first_release: '2024-10-07', end_of_life: '2029-10' } as const;
    assert.equal(only(entry, '2026-10-06T23:00:00Z', '3.13').status, 'bugfix');
    assert.equal(only(entry, '2026-10-07T00:00:00Z', '3.13').status, 'security');
    assert.equal(only(entry, '2026-10-07T00:00:00Z', '3.12').status, 'bugfix');
  });
});

describe('the bundled release cycle', () => {
  it('has the phases that its dates imply on 2026-11-23', () => {
    const versions = pythonVersions(releaseCycleSnapshot.cycle, autumn2026);
    assert.deepEqual(
      versions.slice(-8).map(({ version, status, endOfLife }) => [version, status, endOfLife]),
      [
        ['3.9', 'end_of_life', '2025-10-31'],
        ['3.10', 'end_of_life', '2026-10-31'],
        ['3.11', 'security', '2027-10-31'],
        ['3.12', 'security', '2028-10-31'],
        ['3.13', 'security', '2029-10-31'],
        ['3.14', 'bugfix', '2030-10-31'],
        ['3.15', 'bugfix', '2031-10-31'],
        ['3.16', 'feature', '2032-10-31'],
      ],
    );
    assert.deepEqual(
      versions.filter(isSupported).map(({ version }) => version),
      ['3.11', '3.12', '3.13', '3.14', '3.15'],
    );
  });

  it('retires 3.11 at the end of October 2027, and no other version on that day', () => {
    const supported = (now: string) =>
      pythonVersions(releaseCycleSnapshot.cycle, at(now))
        .filter(isSupported)
        .map(({ version }) => version);
    const before = supported('2027-10-31T12:00:00Z');
    const after = supported('2027-11-01T00:00:00Z');
    assert.deepEqual(
      before.filter((version) => !after.includes(version)),
      ['3.11'],
    );
  });

  it('has the time of its snapshot', () => {
    assert.ok(at(releaseCycleSnapshot.fetchedAt) < autumn2026);
    assert.ok(at(jupyterSnapshot.fetchedAt) < autumn2026);
  });

  it('never revives a version as time passes', () => {
    const day = fc.integer({ min: at('2020-01-01T00:00:00Z'), max: at('2035-01-01T00:00:00Z') });
    fc.assert(
      fc.property(day, day, (a, b) => {
        const [early, late] = [Math.min(a, b), Math.max(a, b)];
        const dead = (now: number) =>
          pythonVersions(releaseCycleSnapshot.cycle, now)
            .filter(({ isEndOfLife }) => isEndOfLife)
            .map(({ version }) => version);
        const later = new Set(dead(late));
        assert.ok(dead(early).every((version) => later.has(version)));
      }),
    );
  });
});

describe('Jupyter’s support', () => {
  it('is derived from the tags python-3.x only, with the time of their last change', () => {
    assert.deepEqual(
      jupyterTags([
        { name: 'python-3.13', lastModified: 'Mon, 16 Nov 2026 03:11:12 -0000' },
        { name: 'python-3.12', lastModified: '2025-08-15T00:00:00Z' },
        { name: 'python-3.11' },
        { name: 'python-3.10', lastModified: 'nonsense' },
        { name: 'x86_64-python-3.14', lastModified: '2026-11-16T00:00:00Z' },
        { name: 'python-3.13.14', lastModified: '2026-11-16T00:00:00Z' },
        { name: 'latest', lastModified: '2026-11-16T00:00:00Z' },
      ]),
      {
        '3.13': '2026-11-16T03:11:12.000Z',
        '3.12': '2025-08-15T00:00:00.000Z',
        '3.11': null,
        '3.10': null,
      },
    );
  });

  it('lasts 21 days after the last change, and is unknown without one', () => {
    assert.equal(jupyterMaintained('2026-11-02T09:00:00.000Z', autumn2026), true);
    assert.equal(jupyterMaintained('2026-11-02T08:59:59.999Z', autumn2026), false);
    assert.equal(jupyterMaintained('2026-11-24T00:00:00.000Z', autumn2026), true);
    assert.equal(jupyterMaintained(null, autumn2026), null);
  });
});
