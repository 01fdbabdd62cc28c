import assert from 'node:assert/strict';
import { globSync, readFileSync } from 'node:fs';
import { describe, it } from 'node:test';
import { statusOf } from '../../src/http/problem.ts';
import { conditionReasons } from '../../src/model/condition-reasons.ts';
import { operationReasons } from '../../src/model/operation-reasons.ts';

const root = new URL('../../', import.meta.url);
const runbook = readFileSync(new URL('docs/operations.md', root), 'utf8');

/** The rows of one section’s table; the first cell’s `code` spans. */
const namedIn = (section: string): readonly string[] => {
  const [, body = ''] = runbook.split(`\n## ${section}\n`);
  const rows =
    body
      .split('\n## ')[0]
      ?.split('\n')
      .filter((line) => line.startsWith('| `')) ?? [];
  return rows.flatMap((row) =>
    [...(row.split('|')[1] ?? '').matchAll(/`([^`]+)`/g)].map(([, name = '']) => name),
  );
};

/** The messages of our own log lines of severity WARNING and above, read from the source. */
const loggedFaults = (): readonly string[] =>
  globSync('{src,functions}/**/*.ts', { cwd: root }).flatMap((path) => {
    const text = readFileSync(new URL(path, root), 'utf8');
    const calls = text.matchAll(/\blog(?:ger)?\s*(?:\.(?:warn|error)|\[level\])\(([\s\S]*?)\);/g);
    return [...calls].map(
      ([, given = '']) => [...given.matchAll(/'([^']+)'/g)].at(-1)?.[1] ?? `${path}: ${given}`,
    );
  });

describe('the runbook', () => {
  it('explains every reason of a condition, and no other', () => {
    assert.deepEqual(namedIn('Conditions').toSorted(), Object.keys(conditionReasons).toSorted());
  });

  it('explains every reason of an operation, and no other', () => {
    assert.deepEqual(namedIn('Operations').toSorted(), Object.keys(operationReasons).toSorted());
  });

  it('explains every problem whose cause is on our side', () => {
    const ours = Object.entries(statusOf).flatMap(([code, status]) => (status >= 500 ? [code] : []));
    assert.ok(ours.length > 10);
    assert.deepEqual(
      ours.filter((code) => !namedIn('Problems').includes(code)),
      [],
    );
  });

  it('explains every warning and error that is logged, and no other', () => {
    const logged = new Set(loggedFaults());
    assert.ok(logged.size > 20, `found ${logged.size}`);
    assert.deepEqual(new Set(namedIn('Log lines')), logged);
  });
});
