import { isDeepStrictEqual } from 'node:util';
import { lowerCaseAscii } from '../lib/ascii.ts';
import { pointerToken } from '../lib/json.ts';
import { Problem } from '../model/problems.ts';
import type { TeamRecord } from '../model/record.ts';
import { type Member, type MemberOrder, membersMax } from '../model/team.ts';
import type { Decision, Page } from '../ports/store.ts';
import { assertDomainAllowed, haveSameAccess, memberFaults, memberOf, sortedMembers } from './members.ts';
import { assertMembersFit } from './quota.ts';
import { assertOwner, assertOwnerStays, type Requester } from './roles.ts';
import { type Actor, assertStays, authored, bumpGeneration, type MembersContext } from './rules.ts';

/** The member with this e-mail, in whatever case. */
export const memberWith = ({ members }: Pick<TeamRecord, 'members'>, email: string): Member | undefined =>
  members.find((member) => member.email === lowerCaseAscii(email));

/** Members by e-mail, which is how they are stored. `after`: exclusive e-mail. */
export const memberPage = (
  { members }: Pick<TeamRecord, 'members'>,
  { limit, after }: { readonly limit: number; readonly after?: string },
): Page<Member> => {
  const rest = after === undefined ? members : members.filter(({ email }) => email > after);
  const items = rest.slice(0, limit);
  const last = items.at(-1);
  return rest.length > limit && last !== undefined ? { items, next: last.email } : { items };
};

/** A change of one person, undefined for none. A change of a role alone leaves what is applied as it is. */
const changeOf = (
  team: TeamRecord,
  before: Member | undefined,
  after: Member | undefined,
  act: Actor,
): Decision | undefined => {
  if (isDeepStrictEqual(before, after)) return undefined;
  const email = after?.email ?? before?.email ?? '';
  const others = team.members.filter((member) => member.email !== email);
  const members = sortedMembers(after === undefined ? others : [...others, after]);
  assertOwnerStays(team.members, members);
  const action =
    before === undefined ? 'member_added' : after === undefined ? 'member_removed' : 'member_changed';
  return {
    next: {
      ...team,
      members,
      ...(haveSameAccess(team.members, members) ? {} : bumpGeneration(team, act)),
      revision: team.revision + 1,
      updatedAt: act.now,
    },
    event: {
      ...authored(act),
      action,
      revision: null,
      changes: [{ pointer: `/members${pointerToken(email)}`, from: before ?? null, to: after ?? null }],
    },
  };
};

/**
 * Adds a person, or changes their role or hub user name; what the order leaves out stays as it is. Undefined when nothing
 * changes. Throws Problem `deleting`, `forbidden`, `validation_failed`, `email_domain_not_allowed`, `quota_exceeded` or
 * `last_owner`.
 */
export const addMember = (
  team: TeamRecord,
  order: MemberOrder,
  act: Actor,
  { requester, allowedDomains = [] }: MembersContext,
): Decision | undefined => {
  assertOwner(team, requester, 'add members or change their roles');
  assertStays(team);
  const before = memberWith(team, order.email);
  const after = memberOf(order, before);
  const others = team.members.filter((member) => member !== before);
  const errors = memberFaults(after, others, '');
  if (errors.length > 0) throw new Problem('validation_failed', { errors });
  if (before === undefined) {
    assertDomainAllowed(after.email, '/path/email', allowedDomains);
    if (others.length >= membersMax) {
      throw new Problem('quota_exceeded', {
        detail: `The team has ${others.length} of ${membersMax} members, so none are left. Remove a member first.`,
      });
    }
    assertMembersFit(team.quota, team.members, [...team.members, after]);
  }
  return changeOf(team, before, after, act);
};

/**
 * Removes a person; everyone may remove themselves. Undefined when they are no member. Throws Problem `deleting`,
 * `forbidden` or `last_owner`.
 */
export const removeMember = (
  team: TeamRecord,
  email: string,
  act: Actor,
  requester: Requester,
): Decision | undefined => {
  if (lowerCaseAscii(email) !== requester.email) assertOwner(team, requester, 'remove other members');
  assertStays(team);
  return changeOf(team, memberWith(team, email), undefined, act);
};
