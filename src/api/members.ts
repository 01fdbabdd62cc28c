import Type from 'typebox';
import { pageAnswer, pageRequest } from '../http/pages.ts';
import { checkPreconditions, etagOf, preconditionsOf, WriteHeaders } from '../http/preconditions.ts';
import type { App } from '../http/server.ts';
import { ref } from '../lib/schema.ts';
import { PageQuery } from '../model/page.ts';
import { Problem } from '../model/problems.ts';
import { LeaverPath, Member, MemberPage, MemberPath, MemberSettings, TeamPath } from '../model/team.ts';
import { addMember, memberPage, memberWith, removeMember } from '../teams/membership.ts';
import { actorOf, authorize, teamOf } from './access.ts';
import type { TeamRouteDeps } from './teams.ts';

export const memberSchemas = [Member, MemberPage, MemberSettings];

const tags = ['teams'];
const emailForm = /^[^\s@]+@[^\s@]+$/;

export const registerMembers = (app: App, deps: TeamRouteDeps): void => {
  const { store, clock, teamLimits } = deps;
  const allowedDomains = teamLimits.memberEmailDomains;

  app.route({
    method: 'GET',
    url: '/v1/teams/:team/members',
    schema: {
      operationId: 'listMembers',
      summary: 'List the members of a team',
      description: 'By e-mail. A team has them all in `members` too.',
      tags,
      problems: ['invalid_cursor'],
      params: TeamPath,
      querystring: PageQuery,
      response: { 200: ref(MemberPage) },
    },
    handler: async ({ params, query, caller }) => {
      const team = await teamOf(store, params.team, caller);
      const list = { name: 'members', view: team.id, position: emailForm };
      return pageAnswer(memberPage(team, pageRequest(query, list)), list, (member) => member);
    },
  });

  app.route({
    method: 'PUT',
    url: '/v1/teams/:team/members/:email',
    config: { optionalBody: true },
    schema: {
      operationId: 'addMember',
      summary: 'Add a member, or change a member’s role or hub user name',
      description:
        'Only owners can do this. What the body leaves out stays as it is for a member; a new one gets the role member and a hub user named by the e-mail. Repeating the request changes nothing. The ETag is the team’s; If-Match is not needed: the request changes one person only, so concurrent requests for others lose nothing.',
      tags,
      problems: [
        'forbidden',
        'last_owner',
        'quota_exceeded',
        'email_domain_not_allowed',
        'revision_mismatch',
        'deleting',
        'busy',
      ],
      params: MemberPath,
      headers: WriteHeaders,
      body: ref(MemberSettings),
      response: { 200: ref(Member) },
    },
    handler: async ({ params, body, caller, headers, log }, reply) => {
      const preconditions = preconditionsOf(headers);
      const { email } = params;
      await teamOf(store, params.team, caller);
      const changed = await store.change(params.team, (current) => {
        const team = authorize(current, caller);
        checkPreconditions(preconditions, team);
        return addMember(team, { email, ...body }, actorOf(caller, clock), {
          requester: caller,
          allowedDomains,
        });
      });
      const team = authorize(changed, caller);
      const member = memberWith(team, email);
      if (member === undefined) throw new Problem('not_found');
      log.info({ team: team.slug, role: member.role }, 'member added or changed');
      const reconciled = (await deps.reconcile(team)) ?? team;
      return reply.header('etag', etagOf(reconciled)).send(member);
    },
  });

  app.route({
    method: 'DELETE',
    url: '/v1/teams/:team/members/:email',
    schema: {
      operationId: 'removeMember',
      summary: 'Remove a member, or leave the team',
      description:
        'Owners can remove anyone; everyone can remove themselves. Access to the team ends at once. The member’s server is stopped and their access to the secret ends with the next reconcile; the home volume is kept. Removing someone who is not a member is a success too.',
      tags,
      problems: ['forbidden', 'last_owner', 'revision_mismatch', 'deleting', 'busy'],
      params: LeaverPath,
      headers: WriteHeaders,
      response: { 204: Type.Unsafe<undefined>({ description: 'The person is not a member.' }) },
    },
    handler: async ({ params, caller, headers, log }, reply) => {
      const preconditions = preconditionsOf(headers);
      await teamOf(store, params.team, caller);
      const team = await store.change(params.team, (current) => {
        const team = authorize(current, caller);
        checkPreconditions(preconditions, team);
        return removeMember(team, params.email, actorOf(caller, clock), caller);
      });
      if (team === undefined) throw new Problem('not_found');
      log.info({ team: team.slug }, 'member removed');
      await deps.reconcile(team);
      return reply.code(204).send();
    },
  });
};
