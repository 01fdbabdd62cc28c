import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { Problem } from '../../src/model/problems.ts';
import type { Member } from '../../src/model/team.ts';
import { type TeamQuota, unlimited } from '../../src/model/team-quota.ts';
import {
  assertMaySetQuota,
  assertMembersFit,
  assertOneServerFits,
  patchedQuota,
} from '../../src/teams/quota.ts';
import { aSpec } from '../support/records.ts';

const all: TeamQuota = { cpu: 2, memory: '4Gi', members: 2, home: '20Gi' };

const refusalOf = (act: () => void): Problem => {
  try {
    act();
  } catch (error) {
    if (error instanceof Problem) return error;
    throw error;
  }
  throw new assert.AssertionError({ message: 'nothing was refused' });
};

describe('a merge patch of a quota', () => {
  it('keeps what it leaves out, removes one limit with null, and all of them with null in its place', () => {
    assert.deepEqual(patchedQuota(all, undefined), all);
    assert.deepEqual(patchedQuota(all, {}), all);
    assert.deepEqual(patchedQuota(all, { cpu: 3, home: null }), { ...all, cpu: 3, home: null });
    assert.deepEqual(patchedQuota(all, null), unlimited);
  });

  it('is for admins, unless it changes nothing', () => {
    for (const next of [{ ...all, cpu: 1 }, { ...all, members: null }, unlimited]) {
      const { code } = refusalOf(() => assertMaySetQuota(all, next, { isAdmin: false }));
      assert.equal(code, 'forbidden');
      assert.doesNotThrow(() => assertMaySetQuota(all, next, { isAdmin: true }));
    }
    assert.doesNotThrow(() => assertMaySetQuota(all, { ...all }, { isAdmin: false }));
  });
});

describe('a quota of members', () => {
  const people = ['a', 'b', 'c', 'd'].map(
    (name): Member => ({ email: `${name}@nav.no`, username: name, role: 'owner' }),
  );
  const first = (count: number) => people.slice(0, count);

  const rows = [
    // quota, before, after, fits
    [2, 1, 2, true],
    [2, 2, 3, false],
    [2, 0, 2, true],
    [2, 0, 3, false],
    [2, 4, 3, true],
    [2, 3, 4, false],
    [2, 3, 3, true],
    [null, 3, 4, true],
  ] as const;
  for (const [members, before, after, fits] of rows) {
    it(`of ${members ?? 'any number'}: ${before} members ${fits ? 'may' : 'may not'} become ${after}`, () => {
      const act = () => assertMembersFit({ members }, first(before), first(after));
      if (fits) return assert.doesNotThrow(act);
      const { code, detail } = refusalOf(act);
      assert.equal(code, 'quota_exceeded');
      const left = Math.max(0, 2 - before);
      assert.ok(detail?.startsWith(`The team has ${before} of at most 2 members (${left} left)`), detail);
    });
  }

  it('that is exceeded already does not let one person replace another', () => {
    const act = () => assertMembersFit({ members: 2 }, first(3), people.slice(1));
    assert.equal(refusalOf(act).code, 'quota_exceeded');
  });
});

describe('a quota of resources', () => {
  const spec = (cpu: number, memory: string, home: string) =>
    aSpec({
      resources: { cpu: { guarantee: cpu, limit: 16 }, memory: { guarantee: memory, limit: '128Gi' } },
      storage: { home },
    });

  it('takes a server of exactly its size', () => {
    assert.doesNotThrow(() => assertOneServerFits(all, undefined, spec(2, '4096Mi', '20480Mi')));
    assert.doesNotThrow(() => assertOneServerFits(unlimited, undefined, spec(16, '128Gi', '1024Gi')));
  });

  const tooMuch = [
    [spec(2.001, '4Gi', '20Gi'), 'a CPU guarantee of 2.001 cores, and the team’s quota is 2 cores'],
    [spec(2, '4097Mi', '20Gi'), 'a memory guarantee of 4097Mi, and the team’s quota is 4Gi'],
    [spec(2, '4Gi', '20481Mi'), 'a home volume of 20481Mi, and the team’s quota is 20Gi'],
  ] as const;
  for (const [order, sentence] of tooMuch) {
    it(`refuses ${sentence.split(',')[0]} and says both sides`, () => {
      const { code, detail } = refusalOf(() => assertOneServerFits(all, undefined, order));
      assert.equal(code, 'quota_exceeded');
      assert.ok(detail?.includes(`the order asks for ${sentence}.`), detail);
    });
  }

  it('says everything that exceeds it at once', () => {
    const { detail } = refusalOf(() => assertOneServerFits(all, undefined, spec(4, '8Gi', '40Gi')));
    assert.match(String(detail), /4 cores.*; for .*8Gi.*; for .*40Gi/);
  });

  it('below what is ordered refuses more of the same only', () => {
    const before = spec(4, '8Gi', '40Gi');
    assert.doesNotThrow(() => assertOneServerFits(all, before, before));
    assert.doesNotThrow(() => assertOneServerFits(all, before, spec(3, '6Gi', '40Gi')));
    const { detail } = refusalOf(() => assertOneServerFits(all, before, spec(4, '9Gi', '40Gi')));
    assert.match(String(detail), /9Gi/);
    assert.doesNotMatch(String(detail), /cores|40Gi/);
  });
});
