import { setTimeout as sleep } from 'node:timers/promises';
import { asText, at } from '../kubernetes/json.ts';
import { type KubeObject, uidOf } from '../kubernetes/object.ts';
import { type Answer, Refused } from './answer.ts';
import { type Call, needs } from './caller.ts';
import { userUrl } from './models.ts';
import type { HubProcess } from './process.ts';
import type { Attempt, SpawnEnd, UserServer } from './user-server.ts';

type Event = Readonly<Record<string, unknown>>;

const readyEvent = (name: string): Event => {
  const url = userUrl(name);
  return {
    progress: 100,
    ready: true,
    message: `Server ready at ${url}`,
    html_message: `Server ready at <a href="${url}">${url}</a>`,
    url,
  };
};

const failedEvent = (end: SpawnEnd): Event => ({
  progress: 100,
  failed: true,
  message: end.kind === 'failed' ? `Spawn failed: ${end.message}` : 'Spawn cancelled',
});

/** What happened to the pod since this start began, the oldest first. */
const podEvents = async (hub: HubProcess, name: string, attempt: Attempt): Promise<readonly KubeObject[]> => {
  const { formerEvents } = attempt;
  if (formerEvents === undefined) return [];
  const fieldSelector = `involvedObject.kind=Pod,involvedObject.name=${hub.server(name).podName}`;
  const { namespace } = hub.settings.spawner;
  const events = await hub.client.list('events', { namespace, fieldSelector });
  const order = (event: KubeObject): number => Number(event.metadata.resourceVersion);
  return events.filter((event) => !formerEvents.has(uidOf(event))).toSorted((a, b) => order(a) - order(b));
};

/** KubeSpawner’s progress: a line for each of the pod’s events, each a third closer to 90 %. */
async function* eventsOf(hub: HubProcess, name: string, attempt: Attempt): AsyncGenerator<Event> {
  yield { progress: 0, message: 'Server requested' };
  let [progress, told] = [0, 0];
  for (;;) {
    const isOver = attempt.end !== undefined;
    const events = await podEvents(hub, name, attempt);
    for (const event of events.slice(told)) {
      progress += (90 - progress) / 3;
      yield {
        progress: Math.floor(progress),
        raw_event: event,
        message: `${asText(event.lastTimestamp)} [${asText(event.type)}] ${asText(at(event, 'message'))}`,
      };
    }
    told = events.length;
    if (isOver) return;
    await Promise.race([attempt.done, sleep(hub.timings.progressMs, undefined, { ref: false })]);
  }
}

async function* follow(hub: HubProcess, server: UserServer, attempt: Attempt): AsyncGenerator<Event> {
  // The events of an earlier failed start are not repeated.
  if (attempt.end === undefined) yield* eventsOf(hub, server.user, attempt);
  const end = await attempt.done;
  // JupyterHub also reports a cancelled start as failed, until the server is being stopped a second later.
  yield server.ready ? readyEvent(server.user) : failedEvent(end);
}

/** The lines of the stream: a blank one first, and one after each silence. */
async function* lines(hub: HubProcess, events: AsyncIterator<Event>, signal: AbortSignal) {
  yield '\n\n';
  const ended = Promise.withResolvers<'ended'>();
  signal.addEventListener('abort', () => ended.resolve('ended'));
  let next = events.next();
  for (;;) {
    const silence = sleep(hub.timings.keepAliveMs, 'silence' as const, { ref: false });
    const first = await Promise.race([next, silence, ended.promise]);
    if (first === 'ended' || (first !== 'silence' && first.done === true)) return;
    if (first === 'silence') yield '\n\n';
    else {
      yield `data: ${JSON.stringify(first.value)}\n\n`;
      next = events.next();
    }
  }
}

async function* once(event: Event): AsyncGenerator<Event> {
  yield event;
}

/** Reports the progress of a start as server-sent events. */
export const showProgress = (call: Call, name: string, serverName: string): Answer => {
  needs(call, ['read:servers'], name);
  const { hub } = call;
  const server = serverName === '' ? hub.known(name) : undefined;
  if (hub.database.user(name) === undefined || server === undefined) throw new Refused(404, 'Not Found');
  const { attempt } = server;
  if (!server.ready && attempt === undefined) throw new Refused(400, `${name} is not starting...`);
  const events =
    server.ready || attempt === undefined ? once(readyEvent(name)) : follow(hub, server, attempt);
  return {
    status: 200,
    headers: { 'content-type': 'text/event-stream', 'cache-control': 'no-cache' },
    stream: (signal) => lines(hub, events, AbortSignal.any([signal, hub.gone])),
  };
};
