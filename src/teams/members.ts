import { isDeepStrictEqual } from 'node:util';
import { lowerCaseAscii } from '../lib/ascii.ts';
import { type Fault, Problem } from '../model/problems.ts';
import { type Member, type MemberOrder, membersMax, usernamePattern } from '../model/team.ts';

const usernameForm = new RegExp(usernamePattern);

/** How a hub’s users differ from the team’s members. */
export interface HubUsersDiff {
  /** Members who are not hub users yet. */
  readonly missing: readonly string[];
  /** Hub users who are not members, or no longer. */
  readonly leavers: readonly string[];
}

/** Only members may be hub users: any other hub user could log in. Hub user names are in lower case. */
export const hubUsersDiff = (members: readonly Member[], hubUsers: readonly string[]): HubUsersDiff => {
  const wanted = new Set(members.map(({ username }) => username));
  const known = new Set(hubUsers);
  return {
    missing: [...wanted].filter((name) => !known.has(name)).toSorted(),
    leavers: [...known].filter((name) => !wanted.has(name)).toSorted(),
  };
};

/** The member that an order makes of a person; it leaves what it does not name as `current`, if they are a member. */
export const memberOf = ({ email, username, role }: MemberOrder, current: Member | undefined): Member => ({
  email: lowerCaseAscii(email),
  username: lowerCaseAscii(username ?? current?.username ?? email),
  role: role ?? current?.role ?? 'member',
});

/** Whether an e-mail may become a member; any may when the operator names no domain. */
const isAllowed = (email: string, domains: readonly string[]): boolean =>
  domains.length === 0 || domains.includes(email.slice(email.lastIndexOf('@') + 1));

/** Throws Problem `email_domain_not_allowed` with one fault per e-mail. */
const assertDomainsAllowed = (
  joiners: readonly { readonly email: string; readonly pointer: string }[],
  domains: readonly string[],
): void => {
  const refused = joiners.filter(({ email }) => !isAllowed(email, domains));
  if (refused.length === 0) return;
  throw new Problem('email_domain_not_allowed', {
    errors: refused.map(({ email, pointer }) => ({
      pointer,
      code: 'email_domain_not_allowed',
      message: `${email} cannot be a member: the platform accepts e-mails of ${domains.join(', ')} only.`,
    })),
  });
};

/** Throws Problem `email_domain_not_allowed` for a person who is to be added at this pointer. */
export const assertDomainAllowed = (email: string, pointer: string, domains: readonly string[]): void =>
  assertDomainsAllowed([{ email, pointer }], domains);

/** What is wrong with a member, at this pointer, beside those before. */
export const memberFaults = (
  member: Member,
  others: readonly Member[],
  pointer: string,
): readonly Fault[] => {
  if (!usernameForm.test(member.username)) {
    return [
      {
        pointer: `${pointer}/username`,
        code: 'username_needed',
        message: `${member.email} cannot be the name of a hub user. Set a username for this member.`,
      },
    ];
  }
  if (others.some(({ email }) => email === member.email)) {
    return [
      {
        pointer: `${pointer}/email`,
        code: 'duplicate',
        message: `${member.email} is already a member.`,
      },
    ];
  }
  if (others.some(({ username }) => username === member.username)) {
    return [
      {
        pointer: `${pointer}/username`,
        code: 'duplicate',
        message: `Another member already has the hub user ${member.username}.`,
      },
    ];
  }
  return [];
};

/** Whether two lists give access to the same people as the same hub users: their roles may differ. */
export const haveSameAccess = (some: readonly Member[], others: readonly Member[]): boolean => {
  const access = (members: readonly Member[]) => members.map(({ email, username }) => [email, username]);
  return isDeepStrictEqual(access(some), access(others));
};

export const sortedMembers = (members: readonly Member[]): readonly Member[] =>
  members.toSorted((a, b) => (a.email < b.email ? -1 : 1));

interface MembersContext {
  /** The members so far. */
  readonly current?: readonly Member[];
  /** Domains of e-mails that may become members; none for any. */
  readonly allowedDomains?: readonly string[];
}

/**
 * Members as they are stored: e-mails and hub user names in lower case, sorted by e-mail. A member who is listed keeps
 * the role and hub user name that the order leaves out. Throws Problem `validation_failed` when two share an e-mail or
 * a hub user (the later one is named), or when an e-mail cannot serve as the name of a hub user: a slash in it would be
 * another path. Throws `email_domain_not_allowed` for those who are new.
 */
export const membersOf = (
  orders: readonly MemberOrder[],
  { current = [], allowedDomains = [] }: MembersContext = {},
): readonly Member[] => {
  const known = new Map(current.map((member) => [member.email, member]));
  const members = orders.map((order) => memberOf(order, known.get(lowerCaseAscii(order.email))));
  const faults = members.flatMap((member, index) =>
    memberFaults(member, members.slice(0, index), `/members/${index}`),
  );
  // A new team has its creator beside those of the list, which its schema limits.
  if (members.length > membersMax) {
    const message = `A team can have at most ${membersMax} members, its creator included.`;
    throw new Problem('validation_failed', { errors: [{ pointer: '/members', code: 'too_many', message }] });
  }
  if (faults.length > 0) throw new Problem('validation_failed', { errors: faults });
  assertDomainsAllowed(
    members.flatMap(({ email }, index) =>
      known.has(email) ? [] : [{ email, pointer: `/members/${index}/email` }],
    ),
    allowedDomains,
  );
  return sortedMembers(members);
};

/**
 * The members of a new team: those that the order lists, and its creator as an owner. The domain of the creator’s
 * e-mail is not restricted: the issuer vouches for it.
 */
export const membersOfNewTeam = (
  orders: readonly MemberOrder[],
  creator: string,
  allowedDomains: readonly string[],
): readonly Member[] => {
  const email = lowerCaseAscii(creator);
  const index = orders.findIndex((order) => lowerCaseAscii(order.email) === email);
  if (orders[index]?.role === 'member') {
    const message =
      'You create this team, so you are its owner. Leave the role out; an owner can change it later.';
    throw new Problem('validation_failed', {
      errors: [{ pointer: `/members/${index}/role`, code: 'creator_is_owner', message }],
    });
  }
  const asOwner = {
    email,
    username: lowerCaseAscii(orders[index]?.username ?? email),
    role: 'owner',
  } as const;
  return membersOf(index === -1 ? [...orders, asOwner] : orders, { current: [asOwner], allowedDomains });
};
