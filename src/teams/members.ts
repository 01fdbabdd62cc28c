import type { Member } from '../model/team.ts';

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
