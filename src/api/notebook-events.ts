import { setTimeout as wait } from 'node:timers/promises';
import type { Caller } from '../http/auth.ts';
import { eventStream, type ServerEvent, streamEvents } from '../http/events.ts';
import type { App } from '../http/server.ts';
import { NotebookStream } from '../model/events.ts';
import type { TeamRecord } from '../model/record.ts';
import { TeamPath } from '../model/team.ts';
import { authorize, teamOf } from './access.ts';
import { type NotebookRouteDeps, versionOf, viewOf } from './notebook-orders.ts';

const tags = ['notebooks'];

/** How often a stream reads the team; a team is reconciled at most once a second as well. */
const pollEveryMs = 1_000;

type EventDeps = Pick<NotebookRouteDeps, 'store' | 'look'>;

async function* changesOf(
  first: TeamRecord,
  caller: Caller,
  { store, look }: EventDeps,
  signal: AbortSignal,
): AsyncGenerator<ServerEvent> {
  let sent: string | undefined;
  for (let read: TeamRecord | undefined = first; !signal.aborted; read = await store.team(first.slug)) {
    const team = read === undefined ? undefined : await look(read);
    if (team === undefined || team.id !== first.id || team.notebook === null) {
      yield { event: 'deleted', data: {} };
      return;
    }
    // Access is checked for every event: a member who was removed sees no more of the team.
    const notebook = viewOf(authorize(team, caller));
    const { revision, statusVersion } = versionOf(team);
    const id = `${revision}.${statusVersion}`;
    if (id !== sent) {
      yield { id, event: 'notebook', data: notebook };
      sent = id;
    }
    if (notebook.status.phase === 'Ready') return;
    await wait(pollEveryMs, undefined, { signal }).catch(() => {});
  }
}

/** The notebook as a stream of server-sent events. */
export const registerNotebookEvents = (app: App, deps: EventDeps): void => {
  const { store } = deps;

  app.route({
    method: 'GET',
    url: '/v1/teams/:team/notebook/events',
    schema: {
      operationId: 'watchNotebook',
      summary: 'Watch the notebook until it is Ready',
      description:
        'Server-sent events: the current Notebook first, then the Notebook after every change. Reconnecting starts with a new snapshot. To poll instead, use getNotebook.',
      tags,
      problems: ['notebook_not_ordered', 'not_acceptable'],
      params: TeamPath,
      response: eventStream(NotebookStream),
    },
    handler: async (request, reply) => {
      const { params, caller } = request;
      const first = await teamOf(store, params.team, caller);
      viewOf(first);
      return streamEvents(request, reply, (signal) => changesOf(first, caller, deps, signal));
    },
  });
};
