import type { FastifyReply } from 'fastify';
import type { Caller } from '../http/auth.ts';
import type { App } from '../http/server.ts';
import { ref } from '../lib/schema.ts';
import type { OperationRecord } from '../model/operation.ts';
import { Problem } from '../model/problems.ts';
import { ServerProfile } from '../model/profile.ts';
import type { TeamRecord } from '../model/record.ts';
import {
  ExtendOrder,
  RestartOrder,
  Server,
  ServerPage,
  ServerPath,
  StartOrder,
  StopOrder,
} from '../model/server.ts';
import { TeamPath } from '../model/team.ts';
import type { Clock } from '../ports/runtime.ts';
import type { Store } from '../ports/store.ts';
import type { Servers } from '../servers/servers.ts';
import { actorOf, teamOf } from './access.ts';
import { acceptedOperation, sendOperation } from './operation-answer.ts';
import type { OperationRouteDeps } from './operations.ts';

export const serverSchemas = [
  ExtendOrder,
  RestartOrder,
  Server,
  ServerPage,
  ServerProfile,
  StartOrder,
  StopOrder,
];

const tags = ['servers'];
const hubProblems = ['hub_unavailable', 'hub_restarting'] as const;
const orderProblems = [...hubProblems, 'server_busy', 'deleting', 'busy'] as const;

const examples = {
  start: { kind: 'start' },
  stop: { kind: 'stop', progress: 20, message: 'The notebook is stopping.' },
  restart: {},
  restartHub: {
    kind: 'restart_hub',
    target: { type: 'hub', team: 'team-a', user: null },
    progress: 40,
    message: 'The hub is restarting; notebooks keep running.',
  },
} as const;

/** What the routes of servers and their operations need. */
export interface ServerRouteDeps extends OperationRouteDeps {
  readonly clock: Clock;
  readonly servers: Servers;
}

/** The team, if a notebook is ordered. */
export const teamWithNotebook = async (store: Store, slug: string, caller: Caller): Promise<TeamRecord> => {
  const team = await teamOf(store, slug, caller);
  if (team.notebook === null) throw new Problem('notebook_not_ordered');
  return team;
};

export const registerServers = (app: App, deps: ServerRouteDeps): void => {
  const { store, clock, servers } = deps;
  const accepted = (reply: FastifyReply, team: TeamRecord, operation: OperationRecord) =>
    sendOperation(reply, operation, { slug: team.slug, team });
  const actor = (caller: Caller) => actorOf(caller, clock);

  const teamOfMember = async (slug: string, user: string, caller: Caller): Promise<TeamRecord> => {
    const team = await teamWithNotebook(store, slug, caller);
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
      problems: ['notebook_not_ordered', 'hub_unavailable'],
      params: TeamPath,
      response: { 200: ref(ServerPage) },
    },
    handler: async ({ params, caller }) => ({
      items: [...(await servers.list(await teamWithNotebook(store, params.team, caller)))],
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
        'Without a profile, the server starts with the member’s last choice, or with the team’s image if that was ordered later. The operation is done at once if the server is already running; a profile that differs from the running one is refused (profile_differs): restart the server with it. While a start is open, another request answers the same operation: nothing is started twice. If the hub has reached its limit of concurrent starts, the operation waits.',
      tags,
      problems: ['notebook_not_ordered', ...orderProblems, 'no_environment', 'profile_differs'],
      params: ServerPath,
      body: ref(StartOrder),
      response: acceptedOperation(examples.start),
    },
    handler: async ({ params, body, caller }, reply) => {
      const team = await teamOfMember(params.team, params.user, caller);
      const operation = await servers.start(team, params.user, body.profile, actor(caller));
      return accepted(reply, team, operation);
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
      problems: ['notebook_not_ordered', ...orderProblems],
      params: ServerPath,
      body: ref(StopOrder),
      response: acceptedOperation(examples.stop),
    },
    handler: async ({ params, body, caller }, reply) => {
      const team = await teamOfMember(params.team, params.user, caller);
      const operation = await servers.stop(team, params.user, body.force ?? false, actor(caller));
      return accepted(reply, team, operation);
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
        'The server starts with the current configuration, on the requested profile; without one on the member’s last choice, or on the team’s image if that was ordered later. A stopped server is started. If the quota cannot hold it with that configuration, nothing is stopped: quota_exceeded.',
      tags,
      problems: [
        'notebook_not_ordered',
        ...orderProblems,
        'no_environment',
        'profile_differs',
        'quota_exceeded',
      ],
      params: ServerPath,
      body: ref(RestartOrder),
      response: acceptedOperation(examples.restart),
    },
    handler: async ({ params, body, caller }, reply) => {
      const team = await teamOfMember(params.team, params.user, caller);
      const operation = await servers.restart(team, params.user, body, actor(caller));
      return accepted(reply, team, operation);
    },
  });

  app.route({
    method: 'POST',
    url: '/v1/teams/:team/servers/:user/extend',
    schema: {
      operationId: 'extendServer',
      summary: 'Keep a running server alive',
      description:
        'At most 24 hours ahead. A later request replaces this one, also with an earlier instant. The extension ends when the server stops.',
      tags,
      problems: ['notebook_not_ordered', ...hubProblems, 'server_not_running', 'deleting', 'busy'],
      params: ServerPath,
      body: ref(ExtendOrder),
      response: { 200: ref(Server) },
    },
    handler: async ({ params, body, caller }) => {
      const team = await teamOfMember(params.team, params.user, caller);
      return servers.extend(team, params.user, body, actor(caller));
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
      problems: ['notebook_not_ordered', 'hub_unavailable', 'deleting', 'busy'],
      params: TeamPath,
      response: acceptedOperation(examples.restartHub),
    },
    handler: async ({ params, caller }, reply) => {
      const team = await teamWithNotebook(store, params.team, caller);
      const operation = await servers.restartHub(team, actor(caller));
      return accepted(reply, team, operation);
    },
  });
};
