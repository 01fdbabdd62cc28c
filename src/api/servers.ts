import type { FastifyReply } from 'fastify';
import Type from 'typebox';
import type { Caller } from '../http/auth.ts';
import type { App } from '../http/server.ts';
import { ref } from '../lib/schema.ts';
import { exampleOperation, Operation, type OperationRecord } from '../model/operation.ts';
import { Problem } from '../model/problems.ts';
import type { TeamRecord } from '../model/record.ts';
import { ExtendOrder, Server, ServerPage, ServerPath, StartOrder, StopOrder } from '../model/server.ts';
import { TeamPath } from '../model/team.ts';
import type { Clock } from '../ports/runtime.ts';
import type { Store } from '../ports/store.ts';
import { operationView } from '../servers/operation-view.ts';
import type { Servers } from '../servers/servers.ts';
import { actorOf, teamOf } from './access.ts';

export const serverSchemas = [ExtendOrder, Operation, Server, ServerPage, StartOrder, StopOrder];

const tags = ['servers'];
const hubProblems = ['hub_unavailable', 'hub_restarting'] as const;
const orderProblems = [...hubProblems, 'server_busy', 'deleting', 'busy'] as const;

const underWay = (example: Operation) => ({
  description: 'Accepted; follow the operation at Location.',
  headers: {
    location: Type.String({ examples: ['/v1/teams/team-a/operations/op-6f1c2a9be0d34c57'] }),
  },
  content: { 'application/json': { schema: ref(Operation), example } },
});

const { user: _ofNoServer, ...exampleOfHub } = exampleOperation;

const examples = {
  start: { ...exampleOperation, kind: 'start' },
  stop: {
    ...exampleOperation,
    kind: 'stop',
    phase: 'stopping',
    progress: 20,
    message: 'The notebook is stopping.',
  },
  restart: exampleOperation,
  restartHub: {
    ...exampleOfHub,
    kind: 'restart_hub',
    progress: 40,
    message: 'The hub is restarting; notebooks keep running.',
  },
} as const;

const accepted = (reply: FastifyReply, team: TeamRecord, operation: OperationRecord) => {
  reply.code(202).header('location', `/v1/teams/${team.slug}/operations/${operation.id}`);
  return reply.type('application/json').send(operationView(operation));
};

/** What the routes of servers and their operations need. */
export interface ServerRouteDeps {
  readonly store: Store;
  readonly clock: Clock;
  readonly servers: Servers;
}

export const registerServers = (app: App, deps: ServerRouteDeps): void => {
  const { store, clock, servers } = deps;
  const actor = (caller: Caller) => actorOf(caller, clock);

  /** The team, if a notebook is ordered. */
  const teamWithNotebook = async (slug: string, caller: Caller): Promise<TeamRecord> => {
    const team = await teamOf(store, slug, caller);
    if (team.notebook === null) throw new Problem('not_found', { detail: 'No notebook is ordered.' });
    return team;
  };

  const teamOfMember = async (slug: string, user: string, caller: Caller): Promise<TeamRecord> => {
    const team = await teamWithNotebook(slug, caller);
    if (team.members.some(({ username }) => username === user)) return team;
    throw new Problem('not_found', { detail: `No member of this team is the hub user ${user}.` });
  };

  app.route({
    method: 'GET',
    url: '/v1/teams/:team/servers',
    schema: {
      operationId: 'listServers',
      summary: 'List the notebook servers of a team',
      description:
        'One item per member, including members who never started a server. While the hub does not answer, a server with a pod is shown from its pod, and a server without one is unknown, never stopped. If the cluster does not answer either, the answer is hub_unavailable.',
      tags,
      problems: ['hub_unavailable'],
      params: TeamPath,
      response: { 200: ref(ServerPage) },
    },
    handler: async ({ params, caller }) => ({
      items: [...(await servers.list(await teamWithNotebook(params.team, caller)))],
      nextCursor: null,
    }),
  });

  app.route({
    method: 'POST',
    url: '/v1/teams/:team/servers/:user/start',
    config: { optionalBody: true },
    schema: {
      operationId: 'startServer',
      summary: 'Start a member’s server',
      description:
        'Answers the server if it is already running, on whatever profile; to change the profile, stop it first. While a start is open, another request answers the same operation: nothing is started twice. If the hub has reached its limit of concurrent starts, the operation waits.',
      tags,
      problems: [...orderProblems, 'no_environment'],
      params: ServerPath,
      body: ref(StartOrder),
      response: { 200: ref(Server), 202: underWay(examples.start) },
    },
    handler: async ({ params, body, caller }, reply) => {
      const team = await teamOfMember(params.team, params.user, caller);
      const outcome = await servers.start(team, params.user, body.profile, actor(caller));
      return 'server' in outcome ? outcome.server : accepted(reply, team, outcome.operation);
    },
  });

  app.route({
    method: 'POST',
    url: '/v1/teams/:team/servers/:user/stop',
    config: { optionalBody: true },
    schema: {
      operationId: 'stopServer',
      summary: 'Stop a member’s server',
      description:
        'The home volume is kept; packages that were installed globally are lost. With force, the pod is deleted even if the hub does not answer, and an open operation on the server is abandoned.',
      tags,
      problems: orderProblems,
      params: ServerPath,
      body: ref(StopOrder),
      response: { 200: ref(Server), 202: underWay(examples.stop) },
    },
    handler: async ({ params, body, caller }, reply) => {
      const team = await teamOfMember(params.team, params.user, caller);
      const outcome = await servers.stop(team, params.user, body.force ?? false, actor(caller));
      return 'server' in outcome ? outcome.server : accepted(reply, team, outcome.operation);
    },
  });

  app.route({
    method: 'POST',
    url: '/v1/teams/:team/servers/:user/restart',
    config: { optionalBody: true },
    schema: {
      operationId: 'restartServer',
      summary: 'Restart a member’s server',
      description:
        'The server starts with the current configuration, on the profile that was used last. A stopped server is started. If the quota cannot hold it with that configuration, nothing is stopped: quota_exceeded.',
      tags,
      problems: [...orderProblems, 'no_environment', 'quota_exceeded'],
      params: ServerPath,
      body: ref(StopOrder),
      response: { 202: underWay(examples.restart) },
    },
    handler: async ({ params, body, caller }, reply) => {
      const team = await teamOfMember(params.team, params.user, caller);
      const operation = await servers.restart(team, params.user, body.force ?? false, actor(caller));
      return accepted(reply, team, operation);
    },
  });

  app.route({
    method: 'POST',
    url: '/v1/teams/:team/servers/:user/extend',
    schema: {
      operationId: 'extendServer',
      summary: 'Keep a running server alive until an instant',
      description:
        'At most 24 hours ahead. A later request replaces this one, also with an earlier instant. The extension ends when the server stops.',
      tags,
      problems: [...hubProblems, 'server_not_running', 'deleting', 'busy'],
      params: ServerPath,
      body: ref(ExtendOrder),
      response: { 200: ref(Server) },
    },
    handler: async ({ params, body, caller }) => {
      const team = await teamOfMember(params.team, params.user, caller);
      return servers.extend(team, params.user, body.until, actor(caller));
    },
  });

  app.route({
    method: 'POST',
    url: '/v1/teams/:team/hub/restart',
    schema: {
      operationId: 'restartHub',
      summary: 'Restart the team’s hub',
      description: 'Notebooks keep running; logins, starts and stops wait until the hub is back.',
      tags,
      problems: ['hub_unavailable', 'deleting', 'busy'],
      params: TeamPath,
      response: { 202: underWay(examples.restartHub) },
    },
    handler: async ({ params, caller }, reply) => {
      const team = await teamWithNotebook(params.team, caller);
      const operation = await servers.restartHub(team, actor(caller));
      return accepted(reply, team, operation);
    },
  });
};
