import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import {
  checkPreconditions,
  etagOf,
  isNotModified,
  preconditionsOf,
  unchanged,
} from '../../src/http/preconditions.ts';
import { Problem } from '../../src/model/problems.ts';
import { shell } from './shell.ts';

const now = { id: 'team-a-3f9c', revision: 3, statusVersion: 14 };

const verdict = (headers: Record<string, string>, current: typeof now | undefined) => {
  try {
    checkPreconditions(preconditionsOf(headers), current);
    return 'go on';
  } catch (error) {
    assert.ok(error instanceof Problem);
    return error.code;
  }
};

describe('a write', () => {
  for (const [headers, exists, absent] of [
    [{}, 'go on', 'go on'],
    [{ 'if-match': '"team-a-3f9c.3.14"' }, 'go on', 'revision_mismatch'],
    [{ 'if-match': '"team-a-3f9c.3.2"' }, 'go on', 'revision_mismatch'],
    [{ 'if-match': '"team-a-3f9c.3"' }, 'go on', 'revision_mismatch'],
    [{ 'if-match': '"team-a-3f9c.2.14"' }, 'revision_mismatch', 'revision_mismatch'],
    [{ 'if-match': '"team-a-3f9c.33.14"' }, 'revision_mismatch', 'revision_mismatch'],
    [{ 'if-match': '"team-a-3f9c.03.14"' }, 'revision_mismatch', 'revision_mismatch'],
    // Another team with the same slug, after this one was deleted, or before it was created.
    [{ 'if-match': '"team-a-0000.3.14"' }, 'revision_mismatch', 'revision_mismatch'],
    [{ 'if-none-match': '"team-a-0000.3.14"' }, 'go on', 'go on'],
    [{ 'if-match': '"3.14"' }, 'revision_mismatch', 'revision_mismatch'],
    [{ 'if-match': '""' }, 'revision_mismatch', 'revision_mismatch'],
    [{ 'if-match': 'W/"team-a-3f9c.3.14"' }, 'revision_mismatch', 'revision_mismatch'],
    [
      { 'if-match': '"team-a-3f9c.1.0", "team-a-3f9c.3.9" , W/"team-a-3f9c.2.0"' },
      'go on',
      'revision_mismatch',
    ],
    [{ 'if-match': '*' }, 'go on', 'revision_mismatch'],
    [{ 'if-none-match': '*' }, 'revision_mismatch', 'go on'],
    [{ 'if-none-match': '"team-a-3f9c.3.9"' }, 'revision_mismatch', 'go on'],
    [{ 'if-none-match': '"team-a-3f9c.2.9"' }, 'go on', 'go on'],
    [{ 'if-match': 'team-a-3f9c.3.14' }, 'validation_failed', 'validation_failed'],
    [{ 'if-match': '"team-a-3f9c.3.14' }, 'validation_failed', 'validation_failed'],
    [{ 'if-none-match': 'w/"team-a-3f9c.3.14"' }, 'validation_failed', 'validation_failed'],
  ] as const) {
    it(`with ${JSON.stringify(headers)}: ${exists} on revision 3, ${absent} if absent`, () => {
      assert.deepEqual([verdict({ ...headers }, now), verdict({ ...headers }, undefined)], [exists, absent]);
    });
  }

  it('an invalid entity tag is a fault that names its header', () => {
    try {
      preconditionsOf({ 'if-match': 'soon' });
      assert.fail();
    } catch (error) {
      assert.ok(error instanceof Problem);
      assert.deepEqual(
        error.errors?.map(({ pointer, code }) => [pointer, code]),
        [['/header/if-match', 'bad_format']],
      );
    }
  });
});

describe('a read', () => {
  for (const [header, expected] of [
    ['"team-a-3f9c.3.14"', true],
    ['W/"team-a-3f9c.3.14"', true],
    ['"team-a-3f9c.1.1", "team-a-3f9c.3.14"', true],
    ['*', true],
    ['"team-a-3f9c.3.15"', false],
    ['"team-a-3f9c.3"', false],
    ['"team-a-0000.3.14"', false],
    ['', false],
  ] as const) {
    it(`with If-None-Match ${header} is ${expected ? '304' : '200'}`, () => {
      assert.equal(isNotModified(preconditionsOf({ 'if-none-match': header }), now), expected);
    });
  }

  it('has its ETag, and no body when the caller has the current one', async () => {
    const app = await shell();
    app.get('/', async (request, reply) => {
      if (unchanged(request, reply, now)) return reply.code(304).send();
      return { a: 1 };
    });
    const first = await app.inject('/');
    assert.deepEqual([first.statusCode, first.headers.etag], [200, etagOf(now)]);
    const second = await app.inject({ url: '/', headers: { 'if-none-match': String(first.headers.etag) } });
    assert.deepEqual([second.statusCode, second.headers.etag, second.body], [304, '"team-a-3f9c.3.14"', '']);
  });
});
