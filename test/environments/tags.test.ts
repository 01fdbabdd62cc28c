import assert from 'node:assert/strict';
import { existsSync, readFileSync } from 'node:fs';
import { describe, it } from 'node:test';
import fc from 'fast-check';
import {
  comparePython,
  type ListedTag,
  newestPerPython,
  parseJupyterTag,
  parseStandardTag,
  pythonOfImageName,
} from '../../src/environments/tags.ts';

const vectorsUrl = new URL('../../../shared/vectors/images.json', import.meta.url);
const noVectors =
  existsSync(vectorsUrl) || process.env.CI === 'true' ? false : 'the shared vectors are absent';

interface Vectors {
  newest: { tags: string[]; expect: Record<string, string> }[];
}

function newest(tags: readonly (string | ListedTag)[], pythonOfImage?: string) {
  const listed = tags.map((tag) => (typeof tag === 'string' ? { tag } : tag));
  return Object.fromEntries(
    [...newestPerPython(listed, pythonOfImage)].map(([python, { tag }]) => [python, tag]),
  );
}

describe('the tag of a standard image', () => {
  const read = [
    [
      '2023-06-16-738148c-3.10',
      { python: '3.10', builtAt: '2023-06-16T00:00:00.000Z', format: 'A', commit: '738148c' },
    ],
    [
      '20250115-4cd26f3-3.11',
      { python: '3.11', builtAt: '2025-01-15T00:00:00.000Z', format: 'B', commit: '4cd26f3' },
    ],
    [
      '20250115-1234567-3.11',
      { python: '3.11', builtAt: '2025-01-15T00:00:00.000Z', format: 'B', commit: '1234567' },
    ],
    ['20251124-120059-3.9', { python: '3.9', builtAt: '2025-11-24T12:00:59.000Z', format: 'C' }],
    ['20240229-235959-3.12', { python: '3.12', builtAt: '2024-02-29T23:59:59.000Z', format: 'C' }],
  ] as const;
  for (const [tag, expected] of read) {
    it(`parses ${tag}`, () => assert.deepEqual(parseStandardTag(tag), { tag, ...expected }));
  }

  const unknown = [
    'latest',
    'main',
    '',
    '3.11',
    '2024-03-20-bd85a58-',
    '2024-03-20-984c58b-python-3.11',
    '2023-02-31-738148c-3.10',
    '20230229-738148c-3.10',
    '20251301-120000-3.11',
    '20251124-240000-3.11',
    '20251124-126000-3.11',
    '2023-06-16-738148-3.10',
    '2023-06-16-738148G-3.10',
    '2023-06-16-738148c-3.10.4',
    '2023-06-16-738148c-3.010',
    '2023-06-16-738148c-2.7',
    '20251124-120000-3.11-amd64',
    'x20251124-120000-3.11',
    '20251124-120000-3.11\n',
    '20251124-120000',
    `sha256-${'a'.repeat(64)}.sig`,
  ];
  for (const tag of unknown) {
    it(`rejects ${JSON.stringify(tag.slice(0, 40))}`, () => {
      assert.equal(parseStandardTag(tag), undefined);
    });
  }

  it('has the Python version of the image’s name if the name has one', () => {
    assert.equal(pythonOfImageName('navikt/knada-images/jupyter-python-3.13'), '3.13');
    assert.equal(pythonOfImageName('navikt/knada-images/jupyter'), undefined);
    assert.deepEqual(parseStandardTag('20260618-040506', '3.13'), {
      tag: '20260618-040506',
      python: '3.13',
      builtAt: '2026-06-18T04:05:06.000Z',
      format: 'C',
    });
    assert.equal(parseStandardTag('20260618-040506-3.11', '3.13'), undefined);
    assert.equal(parseStandardTag('20260618-040506', 'latest'), undefined);
  });

  it('is parsed back for any day and second', () => {
    const instants = fc.date({
      min: new Date('2000-01-01T00:00:00Z'),
      max: new Date('2099-12-31T23:59:59Z'),
      noInvalidDate: true,
    });
    fc.assert(
      fc.property(instants, fc.integer({ min: 0, max: 99 }), (instant, minor) => {
        const [date = '', time = ''] = instant.toISOString().slice(0, 19).split('T');
        const tag = `${date.replaceAll('-', '')}-${time.replaceAll(':', '')}-3.${minor}`;
        assert.equal(parseStandardTag(tag)?.builtAt, `${date}T${time}.000Z`);
        assert.equal(parseStandardTag(`${date}-0123abc-3.${minor}`)?.builtAt, `${date}T00:00:00.000Z`);
      }),
    );
  });

  it('is parsed or rejected for any text, and never throws', () => {
    fc.assert(
      fc.property(fc.string({ unit: 'binary', maxLength: 200 }), (tag) => {
        assert.equal(parseStandardTag(tag)?.tag ?? tag, tag);
      }),
    );
  });
});

describe('a Jupyter tag', () => {
  it('has a Python version only in the form python-3.x', () => {
    assert.equal(parseJupyterTag('python-3.13'), '3.13');
    for (const tag of [
      'x86_64-python-3.13',
      'aarch64-python-3.13',
      'python-3.13.14',
      'python-3',
      'python-3.130',
      'latest',
      'hub-5.3.0',
      'ubuntu-24.04',
    ]) {
      assert.equal(parseJupyterTag(tag), undefined, tag);
    }
  });
});

describe('Python versions', () => {
  it('are ordered numerically: 3.9 before 3.10', () => {
    assert.deepEqual(['3.10', '3.9', '2.7', '3.13', '3.1'].sort(comparePython), [
      '2.7',
      '3.1',
      '3.9',
      '3.10',
      '3.13',
    ]);
  });
});

describe('the newest tag per Python version', () => {
  it('matches the shared vectors', { skip: noVectors }, () => {
    const vectors = JSON.parse(readFileSync(vectorsUrl, 'utf8')) as Vectors;
    assert.ok(vectors.newest.length > 0);
    for (const { tags, expect } of vectors.newest) assert.deepEqual(newest(tags), expect);
  });

  it('is found across all formats, the highest version first', () => {
    const found = newestPerPython(
      [
        '2023-07-17-0580d64-3.9',
        '20250306-aaaaaaa-3.11',
        '20250307-100000-3.11',
        '2024-03-20-bd85a58-3.10',
      ].map((tag) => ({ tag })),
    );
    assert.deepEqual([...found.keys()], ['3.11', '3.10', '3.9']);
    assert.equal(found.get('3.11')?.tag, '20250307-100000-3.11');
  });

  it('follows the push time when the tags are within 26 hours', () => {
    assert.deepEqual(
      newest([
        { tag: '20250116-bbbbbbb-3.11', pushedAt: '2025-01-16T08:00:00Z' },
        { tag: '20250115-aaaaaaa-3.11', pushedAt: '2025-01-16T12:00:00Z' },
      ]),
      { '3.11': '20250115-aaaaaaa-3.11' },
    );
  });

  it('ignores the push time beyond 26 hours: an old tag that was pushed again stays old', () => {
    assert.deepEqual(
      newest([
        { tag: '20250116-020001-3.11', pushedAt: '2025-01-16T08:00:00Z' },
        { tag: '20250115-000000-3.11', pushedAt: '2025-06-01T00:00:00Z' },
      ]),
      { '3.11': '20250116-020001-3.11' },
    );
  });

  it('treats exactly 26 hours as close', () => {
    assert.deepEqual(
      newest([
        { tag: '20250116-020000-3.11', pushedAt: '2025-01-16T08:00:00Z' },
        { tag: '20250115-000000-3.11', pushedAt: '2025-01-17T00:00:00Z' },
      ]),
      { '3.11': '20250115-000000-3.11' },
    );
  });

  it('follows the time in the tag when some close tag has no push time', () => {
    for (const pushedAt of [undefined, 'not a date']) {
      assert.deepEqual(
        newest([
          { tag: '20250116-bbbbbbb-3.11', pushedAt },
          { tag: '20250115-aaaaaaa-3.11', pushedAt: '2025-01-17T12:00:00Z' },
        ]),
        { '3.11': '20250116-bbbbbbb-3.11' },
      );
    }
  });

  it('follows the position in the list for two commits of one day', () => {
    assert.deepEqual(
      newest([
        { tag: '2023-06-16-fffffff-3.10', index: 3 },
        { tag: '2023-06-16-0000000-3.10', index: 4 },
      ]),
      { '3.10': '2023-06-16-0000000-3.10' },
    );
  });

  it('has the push time in UTC', () => {
    const found = newestPerPython([{ tag: '20250116-020000-3.11', pushedAt: '2025-01-16T09:00:00+01:00' }]);
    assert.equal(found.get('3.11')?.pushedAt, '2025-01-16T08:00:00.000Z');
  });

  it('reads the version from an image’s name', () => {
    assert.deepEqual(newest(['20260618-040506', '20260619-040506', 'latest'], '3.13'), {
      '3.13': '20260619-040506',
    });
  });

  it('does not depend on the order of the list', () => {
    const tag = fc
      .tuple(
        fc.constantFrom('2025-01-15-', '20250115-', '20250116-', '2024-12-30-'),
        fc.constantFrom('aaaaaaa', 'bbbbbbb'),
      )
      .map(([day, commit]) => `${day}${commit}-3.11`);
    const listed = fc.record(
      {
        tag,
        pushedAt: fc.constantFrom('2025-01-16T08:00:00Z', '2025-01-17T08:00:00Z'),
        index: fc.nat(3),
      },
      { requiredKeys: ['tag'] },
    );
    const lists = fc.uniqueArray(listed, { selector: ({ tag }) => tag, maxLength: 8 });
    fc.assert(
      fc.property(
        lists.chain((list) =>
          fc.tuple(fc.constant(list), fc.shuffledSubarray(list, { minLength: list.length })),
        ),
        ([list, shuffled]) => assert.deepEqual(newest(list), newest(shuffled)),
      ),
    );
  });
});
