import { setTimeout as sleep } from 'node:timers/promises';
import { isMap, type Json } from '../kubernetes/json.ts';
import { type Answer, Refused } from './answer.ts';
import { type Call, jsonOf, needs } from './caller.ts';
import { serverModel } from './models.ts';
import type { HubProcess } from './process.ts';
import type { UserServer } from './user-server.ts';
import { userOf } from './users.ts';

const plain = { 'content-type': 'text/plain' };

/** Only default servers: the chart’s `allow_named_servers` is off. */
const onlyDefault = (server: string): void => {
  if (server !== '') throw new Refused(400, 'Named servers are not enabled.');
};

/** JupyterHub’s `stop_single_user`: returns when the server has stopped, or is slow to stop. Throws while something is pending. */
export const stopServer = async (hub: HubProcess, server: UserServer): Promise<void> => {
  if (server.pending !== null) throw new Error(`${server.user} pending ${server.pending}`);
  const stopping = server.stop().catch(() => undefined);
  await Promise.race([stopping, sleep(hub.timings.slowStopMs, undefined, { ref: false })]);
};

/** The options of a start; undefined: those of the last one. JupyterHub 5 takes the whole body. */
const optionsOf = (call: Call): Json | undefined => {
  const body = jsonOf(call);
  if (call.hub.major < 6) return body ?? undefined;
  if (!body || (isMap(body) && Object.keys(body).length === 0)) return undefined;
  if (!isMap(body)) throw new Refused(400, 'Body must be a JSON object');
  if ('display_name' in body && typeof body.display_name !== 'string') {
    throw new Refused(400, 'display_name must be a string');
  }
  const options = body.user_options;
  if (options !== undefined && options !== null && !isMap(options)) {
    throw new Refused(400, 'user_options must be an object or null');
  }
  if ('user_options' in body || 'display_name' in body) return options ?? undefined;
  return body;
};

/** Suggests 30 to 60 seconds; the message rounds up to tens. */
const throttled = (): Refused => {
  const seconds = 30 + Math.floor(Math.random() * 30);
  const tens = Math.ceil(seconds / 10);
  return new Refused(429, `Too many users trying to log in right now. Try again in ${tens}0 seconds.`, {
    'retry-after': String(seconds),
  });
};

const checkRoom = ({ servers, settings, spawnLimit }: HubProcess): void => {
  const { activeServerLimit } = settings;
  const spawning = servers.filter(({ pending }) => pending === 'spawn').length;
  if (spawnLimit > 0 && spawning >= spawnLimit) throw throttled();
  const active = servers.filter((server) => server.active).length;
  if (activeServerLimit > 0 && active >= activeServerLimit) {
    throw new Refused(429, 'Active user limit exceeded. Try again in a few minutes.');
  }
};

/** Starts a server. The chart sets slow_spawn_timeout to 0, so the answer is always 202. */
export const startServer = async (call: Call, name: string, serverName: string): Promise<Answer> => {
  const { hub } = call;
  needs(call, [hub.major < 6 ? 'servers' : 'start:servers'], name);
  userOf(call, name);
  onlyDefault(serverName);
  // Version 6 validates the body first.
  const early = hub.major < 6 ? undefined : optionsOf(call);
  const { pending } = hub.server(name);
  if (pending === 'spawn') return { status: 202, headers: plain };
  if (pending !== null) throw new Refused(400, `${name} is pending ${pending}`);
  if (hub.server(name).ready && (await hub.server(name).poll())) {
    throw new Refused(400, `${name} is already running`);
  }
  const options = hub.major < 6 ? optionsOf(call) : early;
  const server = hub.server(name);
  // A concurrent request was faster.
  if (server.pending !== null) throw new Error(`${name} pending ${server.pending}`);
  checkRoom(hub);
  server.start(options);
  return { status: 202, headers: plain };
};

const isStopping = (server: UserServer): boolean => server.pending === 'stop';

const isRemoval = (call: Call): boolean => {
  const body = jsonOf(call);
  return typeof body === 'object' && body !== null && 'remove' in body && body.remove === true;
};

export const deleteServer = async (call: Call, name: string, serverName: string): Promise<Answer> => {
  const { hub } = call;
  needs(call, ['delete:servers'], name);
  userOf(call, name);
  const removes = isRemoval(call);
  onlyDefault(serverName);
  if (removes) throw new Refused(400, 'Cannot delete the default server');
  const server = hub.server(name);
  if (isStopping(server)) return { status: 202, headers: plain };
  if (server.pending !== null) {
    await server.cancel();
    await sleep(hub.timings.interruptMs);
    await stopServer(hub, server);
  } else if (server.ready && (await server.poll())) {
    await stopServer(hub, server);
  }
  return { status: isStopping(server) ? 202 : 204, headers: plain };
};

/** New in version 6. */
export const getServer = (call: Call, name: string, serverName: string): Answer => {
  needs(call, ['read:servers'], name);
  const user = userOf(call, name);
  if (serverName !== '') throw new Refused(404, 'Not Found');
  return { status: 200, body: serverModel(call, user) };
};
