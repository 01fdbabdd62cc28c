import { setTimeout as wait } from 'node:timers/promises';
import type { FastifyReply, FastifyRequest } from 'fastify';
import Type from 'typebox';
import type { Caller } from '../http/auth.ts';
import { type ServerEvent, streamEvents } from '../http/events.ts';
import type { App } from '../http/server.ts';
import { ref } from '../lib/schema.ts';
import { exampleOperation, Operation, type OperationRecord } from '../model/operation.ts';
import { Problem } from '../model/problems.ts';
import type { TeamRecord } from '../model/record.ts';
import {
  ExtendOrder,
  OperationPath,
  Server,
  ServerList,
  ServerPath,
  StartOrder,
  StopOrder,
} from '../model/server.ts';
import { TeamPath } from '../model/team.ts';
import type { SpawnProgress } from '../ports/hubs.ts';
import type { Clock } from '../ports/runtime.ts';
import type { Store } from '../ports/store.ts';
import { operationView } from '../servers/operation-view.ts';
import type { Servers } from '../servers/servers.ts';
import { actorOf, authorize, teamOf } from './access.ts';

export const serverSchemas = [ExtendOrder, Operation, Server, ServerList, StartOrder, StopOrder];

const tags = ['servers'];
const hubProblems = ['hub_unavailable', 'hub_restarting'] as const;
const orderProblems = [...hubProblems, 'server_busy', 'deleting', 'busy'] as const;

/** A watcher is told of a change after this long at most; no operation takes more than one step in it. */
const watchEveryMs = 1_000;

const underWay = (example: Operation) => ({
  description: 'It is under way; Location is where to follow it.',
  headers: {
    location: Type.String({ examples: ['/v1/teams/team-a/operations/op-6f1c2a9be0d34c57'] }),
  },
  content: { 'application/json': { schema: ref(Operation), example } },
});

const { user: _onNoServer, ...onTheHub } = exampleOperation;

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
    ...onTheHub,
    kind: 'restart_hub',
    progress: 40,
    message: 'The hub is restarting; notebooks keep running.',
  },
} as const;

const accepted = (reply: FastifyReply, team: TeamRecord, operation: OperationRecord) => {
  reply.code(202).header('location', `/v1/teams/${team.slug}/operations/${operation.id}`);
  return reply.type('application/json').send(operationView(operation));
};

export interface ServerRouteDeps {
  readonly store: Store;
  readonly clock: Clock;
  readonly servers: Servers;
}

export const registerServers = (app: App, deps: ServerRouteDeps): void => {
  const { store, clock, servers } = deps;
  const act = (caller: Caller) => actorOf(caller, clock);

  /** The team, if a notebook is ordered. */
  const teamWithNotebook = async (slug: string, caller: Caller): Promise<TeamRecord> => {
    const team = await teamOf(store, slug, caller);
    if (team.notebook === null) throw new Problem('not_found', { detail: 'No notebook is ordered.' });
    return team;
  };

  const teamOfMember = async (slug: string, user: string, caller: Caller): Promise<TeamRecord> => {
    const team = await teamWithNotebook(slug, caller);
    if (team.members.some(({ username }) => username === user)) return team;
    throw new Problem('not_found', { detail: `${user} is the hub user of no member of this team.` });
  };

  app.route({
    method: 'GET',
    url: '/v1/teams/:team/servers',
    schema: {
      operationId: 'listServers',
      summary: 'Every member’s notebook server as it is now',
      description:
        'Members who never started one are listed, too. While the hub does not answer, a server with a pod is shown by its pod, and one without as unknown, never as stopped; when the cluster does not answer either: hub_unavailable.',
      tags,
      problems: ['hub_unavailable'],
      params: TeamPath,
      response: { 200: ref(ServerList) },
    },
    handler: async ({ params, caller }) => ({
      items: [...(await servers.list(await teamWithNotebook(params.team, caller)))],
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
        'The server when it runs already, whatever profile it runs on: stop it first to start it on another. While a start is open, asking again answers that same operation: nothing is started twice. A hub that has no room for another start makes the operation wait, not fail.',
      tags,
      problems: [...orderProblems, 'no_environment'],
      params: ServerPath,
      body: ref(StartOrder),
      response: { 200: ref(Server), 202: underWay(examples.start) },
    },
    handler: async ({ params, body, caller }, reply) => {
      const team = await teamOfMember(params.team, params.user, caller);
      const outcome = await servers.start(team, params.user, body.profile, act(caller));
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
        'The home volume stays; what was installed globally is gone. With force the pod is deleted, which works while the hub is frozen or away, and gives up whatever operation is open on the server.',
      tags,
      problems: orderProblems,
      params: ServerPath,
      body: ref(StopOrder),
      response: { 200: ref(Server), 202: underWay(examples.stop) },
    },
    handler: async ({ params, body, caller }, reply) => {
      const team = await teamOfMember(params.team, params.user, caller);
      const outcome = await servers.stop(team, params.user, body.force ?? false, act(caller));
      return 'server' in outcome ? outcome.server : accepted(reply, team, outcome.operation);
    },
  });

  app.route({
    method: 'POST',
    url: '/v1/teams/:team/servers/:user/restart',
    config: { optionalBody: true },
    schema: {
      operationId: 'restartServer',
      summary: 'Stop a member’s server and start it again',
      description:
        'It comes back with what is configured now, on the profile that was used last. A server that is stopped is started.',
      tags,
      problems: [...orderProblems, 'no_environment'],
      params: ServerPath,
      body: ref(StopOrder),
      response: { 202: underWay(examples.restart) },
    },
    handler: async ({ params, body, caller }, reply) => {
      const team = await teamOfMember(params.team, params.user, caller);
      const operation = await servers.restart(team, params.user, body.force ?? false, act(caller));
      return accepted(reply, team, operation);
    },
  });

  app.route({
    method: 'POST',
    url: '/v1/teams/:team/servers/:user/extend',
    schema: {
      operationId: 'extendServer',
      summary: 'Keep a running server alive until then',
      description:
        'At most 24 hours ahead. Asking again replaces what was asked before, by an earlier instant too, so that it can be taken back. It ends with the server.',
      tags,
      problems: [...hubProblems, 'server_not_running', 'deleting', 'busy'],
      params: ServerPath,
      body: ref(ExtendOrder),
      response: { 200: ref(Server) },
    },
    handler: async ({ params, body, caller }) => {
      const team = await teamOfMember(params.team, params.user, caller);
      return servers.extend(team, params.user, body.until, act(caller));
    },
  });

  app.route({
    method: 'POST',
    url: '/v1/teams/:team/hub/restart',
    schema: {
      operationId: 'restartHub',
      summary: 'Restart a hub that is stuck',
      description: 'Notebooks keep running; logging in, starting and stopping wait until it is back.',
      tags,
      problems: ['hub_unavailable', 'deleting', 'busy'],
      params: TeamPath,
      response: { 202: underWay(examples.restartHub) },
    },
    handler: async ({ params, caller }, reply) => {
      const team = await teamWithNotebook(params.team, caller);
      const operation = await servers.restartHub(team, act(caller));
      return accepted(reply, team, operation);
    },
  });

  app.route({
    method: 'GET',
    url: '/v1/teams/:team/operations/:operation',
    schema: {
      operationId: 'getOperation',
      summary: 'How far an operation is',
      description: 'Looking takes it on. A finished one can be looked at for a week.',
      tags,
      params: OperationPath,
      response: { 200: ref(Operation) },
    },
    handler: async ({ params, caller }) => {
      const team = await teamOf(store, params.team, caller);
      return operationView(await found(team, params.operation));
    },
  });

  app.route({
    method: 'GET',
    url: '/v1/teams/:team/operations/:operation/events',
    schema: {
      operationId: 'watchOperation',
      summary: 'The operation now, then every change until it is over',
      description:
        'Server-sent events; each carries an Operation, during a start with what the hub tells of it. Coming back gives a fresh snapshot. getOperation is its twin to poll.',
      tags,
      problems: ['not_acceptable'],
      params: OperationPath,
      response: {
        200: {
          description:
            'Events of type operation; reconnect asks you to connect again, with the reason token_expired once your token has expired.',
          content: { 'text/event-stream': { schema: Type.String() } },
        },
      },
    },
    handler: async (request, reply) => {
      const { params, caller } = request;
      const team = await teamOf(store, params.team, caller);
      return streamEvents(request, reply, (signal) => changesOf(request, team, params.operation, signal));
    },
  });

  const found = async (team: TeamRecord, id: string): Promise<OperationRecord> => {
    const operation = await servers.watched(team, id);
    if (operation === undefined) throw new Problem('not_found');
    return operation;
  };

  async function* changesOf(
    { caller, log }: Pick<FastifyRequest, 'caller' | 'log'>,
    first: TeamRecord,
    id: string,
    signal: AbortSignal,
  ): AsyncGenerator<ServerEvent> {
    const listening = new AbortController();
    const ears = AbortSignal.any([signal, listening.signal]);
    let heard: SpawnProgress | undefined;
    let isListening = false;
    let news = Promise.withResolvers<void>();
    /** What the hub tells goes to whoever listens, and into no store. A hub that is silent is no reason to end. */
    const listen = async (team: TeamRecord, user: string) => {
      isListening = true;
      try {
        for await (const line of servers.progress(team, user, ears)) {
          heard = line;
          news.resolve();
          news = Promise.withResolvers();
        }
      } catch (error) {
        if (!ears.aborted) log.warn({ team: team.slug, user, err: error }, 'progress not heard');
      } finally {
        isListening = false;
      }
    };
    let sent = '';
    try {
      for (let team = first; !signal.aborted; team = authorize(await store.team(first.slug), caller)) {
        const operation = await found(team, id);
        const { user, step } = operation;
        const isStarting = step === 'await_ready' && operation.outcome === null;
        if (isStarting && user !== null && !isListening && heard?.outcome === undefined) {
          void listen(team, user);
        }
        const view = operationView(operation, heard);
        const data = JSON.stringify(view);
        if (data !== sent) yield { event: 'operation', data: view };
        sent = data;
        if (operation.outcome !== null) return;
        const pause = wait(watchEveryMs, undefined, { signal }).catch(() => undefined);
        await Promise.race([pause, news.promise]);
      }
    } finally {
      listening.abort();
    }
  }
};
