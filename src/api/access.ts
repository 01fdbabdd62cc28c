import type { Caller } from '../http/auth.ts';
import { isoOf } from '../lib/time.ts';
import { Problem } from '../model/problems.ts';
import type { TeamRecord } from '../model/record.ts';
import type { Clock } from '../ports/runtime.ts';
import type { Store } from '../ports/store.ts';
import type { Actor } from '../teams/rules.ts';

/** Members have full access to their team, platform admins to every team. */
const mayUse = (team: TeamRecord, caller: Caller): boolean =>
  caller.isAdmin || team.members.some(({ email }) => email === caller.email);

/**
 * The team with this slug. Throws the same Problem `not_found` for a team that the caller has no access to and for
 * one that does not exist.
 */
export const teamOf = async (store: Store, slug: string, caller: Caller): Promise<TeamRecord> =>
  authorize(await store.team(slug), caller);

/** The same check for a team that was already read, such as inside a decision. */
export const authorize = (team: TeamRecord | undefined, caller: Caller): TeamRecord => {
  if (team === undefined || !mayUse(team, caller)) throw new Problem('not_found');
  return team;
};

/** The caller and the current time, for a decision and its history entry. */
export const actorOf = (caller: Caller, clock: Clock): Actor => ({
  by: caller.email,
  ...(caller.subject === null ? {} : { bySubject: caller.subject }),
  now: isoOf(clock.now()),
});
