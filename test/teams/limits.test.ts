import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { Problem } from '../../src/model/problems.ts';
import { assertMayCreateTeam, assertSlugNotReserved, mayCreateTeam } from '../../src/teams/limits.ts';

const limits = { max: 10, maxPerPerson: 3 };
const [person, admin] = [false, true].map((isAdmin) => ({ email: 'kari@nav.no', isAdmin }));
assert.ok(person && admin);

describe('creating a team', () => {
  const rows = [
    // owned, teams, person, admin
    [2, 9, true, true],
    [3, 9, false, true],
    [4, 9, false, true],
    [2, 10, false, false],
    [2, 11, false, false],
    [0, 10, false, false],
    [3, 10, false, false],
  ] as const;
  for (const [owned, teams, mayPerson, mayAdmin] of rows) {
    it(`with ${owned} of 3 owned and ${teams} of 10 in all: a person ${mayPerson ? 'may' : 'may not'}, an admin ${mayAdmin ? 'may' : 'may not'}`, () => {
      for (const [requester, may] of [
        [person, mayPerson],
        [admin, mayAdmin],
      ] as const) {
        assert.equal(mayCreateTeam({ owned, teams }, limits, requester), may);
        const creating = () => assertMayCreateTeam({ owned, teams }, limits, requester);
        if (may) assert.doesNotThrow(creating);
        else assert.throws(creating, (error) => error instanceof Problem && error.code === 'quota_exceeded');
      }
    });
  }

  it('is closed to everyone but admins by a limit of 0 per person, and to all by a limit of 0', () => {
    const none = { owned: 0, teams: 0 };
    assert.equal(mayCreateTeam(none, { max: 10, maxPerPerson: 0 }, person), false);
    assert.equal(mayCreateTeam(none, { max: 10, maxPerPerson: 0 }, admin), true);
    assert.equal(mayCreateTeam(none, { max: 0, maxPerPerson: 3 }, admin), false);
  });

  it('says what is used and what is left', () => {
    const detailOf = (owned: number, teams: number) => {
      try {
        assertMayCreateTeam({ owned, teams }, limits, person);
      } catch (error) {
        return error instanceof Problem ? error.detail : undefined;
      }
      return undefined;
    };
    assert.match(String(detailOf(3, 9)), /^You own 3 of at most 3 teams \(0 left\)\./);
    assert.match(String(detailOf(5, 9)), /^You own 5 of at most 3 teams \(0 left\)\./);
    assert.match(String(detailOf(0, 12)), /^The platform has 12 of at most 10 teams \(0 left\)\./);
  });
});

describe('a reserved slug', () => {
  it('is refused as it is written, and no other', () => {
    const reserved = { reservedSlugs: ['hub', 'kube-system'] };
    for (const slug of reserved.reservedSlugs) {
      assert.throws(
        () => assertSlugNotReserved(slug, reserved),
        (error) => error instanceof Problem && error.code === 'slug_reserved',
      );
    }
    for (const slug of ['hubs', 'my-hub', 'kube']) {
      assert.doesNotThrow(() => assertSlugNotReserved(slug, reserved));
    }
    assert.doesNotThrow(() => assertSlugNotReserved('hub', { reservedSlugs: [] }));
  });
});
