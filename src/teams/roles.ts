import type { NotebookSpec } from '../model/notebook.ts';
import { Problem } from '../model/problems.ts';
import type { TeamRecord } from '../model/record.ts';
import type { Member } from '../model/team.ts';
import { isRestricted } from './lifecycle.ts';

/** Who asks for something, as far as their rights in a team depend on it. The e-mail is in lower case. */
export interface Requester {
  readonly email: string;
  readonly isAdmin: boolean;
}

type Members = Pick<TeamRecord, 'members'>;

export const ownersOf = (members: readonly Member[]): readonly string[] =>
  members.flatMap(({ email, role }) => (role === 'owner' ? [email] : []));

/** Whether the requester may do what only owners may: an owner, or a platform admin. */
export const hasOwnerRights = ({ members }: Members, { email, isAdmin }: Requester): boolean =>
  isAdmin || ownersOf(members).includes(email);

const namedOwners = 3;

const whomToAsk = (owners: readonly string[]): string => {
  if (owners.length === 0) return 'It has no owner; ask a platform admin.';
  const named = owners.slice(0, namedOwners).join(', ');
  const more = owners.length > namedOwners ? ` and ${owners.length - namedOwners} more` : '';
  return `Ask an owner (${named}${more}) or a platform admin.`;
};

/** Throws Problem `forbidden`, which says who may. `what` completes “Only owners of … can”. */
export const assertOwner = (
  team: Members & Pick<TeamRecord, 'slug'>,
  requester: Requester,
  what: string,
): void => {
  if (hasOwnerRights(team, requester)) return;
  throw new Problem('forbidden', {
    detail: `Only owners of the team ${team.slug} can ${what}. ${whomToAsk(ownersOf(team.members))}`,
  });
};

/** Throws Problem `forbidden` when this configuration would lift the restriction of the team’s egress. */
export const assertMayOptOut = (
  team: Pick<TeamRecord, 'members' | 'slug' | 'notebook'>,
  spec: NotebookSpec,
  requester: Requester,
): void => {
  if (!isRestricted(team) || spec.allowlist.enabled) return;
  assertOwner(team, requester, 'opt out of the allowlist');
};

/**
 * Throws Problem `last_owner` when a team that has an owner would have none. A team without an owner comes from a
 * version before roles, whose member list could be empty.
 */
export const assertOwnerStays = (before: readonly Member[], after: readonly Member[]): void => {
  const [owner] = ownersOf(before);
  if (owner === undefined || ownersOf(after).length > 0) return;
  throw new Problem('last_owner', {
    detail: `${owner} is the last owner. Make another member an owner first, or delete the team.`,
  });
};
