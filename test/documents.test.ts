import assert from 'node:assert/strict';
import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { basename, extname, join, relative } from 'node:path';
import { describe, it } from 'node:test';
import { fileURLToPath } from 'node:url';
import { parseSync } from 'oxc-parser';

const root = fileURLToPath(new URL('..', import.meta.url));
const folders = [
  '.ci',
  'bench',
  'deploy',
  'docs',
  'examples',
  'functions',
  'local',
  'openapi',
  'scripts',
  'simulators',
  'src',
  'test',
];

const filesIn = (folder: string): readonly string[] =>
  readdirSync(join(root, folder), { recursive: true, withFileTypes: true })
    .filter((entry) => entry.isFile() && !entry.parentPath.includes('node_modules'))
    .map((entry) => relative(root, join(entry.parentPath, entry.name)));

const files = [
  ...readdirSync(root, { withFileTypes: true })
    .filter((entry) => entry.isFile())
    .map(({ name }) => name),
  ...folders.flatMap(filesIn),
];
const names = new Set(files.map((file) => basename(file)));

/** What people read in a file: all of a document, the comments of anything else. */
const proseOf = (file: string, text: string): string => {
  switch (extname(file)) {
    case '.md':
      return text;
    case '.ts':
    case '.js':
    case '.mjs':
      return parseSync(file, text)
        .comments.map(({ value }) => value)
        .join('\n');
    case '.py':
    case '.sh':
    case '.yaml':
    case '':
      return [...text.matchAll(/(?:^|\s)#(.*)$/gm)].map(([, comment]) => comment).join('\n');
    default:
      return '';
  }
};

/** References that no reader can follow: to notes outside the repository, and to numbered test cases. */
const unreadable = [
  /\b(?:DESIGN|HOUSE|STYLE)(?:\.md\b|,? \d)/g,
  /\bfacts?\/\w+|\bfacts of \w+, [a-z]\d?\b|\b(?:notebooks|egress|images|reality) [a-z]\d+(?:\.\d+)?\b/g,
  // Not Dataplane V2, nor Unicode’s C1 control characters.
  /(?<!Dataplane )\b[A-Z]\d{1,2}\b(?! control)/g,
];

/** Paths from the root and bare names of files, as comments and documents write them. */
const pathInProse = new RegExp(
  String.raw`(?<![\w/.@:<>…*-])((?:(?:${folders.map((folder) => folder.replace('.', '\\.')).join('|')})/)?[\w./-]*[\w-]\.(?:ts|mjs|md|py|sh))(?![\w/-])`,
  'g',
);

/** A Python file outside our folders belongs to the upstream project that the comment names. */
const isUpstream = (path: string): boolean =>
  path.endsWith('.py') && !folders.some((folder) => path.startsWith(`${folder}/`));

/** Declarations are generated; none is in the repository. */
const isGenerated = (path: string): boolean => path.endsWith('.d.ts');

const exists = (path: string, file: string): boolean =>
  isUpstream(path) ||
  isGenerated(path) ||
  existsSync(join(root, path)) ||
  existsSync(join(root, file, '..', path)) ||
  (path.includes('/') ? files.some((known) => known.endsWith(`/${path}`)) : names.has(path));

const deadReferences = (file: string, text: string): readonly string[] => {
  const prose = proseOf(file, text);
  const cited = unreadable.flatMap((pattern) => [...prose.matchAll(pattern)].map(([found]) => found));
  const missing = [...prose.matchAll(pathInProse)]
    .map(([, path = '']) => path)
    .filter((path) => !exists(path, file));
  return [...new Set([...cited, ...missing])].map((reference) => `${file}: ${reference}`);
};

describe('references in comments and documents', () => {
  it('point to what a reader of the repository can open', () => {
    assert.ok(files.length > 500, String(files.length));
    const dead = files.flatMap((file) => deadReferences(file, readFileSync(join(root, file), 'utf8')));
    assert.deepEqual(dead, []);
  });

  for (const [file, text] of [
    ['src/x.ts', '/** As in DESIGN 5. */'],
    ['src/x.ts', '// See STYLE.md.'],
    ['src/x.ts', '// Conditions are read as in facts/notebooks b7.'],
    ['test/x.test.ts', '// C13: a leaver'],
    ['src/x.ts', '// Completed in src/adapters/no-such-file.ts.'],
    ['src/x.ts', '// Completed when it is read (no-such-file.ts).'],
    ['deploy/x.yaml', 'a: 1 # see docs/no-such-file.md'],
    ['docs/x.md', 'Rules are in `src/notebooks/no-such-rules.ts`.'],
  ] as const) {
    it(`are reported when dead: ${text}`, () => {
      assert.equal(deadReferences(file, text).length, 1);
    });
  }

  for (const [file, text] of [
    ['src/x.ts', "const text = 'DESIGN 5';"],
    ['src/x.ts', '/** RFC 9110, section 13.1; helm-controller#946; see src/config.ts and rules.ts. */'],
    ['docs/x.md', 'Set by the designer in [the README](../README.md).'],
  ] as const) {
    it(`are accepted: ${text}`, () => {
      assert.deepEqual(deadReferences(file, text), []);
    });
  }
});
