import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import fc from 'fast-check';
import { Problem } from '../../src/model/problems.ts';
import type { TeamRecord } from '../../src/model/record.ts';
import type { Decision } from '../../src/ports/store.ts';
import { addMember, removeMember } from '../../src/teams/membership.ts';
import { ownersOf } from '../../src/teams/roles.ts';
import { patchTeam } from '../../src/teams/rules.ts';
import { aMoment, aRecord } from '../support/records.ts';

const people = ['a@nav.no', 'b@nav.no', 'c@nav.no'];
const act = { by: 'a@nav.no', now: aMoment };

type Request = (team: TeamRecord) => Decision | undefined;

const requester = fc.record({ email: fc.constantFrom(...people), isAdmin: fc.boolean() });
const order = fc.record(
  {
    email: fc.constantFrom(...people, 'A@NAV.no'),
    username: fc.constantFrom('a', 'B', 'a@nav.no'),
    role: fc.constantFrom('owner' as const, 'member' as const),
  },
  { requiredKeys: ['email'] },
);
const anyRequest: fc.Arbitrary<Request> = fc.oneof(
  fc.tuple(order, requester).map(
    ([member, by]): Request =>
      (team) =>
        addMember(team, member, act, { requester: by }),
  ),
  fc.tuple(fc.constantFrom(...people), requester).map(
    ([email, by]): Request =>
      (team) =>
        removeMember(team, email, act, by),
  ),
  fc.tuple(fc.array(order, { maxLength: 4 }), requester).map(
    ([members, by]): Request =>
      (team) =>
        patchTeam(team, { members }, act, { requester: by }),
  ),
);

const expected = ['forbidden', 'last_owner', 'removes_you', 'validation_failed'];

describe('the members of a team, after any requests', () => {
  it('include an owner, have distinct e-mails and hub users, and change the generation only with their access', () => {
    fc.assert(
      fc.property(fc.array(anyRequest, { maxLength: 20 }), (requests) => {
        let team = aRecord({ members: [{ email: 'a@nav.no', username: 'a', role: 'owner' }] });
        for (const request of requests) {
          let decision: Decision | undefined;
          try {
            decision = request(team);
          } catch (error) {
            assert.ok(error instanceof Problem && expected.includes(error.code), String(error));
          }
          if (decision === undefined) continue;
          const { next } = decision;
          assert.ok(ownersOf(next.members).length > 0);
          assert.equal(new Set(next.members.map(({ email }) => email)).size, next.members.length);
          assert.equal(new Set(next.members.map(({ username }) => username)).size, next.members.length);
          assert.deepEqual(
            next.members.map(({ email }) => email),
            next.members.map(({ email }) => email).toSorted(),
          );
          const access = ({ members }: TeamRecord) => members.map(({ email, username }) => [email, username]);
          const isSame = JSON.stringify(access(next)) === JSON.stringify(access(team));
          assert.equal(next.generation, team.generation + (isSame ? 0 : 1));
          assert.equal(next.revision, team.revision + 1);
          team = next;
        }
      }),
      { numRuns: 500 },
    );
  });

  it('can gain a first owner in a team that has none', () => {
    const none = aRecord({ members: [] });
    const admin = { requester: { email: 'admin@nav.no', isAdmin: true } };
    const first = addMember(none, { email: 'a@nav.no' }, act, admin)?.next;
    assert.deepEqual(
      first?.members.map(({ role }) => role),
      ['member'],
    );
    const owned = first && addMember(first, { email: 'a@nav.no', role: 'owner' }, act, admin)?.next;
    assert.deepEqual(
      owned?.members.map(({ role }) => role),
      ['owner'],
    );
  });
});
