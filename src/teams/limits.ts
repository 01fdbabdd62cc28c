import { Problem } from '../model/problems.ts';
import type { TeamLimits } from '../model/team-limits.ts';
import type { TeamCounts } from '../ports/store.ts';
import type { Requester } from './roles.ts';

type Bounds = Pick<TeamLimits, 'max' | 'maxPerPerson'>;

const left = (most: number, used: number): string => `${Math.max(0, most - used)} left`;

/** Why the requester may not create another team, as a sentence; undefined when they may. */
const shortageOf = (counts: TeamCounts, limits: Bounds, { isAdmin }: Requester): string | undefined => {
  const { owned, teams } = counts;
  const { max, maxPerPerson } = limits;
  if (!isAdmin && owned >= maxPerPerson) {
    return `You own ${owned} of at most ${maxPerPerson} teams (${left(maxPerPerson, owned)}). Delete one, give up the role of owner in one that has another owner, or ask a platform admin.`;
  }
  if (teams >= max) {
    return `The platform has ${teams} of at most ${max} teams (${left(max, teams)}). Ask a platform admin.`;
  }
  return undefined;
};

export const mayCreateTeam = (counts: TeamCounts, limits: Bounds, requester: Requester): boolean =>
  shortageOf(counts, limits, requester) === undefined;

/** Throws Problem `quota_exceeded`, which says what is used and what is left. Admins are exempt from the limit per person. */
export const assertMayCreateTeam = (counts: TeamCounts, limits: Bounds, requester: Requester): void => {
  const detail = shortageOf(counts, limits, requester);
  if (detail !== undefined) throw new Problem('quota_exceeded', { detail });
};

/** Throws Problem `slug_reserved`, for admins too: the operator’s list says which names the platform needs. */
export const assertSlugNotReserved = (
  slug: string,
  { reservedSlugs }: Pick<TeamLimits, 'reservedSlugs'>,
): void => {
  if (!reservedSlugs.includes(slug)) return;
  const message = `The platform reserves the slug ${slug}; choose another one.`;
  throw new Problem('slug_reserved', {
    detail: message,
    errors: [{ pointer: '/slug', code: 'slug_reserved', message }],
  });
};
