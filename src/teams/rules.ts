import { isDeepStrictEqual } from 'node:util';
import type { Change } from '../model/change.ts';
import type { HistoryEvent } from '../model/history.ts';
import { deriveNames, type Naming } from '../model/names.ts';
import { Problem } from '../model/problems.ts';
import type { Deletion, TeamRecord } from '../model/record.ts';
import type { Team, TeamOrder, TeamPatch } from '../model/team.ts';
import { unlimited } from '../model/team-quota.ts';
import type { TeamWarning } from '../model/team-warnings.ts';
import type { Decision } from '../ports/store.ts';
import { haveSameAccess, membersOf, membersOfNewTeam } from './members.ts';
import { assertMaySetQuota, assertMembersFit, patchedQuota } from './quota.ts';
import { assertOwner, assertOwnerStays, type Requester } from './roles.ts';

/** Who makes a change, and when. `now` is ISO 8601. */
export interface Actor {
  readonly by: string;
  /** The stable subject of the account, if the token has one. */
  readonly bySubject?: string;
  readonly now: string;
}

/** The author, as a history entry or an operation stores it. */
export const authorOf = ({ by, bySubject }: Omit<Actor, 'now'>): Pick<HistoryEvent, 'by' | 'bySubject'> => ({
  by,
  ...(bySubject === undefined ? {} : { bySubject }),
});

/** The author and the time of a history entry. */
export const authored = (actor: Actor): Pick<HistoryEvent, 'at' | 'by' | 'bySubject'> => ({
  at: actor.now,
  ...authorOf(actor),
});

/**
 * A new team, due for reconciliation at once; the actor is its owner. `id` is the slug and four hexadecimal digits,
 * chosen by the caller. Throws Problem `validation_failed`, `email_domain_not_allowed` or `quota_exceeded`.
 */
export const newTeam = (
  order: TeamOrder,
  id: string,
  act: Actor,
  naming: Naming,
  allowedDomains: readonly string[] = [],
): TeamRecord => {
  const quota = patchedQuota(unlimited, order.quota);
  const members = membersOfNewTeam(order.members ?? [], act.by, allowedDomains);
  assertMembersFit(quota, [], members);
  return {
    slug: order.slug,
    id,
    names: deriveNames({ slug: order.slug, id }, naming),
    createdAt: act.now,
    updatedAt: act.now,
    members,
    ghcrRepositories: [...new Set(order.ghcrRepositories ?? [])].toSorted(),
    garTeam: order.garTeam ?? null,
    quota,
    revision: 1,
    notebookRevision: 0,
    generation: 1,
    notebook: null,
    deletion: null,
    release: null,
    status: { phase: 'Pending', conditions: [], appliedGeneration: 0, appliedRevision: 0, wasReady: false },
    statusVersion: 0,
    reconcile: { dueAt: act.now, failures: 0 },
    culling: { dueAt: null, servers: {} },
    egressHosts: [],
  };
};

/** Throws Problem `deleting` when the team is being deleted. */
export const assertStays = (team: TeamRecord): void => {
  if (team.deletion !== null) {
    throw new Problem('deleting', {
      detail: `The team ${team.slug} is being deleted. Wait until it is gone.`,
    });
  }
};

const facets = ({ members, ghcrRepositories, garTeam, quota }: TeamRecord) => ({
  members,
  ghcrRepositories,
  garTeam,
  quota,
});

const differences = (from: TeamRecord, to: TeamRecord): Change[] => {
  const before = facets(from);
  const after = facets(to);
  return (['members', 'ghcrRepositories', 'garTeam', 'quota'] as const)
    .filter((facet) => !isDeepStrictEqual(before[facet], after[facet]))
    .map((facet) => ({ pointer: `/${facet}`, from: before[facet], to: after[facet] }));
};

/** What changes with every new desired state. */
export const bumpGeneration = (
  team: TeamRecord,
  act: Actor,
): Pick<TeamRecord, 'generation' | 'reconcile'> => ({
  generation: team.generation + 1,
  reconcile: { dueAt: act.now, failures: 0 },
});

/** Throws the Problem that a change of the whole list of members has. */
const assertMayReplaceMembers = (team: TeamRecord, members: TeamRecord['members'], by: Requester): void => {
  if (isDeepStrictEqual(team.members, members)) return;
  assertOwner(team, by, 'change its members');
  const includesCaller = (list: TeamRecord['members']) => list.some(({ email }) => email === by.email);
  if (includesCaller(team.members) && !includesCaller(members)) throw new Problem('removes_you');
  assertOwnerStays(team.members, members);
};

/** Who changes members, and the domains of e-mails that may become members; none for any. */
export interface MembersContext {
  readonly requester: Requester;
  readonly allowedDomains?: readonly string[];
}

/**
 * Applies a merge patch to the team; null resets to the default. Undefined when nothing changes. A listed member keeps
 * what the order leaves out. Throws Problem `deleting`, `validation_failed`, `email_domain_not_allowed`, `forbidden`,
 * `removes_you`, `last_owner` or `quota_exceeded`.
 */
export const patchTeam = (
  team: TeamRecord,
  patch: TeamPatch,
  act: Actor,
  { requester, allowedDomains = [] }: MembersContext,
): Decision | undefined => {
  assertStays(team);
  const next: TeamRecord = {
    ...team,
    ...(patch.members === undefined
      ? {}
      : { members: membersOf(patch.members ?? [], { current: team.members, allowedDomains }) }),
    ...(patch.ghcrRepositories === undefined
      ? {}
      : { ghcrRepositories: [...new Set(patch.ghcrRepositories ?? [])].toSorted() }),
    ...(patch.garTeam === undefined ? {} : { garTeam: patch.garTeam }),
    quota: patchedQuota(team.quota, patch.quota),
  };
  assertMaySetQuota(team.quota, next.quota, requester);
  assertMayReplaceMembers(team, next.members, requester);
  assertMembersFit(next.quota, team.members, next.members);
  const changes = differences(team, next);
  if (changes.length === 0) return undefined;
  const isRoleOnly =
    changes.every(({ pointer }) => pointer === '/members') && haveSameAccess(team.members, next.members);
  return {
    next: {
      ...next,
      ...(isRoleOnly ? {} : bumpGeneration(team, act)),
      revision: team.revision + 1,
      updatedAt: act.now,
    },
    event: { ...authored(act), action: 'team_updated', revision: null, changes },
  };
};

/** Marks the team for deletion; a second request can only delete more. */
export const deleteTeam = (
  team: TeamRecord,
  asked: Omit<Deletion, 'requestedAt'>,
  act: Actor,
): Decision | undefined => {
  const before = team.deletion;
  const operation = before?.operation ?? asked.operation;
  const deletion: Deletion = {
    // Homes created after the request are not part of it, unless the request is repeated.
    requestedAt: before === null || asked.deleteHomes ? act.now : before.requestedAt,
    deleteHomes: asked.deleteHomes || (before?.deleteHomes ?? false),
    deleteSecret: asked.deleteSecret || (before?.deleteSecret ?? false),
    ...(operation === undefined ? {} : { operation }),
  };
  if (isDeepStrictEqual(before, deletion)) return undefined;
  return {
    next: {
      ...team,
      ...bumpGeneration(team, act),
      deletion,
      revision: team.revision + 1,
      updatedAt: act.now,
      status: { ...team.status, phase: 'Deleting' },
      statusVersion: team.statusVersion + 1,
    },
    event: {
      ...authored(act),
      action: 'team_deleted',
      revision: null,
      changes: [{ pointer: '/deletion', from: before, to: deletion }],
    },
  };
};

/** The team as its clients see it; `warnings` are about the change that is answered. */
export const teamView = (team: TeamRecord, warnings: readonly TeamWarning[] = []): Team => ({
  slug: team.slug,
  id: team.id,
  namespace: team.names.namespace,
  hubUrl: team.names.hubUrl,
  serviceAccount: team.names.googleServiceAccount.email,
  members: [...team.members],
  ghcrRepositories: [...team.ghcrRepositories],
  garTeam: team.garTeam,
  quota: team.quota,
  phase: team.deletion === null ? team.status.phase : 'Deleting',
  revision: team.revision,
  createdAt: team.createdAt,
  updatedAt: team.updatedAt,
  warnings: [...warnings],
});
