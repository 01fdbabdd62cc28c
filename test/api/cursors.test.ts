import assert from 'node:assert/strict';
import { after, before, describe, it } from 'node:test';
import fc from 'fast-check';
import { encodeCursor } from '../../src/http/pages.ts';
import { at, isObject } from '../../src/lib/json.ts';
import { kari } from '../support/api.ts';
import { openWithRegistries } from '../support/registries.ts';

const image = 'ghcr.io/navikt/many-tags';

let world: Awaited<ReturnType<typeof openWithRegistries>>;
let path: string;
let teamId: string;
before(async () => {
  world = await openWithRegistries();
  path = await world.newTeam();
  teamId = (await world.record(path)).id;
});
after(() => world.close());

/** The lists, each with the identity that its cursors carry. A forger knows it: it is no secret. */
const lists = {
  '/v1/teams': () => ({ url: '/v1/teams?', name: 'teams', view: JSON.stringify({ member: kari }) }),
  '/v1/teams/{team}/history': () => ({ url: `${path}/history?`, name: 'history', view: teamId }),
  '/v1/teams/{team}/members': () => ({ url: `${path}/members?`, name: 'members', view: teamId }),
  '/v1/teams/{team}/images/tags': () => ({
    url: `${path}/images/tags?image=${encodeURIComponent(image)}&`,
    name: 'tags',
    view: image,
  }),
  '/v1/teams/{team}/operations': () => ({
    url: `${path}/operations?open=false&`,
    name: 'operations',
    view: `${teamId} false`,
  }),
};
const identities = Object.values(lists);

const json = (value: unknown): string => Buffer.from(JSON.stringify(value)).toString('base64url');

const prototypeNames = ['__proto__', 'hasOwnProperty', 'toString', '__proto__:9'];
const numbers = [
  'NaN',
  'Infinity',
  '-1',
  '0',
  '1.5',
  '1e9',
  '0x1',
  ' 1',
  '1 ',
  '9007199254740993',
  '9'.repeat(300),
  '-0:a',
  'NaN:a',
];

/** A position that no list has. */
const badPosition = fc.oneof(
  fc.constantFrom(
    ...prototypeNames,
    ...numbers,
    '',
    ':',
    '::',
    'a:b:c',
    '\u0000',
    '\ud800',
    '🦆',
    'Å',
    'TEAM',
  ),
  fc.string({ unit: 'binary' }).filter((text) => !/^[a-z0-9:._A-Z-]*$/.test(text)),
);

/** Cursors whose checksum is wrong or that are no cursors at all. */
const mangled = fc.oneof(
  fc.string(),
  fc.string({ unit: 'binary' }),
  fc.jsonValue().map(json),
  fc.tuple(fc.jsonValue(), fc.string()).map(json),
  badPosition.map((position) => json([position, 'AAAAAAAAAAAAAAAA'])),
  fc.constantFrom(
    json([{ __proto__: 'x' }]),
    json({ length: 2, 0: 'a', 1: 'b' }),
    json([[], []]),
    '%00',
    '=',
    'AA==',
  ),
);

describe('every list with a cursor', () => {
  it('is covered by this test', () => {
    const paths = at(world.document, 'paths');
    assert.ok(isObject(paths));
    const withCursor = Object.entries(paths).filter(([, item]) => {
      const parameters = at(item, 'get', 'parameters');
      return Array.isArray(parameters) && parameters.some((parameter) => at(parameter, 'name') === 'cursor');
    });
    assert.deepEqual(withCursor.map(([name]) => name).toSorted(), Object.keys(lists).toSorted());
  });

  const assertRefused = async (url: string, cursor: string): Promise<void> => {
    const answer = await world.asPerson(kari).get(`${url}cursor=${encodeURIComponent(cursor)}`);
    assert.equal(answer.statusCode, 400, `${url} ${JSON.stringify(cursor)}: ${answer.body}`);
    assert.match(answer.json().code, /^(invalid_cursor|validation_failed)$/);
  };

  it('answers 400 to a mangled cursor', async () => {
    await fc.assert(
      fc.asyncProperty(mangled, async (cursor) => {
        for (const identity of identities) await assertRefused(identity().url, cursor.toWellFormed());
      }),
      { numRuns: 150 },
    );
  });

  it('answers 400 to a forged cursor: a valid checksum over an impossible position', async () => {
    await fc.assert(
      fc.asyncProperty(badPosition, async (position) => {
        for (const identity of identities) {
          const { url, name, view } = identity();
          await assertRefused(url, encodeCursor({ name, view }, position));
        }
      }),
      { numRuns: 150 },
    );
  });

  it('answers a page to a forged cursor with a position that the list could have', async () => {
    for (const [index, positions] of [
      ['constructor', 'zzz'],
      ['1', '9'.repeat(15)],
      ['a@b', '__proto__@nav.no'],
      ['9:__proto__', '999999999:a'],
      ['2026-11-23T09:00:00.000Z op-0000000000000000', '9999-99-99T99:99:99.999Z op-ffffffffffffffff'],
    ].entries()) {
      const { url, name, view } = identities[index]?.() ?? assert.fail();
      for (const position of positions) {
        const cursor = encodeCursor({ name, view }, position);
        const answer = await world.asPerson(kari).get(`${url}cursor=${cursor}`);
        assert.equal(answer.statusCode, 200, `${url} ${position}: ${answer.body}`);
      }
    }
  });

  it('answers 400 to the cursor of another list, and of another caller', async () => {
    for (const identity of identities) {
      for (const other of identities) {
        const { name, view } = other();
        for (const position of ['team-a', '7', '7:build-7', '2026-11-23T09:00:00.000Z op-0000000000000000']) {
          const cursor = encodeCursor({ name, view: name === identity().name ? `${view}x` : view }, position);
          await assertRefused(identity().url, cursor);
        }
      }
    }
  });
});
