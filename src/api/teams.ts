import Type from 'typebox';
import type { Caller } from '../http/auth.ts';
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
import { closed, ref } from '../lib/schema.ts';
import { PageQuery } from '../model/page.ts';
import { Problem } from '../model/problems.ts';
import type { TeamRecord } from '../model/record.ts';
import { Member, MemberOrder, Team, TeamOrder, TeamPage, TeamPatch, TeamPath } from '../model/team.ts';
import type { Clock } from '../ports/runtime.ts';
import type { Store } from '../ports/store.ts';
import type { BoundedReconcile } from '../reconcile/bounded.ts';
import { deleteTeam, newTeam, patchTeam, teamView } from '../teams/rules.ts';
import { actorOf, authorize, teamOf } from './access.ts';

export const teamSchemas = [Member, MemberOrder, Team, TeamOrder, TeamPatch, TeamPage];

const tags = ['teams'];

/** How many ids are tried before we give up; 65,536 are there per slug. */
const idTries = 10;

export interface TeamRouteDeps {
  readonly store: Store;
  readonly clock: Clock;
  readonly hubUrlTemplate: string;
  readonly googleProject: string;
  /** Four hexadecimal digits, at random. */
  readonly newSuffix: () => string;
  /** One bounded look right after a write; answers the team as it stands then, undefined when it is gone. */
  readonly reconcile: BoundedReconcile['afterWrite'];
  /** The same for who watches: at most once a second per team, and only while something is under way. */
  readonly look: BoundedReconcile['whileUnderWay'];
  /** Whether home volumes exist; throws Unavailable when the cluster does not say. */
  readonly hasHomes: (team: TeamRecord) => Promise<boolean>;
  /** Whether the team’s secret holds anything; throws Unavailable when Secret Manager does not say. */
  readonly hasSecret: (team: TeamRecord) => Promise<boolean>;
}

export const registerTeams = (app: App, deps: TeamRouteDeps): void => {
  const { store, clock } = deps;
  const act = (caller: Caller) => actorOf(caller, clock);
  const view = (team: TeamRecord) => teamView(team, deps.hubUrlTemplate, deps.googleProject);

  const assertMaySetGarTeam = (order: { garTeam?: string | null }, caller: Caller): void => {
    if (order.garTeam === undefined || order.garTeam === null || caller.isTeamCreator || caller.isAdmin)
      return;
    throw new Problem('forbidden', {
      detail:
        'garTeam gives access to a team’s images; a platform admin sets it. Leave it out and ask for it.',
    });
  };

  app.route({
    method: 'GET',
    url: '/v1/teams',
    schema: {
      operationId: 'listTeams',
      summary: 'Your teams; every team for a platform admin',
      tags,
      problems: ['invalid_cursor'],
      querystring: PageQuery,
      response: { 200: ref(TeamPage) },
    },
    handler: async ({ query, caller }) => {
      const list = { name: 'teams', view: caller.isAdmin ? 'all' : caller.email };
      const member = caller.isAdmin ? {} : { member: caller.email };
      return pageAnswer(await store.teams({ ...member, ...pageRequest(query, list) }), list, view);
    },
  });

  app.route({
    method: 'POST',
    url: '/v1/teams',
    schema: {
      operationId: 'createTeam',
      summary: 'Create a team',
      description:
        'You become a member. Namespace and service account stand before the first notebook is ordered.',
      tags,
      problems: ['team_exists', 'forbidden', 'busy'],
      body: ref(TeamOrder),
      response: { 201: ref(Team) },
    },
    handler: async ({ body, caller, log }, reply) => {
      assertMaySetGarTeam(body, caller);
      const created = await create(body, caller);
      log.info({ team: created.slug, id: created.id }, 'team created');
      const team = (await deps.reconcile(created)) ?? created;
      return reply
        .code(201)
        .header('location', `/v1/teams/${team.slug}`)
        .header('etag', etagOf(team))
        .send(view(team));
    },
  });

  const create = async (order: TeamOrder, caller: Caller): Promise<TeamRecord> => {
    for (let attempt = 0; attempt < idTries; attempt++) {
      const { by, now } = act(caller);
      const team = newTeam(order, `${order.slug}-${deps.newSuffix()}`, { by, now });
      const outcome = await store.create(team, {
        at: now,
        by,
        action: 'team_created',
        revision: null,
        changes: [
          { path: '', from: null, to: { slug: team.slug, members: team.members, garTeam: team.garTeam } },
        ],
      });
      if (outcome === 'created') return team;
      if (outcome === 'slug_taken') {
        throw new Problem('team_exists', {
          detail: `There is a team ${team.slug} already; choose another slug.`,
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
      summary: 'A team',
      tags,
      params: TeamPath,
      headers: ReadHeaders,
      response: { 200: ref(Team), 304: NotModified },
    },
    handler: async (request, reply) => {
      const team = await teamOf(store, request.params.team, request.caller);
      const looked = (await deps.look(team)) ?? team;
      if (unchanged(request, reply, looked)) return reply.code(304).send();
      return view(looked);
    },
  });

  app.route({
    method: 'PATCH',
    url: '/v1/teams/:team',
    schema: {
      operationId: 'updateTeam',
      summary: 'Change members, registered GHCR repositories, or the GAR team',
      tags,
      problems: ['forbidden', 'revision_mismatch', 'deleting', 'busy'],
      params: TeamPath,
      headers: WriteHeaders,
      body: ref(TeamPatch),
      response: { 200: ref(Team) },
    },
    handler: async ({ params, body, caller, headers }, reply) => {
      const preconditions = preconditionsOf(headers);
      await teamOf(store, params.team, caller);
      assertMaySetGarTeam(body, caller);
      const changed = await store.change(params.team, (current) => {
        const team = authorize(current, caller);
        checkPreconditions(preconditions, team);
        return patchTeam(team, body, act(caller));
      });
      const team = authorize(changed, { ...caller, isAdmin: true });
      const looked = (await deps.reconcile(team)) ?? team;
      return reply.header('etag', etagOf(looked)).send(view(looked));
    },
  });

  app.route({
    method: 'DELETE',
    url: '/v1/teams/:team',
    schema: {
      operationId: 'deleteTeam',
      summary: 'Delete a team and everything it has',
      description:
        'Refused while there are home volumes, or a secret that holds something, unless you say that they shall go too.',
      tags,
      problems: ['homes_exist', 'secret_exists', 'revision_mismatch', 'busy'],
      params: TeamPath,
      headers: WriteHeaders,
      querystring: closed({
        deleteHomes: Type.Optional(Type.Boolean({ description: 'Delete the home volumes for good.' })),
        deleteSecret: Type.Optional(Type.Boolean({ description: 'Delete the team’s secret for good.' })),
      }),
      response: { 202: ref(Team) },
    },
    handler: async ({ params, query, caller, headers, log }, reply) => {
      const preconditions = preconditionsOf(headers);
      const { deleteHomes = false, deleteSecret = false } = query;
      const before = await teamOf(store, params.team, caller);
      checkPreconditions(preconditions, before);
      if (!deleteHomes && before.deletion === null && (await deps.hasHomes(before)))
        throw new Problem('homes_exist');
      if (!deleteSecret && before.deletion === null && (await deps.hasSecret(before)))
        throw new Problem('secret_exists');
      const changed = await store.change(params.team, (current) => {
        const team = authorize(current, caller);
        checkPreconditions(preconditions, team);
        return deleteTeam(team, { deleteHomes, deleteSecret }, act(caller));
      });
      const team = authorize(changed, caller);
      log.info({ team: team.slug, id: team.id, deleteHomes, deleteSecret }, 'team deletion asked for');
      return reply.code(202).send(view((await deps.reconcile(team)) ?? team));
    },
  });
};
