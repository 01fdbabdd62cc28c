import { type Answer, Refused } from './answer.ts';
import { type Call, jsonOf, needs } from './caller.ts';
import type { UserRow } from './database.ts';
import { claimNameOf } from './kubespawner.ts';
import { userModel } from './models.ts';
import { stopServer } from './servers.ts';

const paginated = 'application/jupyterhub-pagination+json';

/** JupyterHub’s api_page_default_limit and api_page_max_limit. */
const pageLimit = { usual: 50, most: 200 };

/** Python’s abs(int(text)). */
const whole = (text: string | null, fallback: number): number => {
  if (text === null) return fallback;
  if (!/^\s*[+-]?[0-9]+\s*$/.test(text)) {
    throw new Refused(400, 'Invalid argument type, offset and limit must be integers');
  }
  return Math.abs(Number(text));
};

/** Users whose server is in this state; `ready` is filtered later, page by page. */
const filtered = (users: readonly UserRow[], state: string | null): readonly UserRow[] => {
  switch (state) {
    case null:
    case '':
      return users;
    case 'active':
    case 'ready':
      return users.filter(({ server }) => server.active);
    case 'inactive':
      return users.filter(({ server }) => !server.active);
    default:
      throw new Refused(400, `Unrecognized state filter: '${state}'`);
  }
};

const sorters: Readonly<Record<string, (user: UserRow) => string | number>> = {
  id: ({ id }) => id,
  name: ({ name }) => name,
  last_activity: ({ lastActivity }) => lastActivity ?? '',
};

const sorted = (users: readonly UserRow[], by: string): readonly UserRow[] => {
  const key = sorters[by.replace(/^-/, '')];
  if (key === undefined) {
    throw new Refused(400, `sort must be 'id', 'name', or 'last_activity', not '${by}'`);
  }
  const compare = (a: UserRow, b: UserRow): number => (key(a) < key(b) ? -1 : key(a) > key(b) ? 1 : 0);
  const ascending = users.toSorted(compare);
  return by.startsWith('-') ? ascending.toReversed() : ascending;
};

export const listUsers = (call: Call): Answer => {
  needs(call, ['list:users']);
  const { hub, query } = call;
  const asPages = call.accept.includes(paginated);
  const offset = whole(query.get('offset'), 0);
  const asked = whole(query.get('limit'), asPages ? pageLimit.usual : pageLimit.most);
  const limit = Math.min(Math.max(asked, 1), pageLimit.most);
  const state = query.get('state');
  const wanted = (query.get('name_filter') ?? '').toLowerCase();
  const found = sorted(
    filtered(hub.database.users, state).filter(({ name }) => name.toLowerCase().includes(wanted)),
    query.get('sort') ?? 'id',
  );
  const items = found
    .slice(offset, offset + limit)
    .filter(({ name }) => state !== 'ready' || hub.known(name)?.ready === true)
    .map((user) => userModel(call, user));
  if (!asPages) return { status: 200, body: items };
  const after = offset + limit;
  const next = new URLSearchParams(query);
  next.set('offset', String(after));
  next.set('limit', String(limit));
  const nextPage = { offset: after, limit, url: `${call.origin}/hub/api/users?${next}` };
  return {
    status: 200,
    body: {
      items,
      _pagination: { offset, limit, total: found.length, next: after < found.length ? nextPage : null },
    },
  };
};

/** The user that the path names. Throws Refused. */
export const userOf = ({ hub }: Call, name: string): UserRow => {
  const user = hub.database.user(name);
  if (user === undefined) throw new Refused(404, 'Not Found');
  return user;
};

export const getUser = (call: Call, name: string): Answer => {
  const readable = ['read:users', 'read:users:name', 'read:servers', 'read:users:groups'];
  needs(call, [...readable, 'read:users:activity', 'read:roles:users'], name);
  return { status: 200, body: userModel(call, userOf(call, name)) };
};

/** Authenticator.validate_username. */
const isValidName = (name: string): boolean => name !== '' && !name.includes('/') && name === name.trim();

const add = ({ hub }: Call, name: string): UserRow =>
  hub.database.add(name, new Date(hub.now()).toISOString());

/** The name is stored unchanged: only login, and a list of new users, convert it to lower case. */
export const addUser = (call: Call, name: string): Answer => {
  needs(call, ['admin:users'], name);
  if (call.hub.database.user(name) !== undefined) throw new Refused(409, `User ${name} already exists`);
  if (!isValidName(name)) throw new Refused(400, `Failed to create user: ${name}`);
  return { status: 201, body: userModel(call, add(call, name)) };
};

export const addUsers = (call: Call): Answer => {
  needs(call, ['admin:users']);
  const body = jsonOf(call);
  const given = typeof body === 'object' && body !== null && 'usernames' in body ? body.usernames : undefined;
  if (!Array.isArray(given) || given.length === 0) {
    throw new Refused(400, 'Must specify at least one user to create');
  }
  const names = given.map((name: unknown) => String(name).toLowerCase());
  const invalid = names.filter((name) => !isValidName(name));
  if (invalid.length > 0) {
    throw new Refused(400, `Invalid username${invalid.length > 1 ? 's' : ''}: ${invalid.join(', ')}`);
  }
  const fresh = names.filter((name) => call.hub.database.user(name) === undefined);
  if (fresh.length === 0) throw new Refused(409, `All ${names.length} users already exist`);
  return { status: 201, body: fresh.map((name) => userModel(call, add(call, name))) };
};

export const removeUser = async (call: Call, name: string): Promise<Answer> => {
  needs(call, ['delete:users'], name);
  const { hub } = call;
  const user = userOf(call, name);
  const server = hub.server(name);
  const isStopping = (): boolean => hub.known(name)?.pending === 'stop';
  const refuse = (): never => {
    throw new Refused(400, `${name}'s server is in the process of stopping, please wait.`);
  };
  if (isStopping()) refuse();
  if (server.ready) await stopServer(hub, server);
  if (isStopping()) refuse();
  // JupyterHub fails here: a server that is starting or being checked cannot be deleted.
  if (hub.known(name)?.active === true) throw new Error(`Spawner ${name} is active and cannot be deleted.`);
  const spawn = { settings: hub.settings.spawner, user: name, hubVersion: hub.version };
  await hub.removeUser(user, claimNameOf(spawn));
  return { status: 204 };
};
