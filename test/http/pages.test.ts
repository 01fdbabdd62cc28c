import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import fc from 'fast-check';
import { decodeCursor, encodeCursor, pageAnswer, pageRequest } from '../../src/http/pages.ts';
import { PageQuery } from '../../src/model/page.ts';
import { Problem } from '../../src/model/problems.ts';
import { shell } from './shell.ts';

const list = { name: 'teams', view: 'member:kari.nordmann@nav.no', position: /^team/ };
const isRefused = (attempt: () => unknown) =>
  assert.throws(attempt, (error) => error instanceof Problem && error.code === 'invalid_cursor');

describe('a cursor', () => {
  it('a cursor round-trips any text', () => {
    fc.assert(
      fc.property(fc.string(), fc.string(), fc.string(), (name, view, after) => {
        assert.equal(decodeCursor({ name, view, position: /^/ }, encodeCursor({ name, view }, after)), after);
      }),
    );
  });

  it('a cursor is URL-safe and opaque', () => {
    assert.match(encodeCursor(list, 'team/å?&'), /^[A-Za-z0-9_-]+$/);
  });

  it('of another list or another caller is refused', () => {
    const cursor = encodeCursor(list, 'team-a');
    isRefused(() => decodeCursor({ ...list, name: 'history' }, cursor));
    isRefused(() => decodeCursor({ ...list, view: 'member:ola@nav.no' }, cursor));
    isRefused(() => decodeCursor({ ...list, name: 'team', view: `s${list.view}` }, cursor));
  });

  it('for an impossible position of the list is refused, although its checksum is valid', () => {
    for (const after of ['', 'x', ' team', '__proto__'])
      isRefused(() => decodeCursor(list, encodeCursor(list, after)));
  });

  it('with any one character changed is refused', () => {
    const cursor = encodeCursor(list, 'team-a');
    for (let i = 0; i < cursor.length; i++) {
      const other = cursor[i] === 'A' ? 'B' : 'A';
      isRefused(() => decodeCursor(list, cursor.slice(0, i) + other + cursor.slice(i + 1)));
    }
    isRefused(() => decodeCursor(list, `${cursor}=`));
    isRefused(() => decodeCursor(list, cursor.slice(1)));
  });

  it('an arbitrary text is refused as a cursor', () => {
    fc.assert(fc.property(fc.string(), (text) => isRefused(() => decodeCursor(list, text))));
    const json = (value: unknown) => Buffer.from(JSON.stringify(value)).toString('base64url');
    for (const value of [null, 7, {}, [], ['team-a'], ['team-a', null], [null, 'x']]) {
      isRefused(() => decodeCursor(list, json(value)));
    }
  });
});

describe('a list', () => {
  const names = Array.from({ length: 120 }, (_, i) => `team-${String(i).padStart(3, '0')}`);
  const listing = async () => {
    const app = await shell();
    app.get('/teams', { schema: { querystring: PageQuery } }, async (request) => {
      const { limit, after = '' } = pageRequest(request.query, list);
      const rest = names.filter((name) => name > after);
      const items = rest.slice(0, limit);
      const next = rest.length > limit ? { next: items.at(-1) ?? '' } : {};
      return pageAnswer({ items, ...next }, list, (name) => ({ name }));
    });
    return app;
  };

  it('returns every item once, fifty at a time by default', async () => {
    const app = await listing();
    const sizes: number[] = [];
    const seen: string[] = [];
    for (let cursor: string | null = null, more = true; more; more = cursor !== null) {
      const page: { items: { name: string }[]; nextCursor: string | null } = (
        await app.inject({ url: '/teams', query: cursor === null ? {} : { cursor } })
      ).json();
      sizes.push(page.items.length);
      seen.push(...page.items.map(({ name }) => name));
      cursor = page.nextCursor;
    }
    assert.deepEqual([sizes, seen], [[50, 50, 20], names]);
    assert.equal((await app.inject('/teams?limit=200')).json().items.length, 120);
  });

  for (const [query, code] of [
    ['limit=0', 'validation_failed'],
    ['limit=201', 'validation_failed'],
    ['limit=-1', 'validation_failed'],
    ['page=2', 'validation_failed'],
    ['cursor=', 'invalid_cursor'],
    ['cursor=elsewhere', 'invalid_cursor'],
    [`cursor=${'a'.repeat(1025)}`, 'validation_failed'],
  ] as const) {
    it(`refuses ${query.slice(0, 20)} as ${code}`, async () => {
      const answer = await (await listing()).inject(`/teams?${query}`);
      assert.deepEqual([answer.statusCode, answer.json().code], [400, code]);
    });
  }
});
