import { setTimeout as wait } from 'node:timers/promises';
import type { Caller } from '../http/auth.ts';
import { eventStream, type ServerEvent, streamEvents } from '../http/events.ts';
import type { App } from '../http/server.ts';
import { ServersStream } from '../model/events.ts';
import { Problem } from '../model/problems.ts';
import type { TeamRecord } from '../model/record.ts';
import type { Server } from '../model/server.ts';
import { TeamPath } from '../model/team.ts';
import { authorize } from './access.ts';
import { type ServerRouteDeps, teamWithNotebook } from './servers.ts';

/** How often a stream looks; the hub and the cluster are asked once a second per team, however many streams there are. */
const pollEveryMs = 1_000;

type EventDeps = Pick<ServerRouteDeps, 'store' | 'servers'>;

/** The servers; undefined while neither the hub nor the cluster answers, which is no reason to end a stream. */
const seen = async ({ servers }: EventDeps, team: TeamRecord): Promise<readonly Server[] | undefined> => {
  try {
    return await servers.watched(team);
  } catch (error) {
    if (error instanceof Problem && error.code === 'hub_unavailable') return undefined;
    throw error;
  }
};

async function* changesOf(
  first: TeamRecord,
  caller: Caller,
  deps: EventDeps,
  signal: AbortSignal,
): AsyncGenerator<ServerEvent> {
  let sent = '';
  for (let read: TeamRecord | undefined = first; !signal.aborted; read = await deps.store.team(first.slug)) {
    if (read === undefined || read.id !== first.id || read.notebook === null) {
      yield { event: 'deleted', data: {} };
      return;
    }
    // Access is checked for every event: a member who was removed sees no more of the team.
    const team = authorize(read, caller);
    const items = sent === '' ? await deps.servers.watched(team) : await seen(deps, team);
    if (items !== undefined) {
      const data = { items, nextCursor: null };
      const text = JSON.stringify(data);
      if (text !== sent) yield { event: 'servers', data };
      sent = text;
    }
    await wait(pollEveryMs, undefined, { signal }).catch(() => {});
  }
}

/** The servers of a team as a stream of server-sent events. */
export const registerServerEvents = (app: App, deps: EventDeps): void => {
  app.route({
    method: 'GET',
    url: '/v1/teams/:team/servers/events',
    schema: {
      operationId: 'watchServers',
      summary: 'Watch the servers of a team',
      description:
        'Server-sent events: every server of the team first, as in listServers, then again after every change, wherever it was made. No event is sent while neither the hub nor the cluster answers. The stream ends when the notebook is gone. To poll instead, use listServers.',
      tags: ['servers'],
      problems: ['notebook_not_ordered', 'not_acceptable', 'hub_unavailable'],
      params: TeamPath,
      response: eventStream(ServersStream),
    },
    handler: async (request, reply) => {
      const { params, caller } = request;
      const first = await teamWithNotebook(deps.store, params.team, caller);
      return streamEvents(request, reply, (signal) => changesOf(first, caller, deps, signal));
    },
  });
};
