import Type, { type Static } from 'typebox';
import { Value } from 'typebox/value';
import { at } from '../lib/json.ts';
import { isoOf } from '../lib/time.ts';
import type { HubPending, HubRefusal, HubServer, HubUser } from '../ports/hubs.ts';
import { type HubAnswer, messageOf } from './jupyterhub-http.ts';
import { retryAfterMs } from './oci-registry-wait.ts';

/** The parts of JupyterHub’s models (5 and 6) that we read; they have more fields, and new ones may appear. */
const Server = Type.Object({
  stopped: Type.Boolean(),
  ready: Type.Boolean(),
  pending: Type.Union([Type.String(), Type.Null(), Type.Literal(false)]),
  started: Type.Union([Type.String(), Type.Null()]),
  last_activity: Type.Union([Type.String(), Type.Null()]),
});

const User = Type.Object({
  name: Type.String({ minLength: 1 }),
  servers: Type.Record(Type.String(), Type.Unknown()),
});

const UserPage = Type.Object({
  items: Type.Array(Type.Unknown()),
  _pagination: Type.Object({
    total: Type.Integer({ minimum: 0 }),
    next: Type.Union([Type.Null(), Type.Object({ offset: Type.Integer({ minimum: 1 }) })]),
  }),
});

const Minted = Type.Object({
  id: Type.String({ minLength: 1 }),
  token: Type.String({ pattern: '^[!-~]+$' }),
});

const Kernels = Type.Array(Type.Object({ execution_state: Type.String() }));
const Version = Type.Object({ version: Type.String({ pattern: '^[0-9]+\\.[0-9]+' }) });

/** Undefined when the body is not JSON. */
export const parsed = (body: string): unknown => {
  try {
    return JSON.parse(body);
  } catch {
    return undefined;
  }
};

/** By our clock; JupyterHub writes microseconds, we keep milliseconds. */
const instant = (text: string | null, skewMs: number): string | null | undefined => {
  if (text === null) return null;
  const ms = Date.parse(text);
  return Number.isNaN(ms) ? undefined : isoOf(ms - skewMs);
};

const pendings: Readonly<Record<string, HubPending>> = { spawn: 'spawn', stop: 'stop', check: 'check' };

const readServer = (value: unknown, skewMs: number): HubServer | undefined => {
  if (!Value.Check(Server, value)) return undefined;
  const [startedAt, lastActivityAt] = [instant(value.started, skewMs), instant(value.last_activity, skewMs)];
  if (startedAt === undefined || lastActivityAt === undefined) return undefined;
  const profile = at(value, 'user_options', 'profile');
  const chosenAt = at(value, 'user_options', 'knada_chosen_at');
  return {
    stopped: value.stopped,
    ready: value.ready,
    // JupyterHub 6 adds `rename`, and later versions may add more: such a server must not be touched until that is done.
    pending: value.pending === null || value.pending === false ? null : (pendings[value.pending] ?? 'check'),
    startedAt,
    lastActivityAt,
    profile: typeof profile === 'string' ? profile : null,
    ...(typeof chosenAt === 'number' && Number.isSafeInteger(chosenAt) ? { profileChosenAt: chosenAt } : {}),
  };
};

/**
 * Undefined when it is not a user as JupyterHub describes one; only the default server counts. `skewMs`: how far the
 * hub’s clock is ahead of ours.
 */
export const readUser = (value: unknown, skewMs: number): HubUser | undefined => {
  if (!Value.Check(User, value)) return undefined;
  const described = value.servers[''];
  if (described === undefined) return { name: value.name, server: null };
  const server = readServer(described, skewMs);
  if (server === undefined) return undefined;
  return { name: value.name, server: isBlank(server) ? null : server };
};

/** JupyterHub creates a server’s entry when it first loads its user, so this server was never started. */
const isBlank = ({ stopped, pending, startedAt, lastActivityAt, profile }: HubServer): boolean =>
  stopped && pending === null && startedAt === null && lastActivityAt === null && profile === null;

export interface UsersPage {
  readonly users: readonly HubUser[];
  readonly total: number;
  /** Offset of the next page; undefined on the last one. */
  readonly next: number | undefined;
}

export const readUsersPage = (body: string, skewMs: number): UsersPage | undefined => {
  const value = parsed(body);
  if (!Value.Check(UserPage, value)) return undefined;
  const users = value.items.map((item) => readUser(item, skewMs)).filter((user) => user !== undefined);
  if (users.length !== value.items.length) return undefined;
  const { total, next } = value._pagination;
  return { users, total, next: next?.offset };
};

export const readMinted = (body: string): Static<typeof Minted> | undefined => {
  const value = parsed(body);
  return Value.Check(Minted, value) ? value : undefined;
};

/** Whether any kernel is busy; undefined when these are not kernels. Terminals do not count. */
export const readBusy = (body: string): boolean | undefined => {
  const value = parsed(body);
  if (!Value.Check(Kernels, value)) return undefined;
  return value.some(({ execution_state }) => execution_state === 'busy');
};

export const readVersion = (body: string): string | undefined => {
  const value = parsed(body);
  return Value.Check(Version, value) ? value.version : undefined;
};

/** The meaning of a 400, by its sentence: jupyterhub/apihandlers/users.py, UserServerAPIHandler, 5.5 and 6.1. */
const sentences: readonly (readonly [RegExp, HubRefusal['refused']])[] = [
  [/\balready running\b/i, 'already_running'],
  [/\bpending stop\b/i, 'pending_stop'],
  [/\bpending spawn\b/i, 'pending_spawn'],
  [/\bpending (?:check|rename)\b|\bbeing renamed\b/i, 'pending_check'],
];

const tooMany = (answer: HubAnswer, now: number): HubRefusal => {
  const message = messageOf(answer);
  const waitMs = retryAfterMs(answer.headers.get('retry-after'), '', now);
  return {
    // handlers/base.py, spawn_single_user: only the limit of concurrent starts sends Retry-After.
    refused: answer.message.exec(/limit exceeded/i) !== null ? 'too_many_servers' : 'too_many_starts',
    message: message || 'The hub is handling too many requests.',
    ...(waitMs !== undefined && { retryAfterSeconds: Math.ceil(waitMs / 1000) }),
  };
};

/** The hub’s refusal in our terms; undefined for a status that is not one. */
export const refusalOf = (answer: HubAnswer, now: number): HubRefusal | undefined => {
  const message = messageOf(answer);
  switch (answer.status) {
    case 404:
      return { refused: 'no_such_user', message: message || 'The hub does not know this user.' };
    case 429:
      return tooMany(answer, now);
    case 400: {
      const refused =
        sentences.find(([sentence]) => answer.message.exec(sentence) !== null)?.[1] ?? 'refused';
      return { refused, message: message || 'The hub refused.' };
    }
    default:
      return undefined;
  }
};
