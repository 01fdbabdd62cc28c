import { isDeepStrictEqual } from 'node:util';
import { bytesOf } from '../lib/quantity.ts';
import type { NotebookSpec } from '../model/notebook.ts';
import { Problem } from '../model/problems.ts';
import type { Member } from '../model/team.ts';
import { type TeamQuota, type TeamQuotaPatch, unlimited } from '../model/team-quota.ts';
import type { Requester } from './roles.ts';

/** The quota after a merge patch; undefined leaves it as it is. */
export const patchedQuota = (quota: TeamQuota, patch: TeamQuotaPatch | undefined): TeamQuota =>
  patch === null ? unlimited : { ...quota, ...patch };

/** Throws Problem `forbidden` when someone other than an admin would change the quota. */
export const assertMaySetQuota = (
  before: TeamQuota,
  after: TeamQuota,
  { isAdmin }: Pick<Requester, 'isAdmin'>,
): void => {
  if (isAdmin || isDeepStrictEqual(before, after)) return;
  throw new Problem('forbidden', {
    detail:
      'Only a platform admin can set, change or remove the quota of a team. Leave quota out and ask a platform admin.',
  });
};

/**
 * Throws Problem `quota_exceeded` when someone would join a team beyond its quota. A team that has more members than a
 * lowered quota keeps them, and can remove some of them one by one.
 */
export const assertMembersFit = (
  { members: most }: Pick<TeamQuota, 'members'>,
  before: readonly Member[],
  after: readonly Member[],
): void => {
  if (most === null || after.length <= most) return;
  const emails = new Set(before.map(({ email }) => email));
  if (after.every(({ email }) => emails.has(email))) return;
  const left = Math.max(0, most - before.length);
  throw new Problem('quota_exceeded', {
    detail: `The team has ${before.length} of at most ${most} members (${left} left); this request would make it ${after.length}. Remove a member first, or ask a platform admin for a larger quota.`,
  });
};

interface Dimension {
  readonly name: string;
  readonly limit: number | string | null;
  readonly valueIn: (spec: NotebookSpec) => number | string;
}

const dimensions = (quota: TeamQuota): readonly Dimension[] => [
  { name: 'a CPU guarantee', limit: quota.cpu, valueIn: ({ resources }) => resources.cpu.guarantee },
  { name: 'a memory guarantee', limit: quota.memory, valueIn: ({ resources }) => resources.memory.guarantee },
  { name: 'a home volume', limit: quota.home, valueIn: ({ storage }) => storage.home },
];

const amountOf = (value: number | string): number => (typeof value === 'number' ? value : bytesOf(value));

const printed = (value: number | string): string =>
  typeof value === 'number' ? `${value} ${value === 1 ? 'core' : 'cores'}` : value;

/**
 * Throws Problem `quota_exceeded` for an order of which not even one server fits the quota. What the team has ordered
 * before the quota was lowered does not prevent other changes.
 */
export const assertOneServerFits = (
  quota: TeamQuota,
  before: NotebookSpec | undefined,
  spec: NotebookSpec,
): void => {
  const exceeded = dimensions(quota).flatMap(({ name, limit, valueIn }) => {
    const value = valueIn(spec);
    if (limit === null || amountOf(value) <= amountOf(limit)) return [];
    if (before !== undefined && amountOf(value) <= amountOf(valueIn(before))) return [];
    return [`${name} of ${printed(value)}, and the team’s quota is ${printed(limit)}`];
  });
  if (exceeded.length === 0) return;
  throw new Problem('quota_exceeded', {
    detail: `Not even one server fits the quota: the order asks for ${exceeded.join('; for ')}. Order less, or ask a platform admin for a larger quota.`,
  });
};
