import type { Caller } from '../http/auth.ts';
import { isoOf } from '../lib/time.ts';
import { Problem } from '../model/problems.ts';
import type { TeamRecord } from '../model/record.ts';
import type { Clock } from '../ports/runtime.ts';
import type { Store } from '../ports/store.ts';
import type { Actor } from '../teams/rules.ts';

/** Members may do everything with their team, platform admins with every team. */
const mayUse = (team: TeamRecord, caller: Caller): boolean =>
  caller.isAdmin || team.members.some(({ email }) => email === caller.email);

/**
 * The team of this slug. Throws Problem `not_found`, the very same for a team that the caller may not see and
 * for one that does not exist.
 */
export const teamOf = async (store: Store, slug: string, caller: Caller): Promise<TeamRecord> =>
  authorize(await store.team(slug), caller);

/** The same rule where the team is at hand, such as inside a decision. */
export const authorize = (team: TeamRecord | undefined, caller: Caller): TeamRecord => {
  if (team === undefined || !mayUse(team, caller)) throw new Problem('not_found');
  return team;
};

/** What a caller does now, for the decision and its history. */
export const actorOf = (caller: Caller, clock: Clock): Actor => ({
  by: caller.email,
  now: isoOf(clock.now()),
});
