import type { Member } from '../model/team.ts';

/** What is to be done at a hub for its users to be the team’s members. */
export interface HubUsersDiff {
  /** Members whom the hub does not know yet. */
  readonly missing: readonly string[];
  /** Hub users who are not members (any more). */
  readonly leavers: readonly string[];
}

/** Only members are hub users: whoever else is one could log in. Hub user names are in lower case. */
export const hubUsersDiff = (members: readonly Member[], hubUsers: readonly string[]): HubUsersDiff => {
  const wanted = new Set(members.map(({ username }) => username));
  const known = new Set(hubUsers);
  return {
    missing: [...wanted].filter((name) => !known.has(name)).toSorted(),
    leavers: [...known].filter((name) => !wanted.has(name)).toSorted(),
  };
};
