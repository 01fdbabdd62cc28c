import { isDeepStrictEqual } from 'node:util';
import Type from 'typebox';
import type { Caller } from '../http/auth.ts';
import { type IdempotencyDeps, IdempotencyHeaders, idempotencyProblems, once } from '../http/idempotency.ts';
import { pageAnswer, pageRequest } from '../http/pages.ts';
import {
  checkPreconditions,
  etagOf,
  NotModified,
  preconditionsOf,
  ReadHeaders,
  unchanged,
  WriteHeaders,
} from '../http/preconditions.ts';
import type { App } from '../http/server.ts';
import { assertFits } from '../http/validation.ts';
import { asCaller } from '../images/as-caller.ts';
import { repositoryWarnings } from '../images/repository-warnings.ts';
import { lowerCaseAscii } from '../lib/ascii.ts';
import { closed, oneOf, ref } from '../lib/schema.ts';
import { phases } from '../model/condition.ts';
import type { HistoryEvent } from '../model/history.ts';
import type { Naming } from '../model/names.ts';
import { PageQuery } from '../model/page.ts';
import { Problem } from '../model/problems.ts';
import type { TeamRecord } from '../model/record.ts';
import { MemberOrder, slugPattern, Team, TeamOrder, TeamPage, TeamPatch, TeamPath } from '../model/team.ts';
import type { TeamLimits } from '../model/team-limits.ts';
import { TeamQuota, TeamQuotaOrder, TeamQuotaPatch, unlimited } from '../model/team-quota.ts';
import { TeamWarning } from '../model/team-warnings.ts';
import type { Registries } from '../ports/registries.ts';
import type { Clock } from '../ports/runtime.ts';
import type { Store } from '../ports/store.ts';
import type { BoundedReconcile } from '../reconcile/bounded.ts';
import { repositoryFaults, withRepositoryNames } from '../teams/ghcr.ts';
import { assertMayCreateTeam, assertSlugNotReserved } from '../teams/limits.ts';
import { assertMaySetQuota, patchedQuota } from '../teams/quota.ts';
import { assertOwner } from '../teams/roles.ts';
import { authored, authorOf, deleteTeam, newTeam, patchTeam, teamView } from '../teams/rules.ts';
import { actorOf, authorize, teamOf } from './access.ts';
import { acceptedOperation, followOrder, sendOperation } from './operation-answer.ts';
import type { OperationRouteDeps } from './operations.ts';

export const teamSchemas = [
  MemberOrder,
  Team,
  TeamOrder,
  TeamPatch,
  TeamPage,
  TeamQuota,
  TeamQuotaOrder,
  TeamQuotaPatch,
  TeamWarning,
];

const TeamsQuery = closed({
  ...PageQuery.properties,
  phase: Type.Optional(oneOf(phases, { description: 'Only teams in this phase.' })),
  member: Type.Optional(
    Type.String({
      format: 'email',
      maxLength: 254,
      description: 'Only teams of this person. Only a platform admin may name another person.',
      examples: ['kari.nordmann@nav.no'],
    }),
  ),
  slugPrefix: Type.Optional(
    Type.String({
      pattern: '^[a-z][a-z0-9-]*$',
      maxLength: 25,
      description: 'Only teams whose slug starts with this text.',
      examples: ['team-'],
    }),
  ),
});

const tags = ['teams'];
const slugForm = new RegExp(slugPattern);

/** How many ids are tried for a new team; a slug has 65,536. */
const idTries = 10;

/** How long GHCR may take in all to say whether the team’s repositories exist. */
const repositoriesDeadlineMs = 2_000;

export interface TeamRouteDeps {
  readonly store: Store;
  readonly clock: Clock;
  readonly naming: Naming;
  readonly idempotency: IdempotencyDeps;
  readonly teamLimits: TeamLimits;
  readonly registries: Registries;
  readonly ghcrOwner: string;
  /** Four hexadecimal digits, at random. */
  readonly newSuffix: () => string;
  /** One bounded reconcile after a write; answers the team as it is then, undefined when it is gone. */
  readonly reconcile: BoundedReconcile['afterWrite'];
  /** The same for a reader: at most once a second per team, and only while a change is under way. */
  readonly look: BoundedReconcile['whileUnderWay'];
  /** Whether home volumes exist; throws Unavailable when the cluster does not answer. */
  readonly hasHomes: (team: TeamRecord) => Promise<boolean>;
  /** Whether the team’s secret holds anything; throws Unavailable when Secret Manager does not answer. */
  readonly hasSecret: (team: TeamRecord) => Promise<boolean>;
  readonly operations: OperationRouteDeps['operations'];
}

export const registerTeams = (app: App, deps: TeamRouteDeps): void => {
  const { store, clock, teamLimits, ghcrOwner } = deps;
  const allowedDomains = teamLimits.memberEmailDomains;
  const actor = (caller: Caller) => actorOf(caller, clock);

  const assertMaySetGarTeam = (order: { garTeam?: string | null }, caller: Caller): void => {
    if (order.garTeam === undefined || order.garTeam === null || caller.isTeamCreator || caller.isAdmin)
      return;
    throw new Problem('forbidden', {
      detail:
        'garTeam grants access to a team’s images, so only a platform admin or team creator can set it. Leave it out and ask a platform admin.',
    });
  };

  /** The team after a bounded reconcile, with what GHCR says meanwhile about its repositories. */
  const answerTo = async (written: TeamRecord, ordersRepositories: boolean) => {
    const registries = asCaller(deps.registries, { name: written.id, purpose: 'lookup' });
    const asked = ordersRepositories ? written.ghcrRepositories : [];
    const [reconciled = written, warnings] = await Promise.all([
      deps.reconcile(written),
      repositoryWarnings(
        { registries, owner: ghcrOwner },
        asked,
        AbortSignal.timeout(repositoriesDeadlineMs),
      ),
    ]);
    // Warnings point into the list that was checked; a concurrent change can have replaced it.
    const isSame = isDeepStrictEqual(reconciled.ghcrRepositories, written.ghcrRepositories);
    return { team: reconciled, body: teamView(reconciled, isSame ? warnings : []) };
  };

  app.route({
    method: 'GET',
    url: '/v1/teams',
    schema: {
      operationId: 'listTeams',
      summary: 'List your teams; for a platform admin, all teams',
      description: 'Ordered by slug, ascending.',
      tags,
      problems: ['invalid_cursor', 'forbidden'],
      querystring: TeamsQuery,
      response: { 200: ref(TeamPage) },
    },
    handler: async ({ query, caller }) => {
      const { phase, slugPrefix } = query;
      const asked = query.member === undefined ? undefined : lowerCaseAscii(query.member);
      if (asked !== undefined && asked !== caller.email && !caller.isAdmin)
        throw new Problem('forbidden', {
          detail: 'Only a platform admin may list the teams of another person.',
        });
      const member = asked ?? (caller.isAdmin ? undefined : caller.email);
      const filter = {
        ...(member === undefined ? {} : { member }),
        ...(phase === undefined ? {} : { phase }),
        ...(slugPrefix === undefined ? {} : { slugPrefix }),
      };
      const list = { name: 'teams', view: JSON.stringify(filter), position: slugForm };
      return pageAnswer(await store.teams({ ...filter, ...pageRequest(query, list) }), list, (team) =>
        teamView(team),
      );
    },
  });

  app.route({
    method: 'POST',
    url: '/v1/teams',
    config: { etag: true },
    attachValidation: true,
    schema: {
      operationId: 'createTeam',
      summary: 'Create a team',
      description:
        'You become an owner; a listed member without a role becomes a member. The namespace and the service account are created before the first notebook is ordered. The limits are in getLimits; concurrent requests of one person cannot exceed the limit per person. warnings names the GHCR repositories that were not found, or could not be checked within two seconds.',
      tags,
      problems: [
        'team_exists',
        'forbidden',
        'slug_reserved',
        'quota_exceeded',
        'email_domain_not_allowed',
        'busy',
        ...idempotencyProblems,
      ],
      headers: IdempotencyHeaders,
      body: ref(TeamOrder),
      response: { 201: ref(Team) },
    },
    handler: async (request, reply) => {
      const { body, caller, headers, log } = request;
      assertFits(request, repositoryFaults(body, ghcrOwner));
      assertSlugNotReserved(body.slug, teamLimits);
      assertMaySetGarTeam(body, caller);
      assertMaySetQuota(unlimited, patchedQuota(unlimited, body.quota), caller);
      const keyed = {
        key: headers['idempotency-key'],
        caller: caller.email,
        operation: 'createTeam',
        body,
      };
      const answer = await once(deps.idempotency, keyed, {
        isRepeatable: true,
        mayHaveHappened: () => false,
        async run({ seed }) {
          const created = await create(withRepositoryNames(body, ghcrOwner), caller, seed);
          log.info({ team: created.slug, id: created.id }, 'team created');
          const { team, body: view } = await answerTo(created, true);
          const location = `/v1/teams/${team.slug}`;
          return { status: 201, headers: { location, etag: etagOf(team) }, body: view };
        },
      });
      return reply.code(201).headers(answer.headers).send(answer.body);
    },
  });

  /** `seed`: with the same one, a team that an interrupted attempt has created is found again by its id. */
  const create = async (order: TeamOrder, caller: Caller, seed: string | undefined): Promise<TeamRecord> => {
    for (let attempt = 0; attempt < idTries; attempt++) {
      const author = actor(caller);
      const suffix = attempt === 0 && seed !== undefined ? seed.slice(0, 4) : deps.newSuffix();
      const team = newTeam(order, `${order.slug}-${suffix}`, author, deps.naming, allowedDomains);
      const present = seed === undefined ? undefined : await store.team(order.slug);
      // Before the limits are checked: the team counts already.
      if (present?.id === team.id && present.members.some(({ email }) => email === caller.email))
        return present;
      const event: HistoryEvent = {
        ...authored(author),
        action: 'team_created',
        revision: null,
        changes: [
          {
            pointer: '',
            from: null,
            to: { slug: team.slug, members: team.members, garTeam: team.garTeam, quota: team.quota },
          },
        ],
      };
      const outcome = await store.create(team, event, {
        person: caller.email,
        check: (counts) => assertMayCreateTeam(counts, teamLimits, caller),
      });
      if (outcome === 'created') return team;
      if (outcome === 'slug_taken') {
        throw new Problem('team_exists', {
          detail: `A team ${team.slug} already exists; choose another slug.`,
        });
      }
    }
    throw new Problem('busy');
  };

  app.route({
    method: 'GET',
    url: '/v1/teams/:team',
    schema: {
      operationId: 'getTeam',
      summary: 'Get a team',
      description: 'Members, names in the cluster and in Google Cloud, and the phase.',
      tags,
      params: TeamPath,
      headers: ReadHeaders,
      response: { 200: ref(Team), 304: NotModified },
    },
    handler: async (request, reply) => {
      const team = await teamOf(store, request.params.team, request.caller);
      const current = (await deps.look(team)) ?? team;
      if (unchanged(request, reply, current)) return reply.code(304).send();
      return teamView(current);
    },
  });

  app.route({
    method: 'PATCH',
    url: '/v1/teams/:team',
    attachValidation: true,
    schema: {
      operationId: 'updateTeam',
      summary: 'Change a team’s members, GHCR repositories, GAR team or quota',
      description:
        'A merge patch (RFC 7396): a list replaces the whole list, null resets a field to its default. Only owners can change members; a listed member keeps the role and hub user name that the list leaves out. To change one person without reading the list first, use addMember and removeMember. Only platform admins can change the quota. A quota below what is used is accepted: members and running servers stay, and what needs more is refused until enough is free. If ghcrRepositories is set, warnings names the repositories that were not found, or could not be checked within two seconds.',
      tags,
      problems: [
        'forbidden',
        'removes_you',
        'last_owner',
        'quota_exceeded',
        'email_domain_not_allowed',
        'revision_mismatch',
        'deleting',
        'busy',
      ],
      params: TeamPath,
      headers: WriteHeaders,
      body: ref(TeamPatch),
      response: { 200: ref(Team) },
    },
    handler: async (request, reply) => {
      const { params, body, caller, headers } = request;
      assertFits(request, repositoryFaults(body, ghcrOwner));
      const patch = withRepositoryNames(body, ghcrOwner);
      const preconditions = preconditionsOf(headers);
      await teamOf(store, params.team, caller);
      assertMaySetGarTeam(patch, caller);
      const changed = await store.change(params.team, (current) => {
        const team = authorize(current, caller);
        checkPreconditions(preconditions, team);
        return patchTeam(team, patch, actor(caller), { requester: caller, allowedDomains });
      });
      const team = authorize(changed, caller);
      const answer = await answerTo(team, patch.ghcrRepositories !== undefined);
      return reply.header('etag', etagOf(answer.team)).send(answer.body);
    },
  });

  app.route({
    method: 'DELETE',
    url: '/v1/teams/:team',
    schema: {
      operationId: 'deleteTeam',
      summary: 'Delete a team with everything that belongs to it',
      description:
        'Only owners can delete a team. Rejected while the team has home volumes, or a secret with a payload, unless deleteHomes or deleteSecret is true. The operation can be followed until the team is gone, and read for a week after that, by those who are members now. While the team is being deleted, another request returns the same operation.',
      tags,
      problems: ['forbidden', 'homes_exist', 'secret_exists', 'revision_mismatch', 'busy'],
      params: TeamPath,
      headers: WriteHeaders,
      querystring: closed({
        deleteHomes: Type.Optional(Type.Boolean({ description: 'Delete the home volumes permanently.' })),
        deleteSecret: Type.Optional(Type.Boolean({ description: 'Delete the team’s secret permanently.' })),
      }),
      response: acceptedOperation({
        kind: 'delete_team',
        target: { type: 'team', team: 'team-a', user: null },
        progress: 90,
        message: 'Waiting for namespace team-team-a-3f9c to go.',
      }),
    },
    handler: async ({ params, query, caller, headers, log }, reply) => {
      const preconditions = preconditionsOf(headers);
      const { deleteHomes = false, deleteSecret = false } = query;
      const before = await teamOf(store, params.team, caller);
      assertOwner(before, caller, 'delete it');
      checkPreconditions(preconditions, before);
      if (!deleteHomes && before.deletion === null && (await deps.hasHomes(before)))
        throw new Problem('homes_exist');
      if (!deleteSecret && before.deletion === null && (await deps.hasSecret(before)))
        throw new Problem('secret_exists');
      const operation = deps.operations.newId();
      const changed = await store.change(params.team, (current) => {
        const team = authorize(current, caller);
        assertOwner(team, caller, 'delete it');
        checkPreconditions(preconditions, team);
        return deleteTeam(team, { deleteHomes, deleteSecret, operation }, actor(caller));
      });
      const team = authorize(changed, caller);
      const { slug, deletion, members } = team;
      const id = deletion?.operation;
      if (id === undefined) throw new TypeError(`The deletion of ${slug} has no operation`);
      const fields = { team: slug, id: team.id, deleteHomes, deleteSecret, operation: id };
      log.info(fields, 'team deletion requested');
      const readers = [...new Set([caller.email, ...members.map(({ email }) => email)])];
      const order = { id, kind: 'delete_team', ...authorOf(actorOf(caller, clock)), readers } as const;
      const context = { slug, team: undefined };
      return sendOperation(reply, await followOrder(team, order, deps), context);
    },
  });
};
