import { setTimeout as wait } from 'node:timers/promises';
import type { FastifyRequest } from 'fastify';
import Type from 'typebox';
import { type ServerEvent, streamEvents } from '../http/events.ts';
import type { App } from '../http/server.ts';
import type { OperationRecord } from '../model/operation.ts';
import type { TeamRecord } from '../model/record.ts';
import { OperationPath } from '../model/server.ts';
import type { SpawnProgress } from '../ports/hubs.ts';
import { operationView } from '../servers/operation-view.ts';
import type { Servers } from '../servers/servers.ts';
import { authorize, teamOf } from './access.ts';
import { advancedOperation } from './operations.ts';
import type { ServerRouteDeps } from './servers.ts';

/** How often a stream reads the operation; each read advances it by one step at most. */
const pollEveryMs = 1_000;

interface ProgressListener {
  readonly latest: () => SpawnProgress | undefined;
  /** Listens to the hub while a start waits for its server; does nothing otherwise, or when it is listening already. */
  readonly follow: (team: TeamRecord, operation: OperationRecord) => void;
  /** Resolves when the hub reports something after this call. */
  readonly news: () => Promise<void>;
}

/** What the hub reports during a start. Its messages are not stored; a silent hub ends nothing. */
const progressListener = (
  servers: Servers,
  log: FastifyRequest['log'],
  signal: AbortSignal,
): ProgressListener => {
  let latest: SpawnProgress | undefined;
  let isListening = false;
  let news = Promise.withResolvers<void>();
  const listen = async (team: TeamRecord, user: string): Promise<void> => {
    isListening = true;
    try {
      for await (const progress of servers.progress(team, user, signal)) {
        latest = progress;
        news.resolve();
        news = Promise.withResolvers();
      }
    } catch (error) {
      if (!signal.aborted) log.warn({ team: team.slug, user, err: error }, 'spawn progress not available');
    } finally {
      isListening = false;
    }
  };
  return {
    latest: () => latest,
    follow(team, { user, step, outcome }) {
      const isStarting = step === 'await_ready' && outcome === null;
      if (isStarting && user !== null && !isListening && latest?.outcome === undefined)
        void listen(team, user);
    },
    news: () => news.promise,
  };
};

async function* changesOf(
  { caller, log }: Pick<FastifyRequest, 'caller' | 'log'>,
  first: TeamRecord,
  id: string,
  { store, servers }: ServerRouteDeps,
  signal: AbortSignal,
): AsyncGenerator<ServerEvent> {
  const ended = new AbortController();
  const progress = progressListener(servers, log, AbortSignal.any([signal, ended.signal]));
  let sent = '';
  try {
    for (let team = first; !signal.aborted; team = authorize(await store.team(first.slug), caller)) {
      const operation = await advancedOperation(servers, team, id, progress.latest()?.progress);
      progress.follow(team, operation);
      // Taken before the view: what the hub reports while the event is sent is not missed.
      const news = progress.news();
      const view = operationView(operation, progress.latest());
      const data = JSON.stringify(view);
      if (data !== sent) yield { event: 'operation', data: view };
      sent = data;
      if (operation.outcome !== null) return;
      const pause = wait(pollEveryMs, undefined, { signal }).catch(() => undefined);
      await Promise.race([pause, news]);
    }
  } finally {
    ended.abort();
  }
}

/** An operation as a stream of server-sent events. */
export const registerOperationEvents = (app: App, deps: ServerRouteDeps): void => {
  app.route({
    method: 'GET',
    url: '/v1/teams/:team/operations/:operation/events',
    schema: {
      operationId: 'watchOperation',
      summary: 'Watch an operation until it is finished',
      description:
        'Server-sent events: the current Operation first, then the Operation after every change; during a start it includes the progress that the hub reports. Reconnecting starts with a new snapshot. To poll instead, use getOperation.',
      tags: ['servers'],
      problems: ['not_acceptable'],
      params: OperationPath,
      response: {
        200: {
          description:
            'Events: operation carries an Operation, reconnect asks the client to reconnect; its reason is token_expired once the token has expired.',
          content: { 'text/event-stream': { schema: Type.String() } },
        },
      },
    },
    handler: async (request, reply) => {
      const { params, caller } = request;
      const team = await teamOf(deps.store, params.team, caller);
      return streamEvents(request, reply, (signal) =>
        changesOf(request, team, params.operation, deps, signal),
      );
    },
  });
};
