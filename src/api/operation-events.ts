import { setTimeout as wait } from 'node:timers/promises';
import type { FastifyRequest } from 'fastify';
import { eventStream, type ServerEvent, streamEvents } from '../http/events.ts';
import type { App } from '../http/server.ts';
import { OperationStream } from '../model/events.ts';
import type { TeamRecord } from '../model/record.ts';
import { OperationPath } from '../model/server.ts';
import type { SpawnProgress } from '../ports/hubs.ts';
import type { Servers } from '../servers/servers.ts';
import { operationView } from './operation-view.ts';
import { type ReadOperation, readOperation } from './operations.ts';
import type { ServerRouteDeps } from './servers.ts';

/** How often a stream reads the operation; each read advances it by one step at most. */
const pollEveryMs = 1_000;

interface ProgressListener {
  readonly latest: () => SpawnProgress | undefined;
  /** Listens to the hub while a start waits for its server; does nothing otherwise, or when it is listening already. */
  readonly follow: (read: ReadOperation) => void;
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
    follow({ team, operation: { user, step, outcome } }) {
      const isStarting = step === 'await_ready' && outcome === null;
      if (team === undefined || user === null || !isStarting) return;
      if (!isListening && latest?.outcome === undefined) void listen(team, user);
    },
    news: () => news.promise,
  };
};

async function* changesOf(
  { caller, log }: Pick<FastifyRequest, 'caller' | 'log'>,
  { slug, id }: { readonly slug: string; readonly id: string },
  deps: ServerRouteDeps,
  signal: AbortSignal,
): AsyncGenerator<ServerEvent> {
  const ended = new AbortController();
  const progress = progressListener(deps.servers, log, AbortSignal.any([signal, ended.signal]));
  let sent = '';
  try {
    while (!signal.aborted) {
      // Access is checked for every event.
      const read = await readOperation(deps, { slug, id, caller }, progress.latest()?.progress);
      progress.follow(read);
      // Taken before the view: what the hub reports while the event is sent is not missed.
      const news = progress.news();
      const { operation, team } = read;
      const view = operationView(operation, { slug, team, live: progress.latest() });
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
      response: eventStream(OperationStream),
    },
    handler: async (request, reply) => {
      const { team: slug, operation: id } = request.params;
      return streamEvents(request, reply, (signal) => changesOf(request, { slug, id }, deps, signal));
    },
  });
};
