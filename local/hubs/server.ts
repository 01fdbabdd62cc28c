import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http';
import type { Client } from '../kubernetes/client.ts';
import { uidOf } from '../kubernetes/object.ts';
import { HubDatabases, type HubUser } from './database.ts';
import { type Hub, hubPodOf, readHub, type Service } from './hub.ts';

export interface Hubs {
  readonly port: number;
  close(): Promise<void>;
}

interface Answer {
  readonly status: number;
  readonly body?: unknown;
}

/** JupyterHub’s own form of an error. */
const refusal = (status: number, message: string): Answer => ({ status, body: { status, message } });

interface Call {
  readonly method: string;
  /** Below /hub/api, decoded. */
  readonly path: readonly string[];
  readonly query: URLSearchParams;
  readonly accept: string;
  readonly body: unknown;
  readonly hub: Hub;
  readonly caller: Service | undefined;
}

const paginated = 'application/jupyterhub-pagination+json';
/** JupyterHub’s api_page_default_limit and api_page_max_limit. */
const pageLimit = { usual: 50, most: 200 };

const modelOf = ({ name, created }: HubUser, { scopes }: Service): Record<string, unknown> => ({
  kind: 'user',
  name,
  ...(scopes.has('read:users') ? { admin: false, roles: ['user'], groups: [], created } : {}),
  ...(scopes.has('read:users:activity') ? { last_activity: null } : {}),
  ...(scopes.has('read:servers') ? { server: null, pending: null, servers: {} } : {}),
});

const whole = (text: string | null, fallback: number): number | undefined => {
  const value = text === null ? fallback : Number(text);
  return Number.isInteger(value) && value >= 0 ? value : undefined;
};

const listUsers = (call: Call, caller: Service, users: readonly HubUser[]): Answer => {
  const asPages = call.accept.includes(paginated);
  const offset = whole(call.query.get('offset'), 0);
  const asked = whole(call.query.get('limit'), asPages ? pageLimit.usual : pageLimit.most);
  if (offset === undefined || asked === undefined)
    return refusal(400, 'Invalid argument type, offset and limit must be integers');
  const limit = Math.min(Math.max(asked, 1), pageLimit.most);
  const state = call.query.get('state');
  if (state !== null && !['active', 'ready', 'inactive'].includes(state)) {
    return refusal(400, `Unrecognized state filter: '${state}'`);
  }
  const wanted = call.query.get('name_filter') ?? '';
  // Nobody's server runs here, so everybody is inactive.
  const found =
    state === 'active' || state === 'ready' ? [] : users.filter(({ name }) => name.includes(wanted));
  const items = found.slice(offset, offset + limit).map((user) => modelOf(user, caller));
  if (!asPages) return { status: 200, body: items };
  const after = offset + limit;
  const next = new URLSearchParams(call.query);
  next.set('offset', String(after));
  next.set('limit', String(limit));
  const nextPage = { offset: after, limit, url: `/hub/api/users?${next}` };
  return {
    status: 200,
    body: {
      items,
      _pagination: { offset, limit, total: found.length, next: after < found.length ? nextPage : null },
    },
  };
};

const needed = (caller: Service | undefined, ...anyOf: readonly string[]): Answer | undefined => {
  if (caller === undefined) return refusal(403, 'Missing or invalid credentials.');
  if (anyOf.some((scope) => caller.scopes.has(scope))) return undefined;
  return refusal(403, `Action is not authorized with current scopes; requires any of [${anyOf.join(', ')}]`);
};

/** One call of JupyterHub’s REST API, version 5. Servers are not simulated yet. */
const answer = (call: Call, databases: HubDatabases): Answer => {
  const { method, path, hub, caller } = call;
  const [noun, name, ...rest] = path;
  if (noun === undefined && method === 'GET') return { status: 200, body: { version: hub.version } };

  if (noun === 'info' && name === undefined && method === 'GET') {
    return (
      needed(caller, 'read:hub') ?? {
        status: 200,
        body: {
          version: hub.version,
          python: '3.12.11',
          sys_executable: '/usr/local/bin/python3',
          spawner: { class: 'kubespawner.spawner.KubeSpawner', version: '7.0.0' },
          authenticator: { class: 'jupyterhub.auth.DummyAuthenticator', version: hub.version },
        },
      }
    );
  }
  if (noun !== 'users' || rest.length > 0) return refusal(404, 'Not Found');

  const users = databases.users(hub.claim);
  if (name === undefined) {
    if (method !== 'GET') return refusal(405, 'Method Not Allowed');
    const refused = needed(caller, 'list:users');
    return refused ?? (caller === undefined ? refusal(403, '') : listUsers(call, caller, users));
  }
  const userName = name.toLowerCase();
  const user = users.find((candidate) => candidate.name === userName);
  switch (method) {
    case 'GET': {
      const refused = needed(caller, 'read:users', 'read:users:name', 'read:servers');
      if (refused !== undefined || caller === undefined) return refused ?? refusal(403, '');
      return user === undefined ? refusal(404, 'Not Found') : { status: 200, body: modelOf(user, caller) };
    }
    case 'POST': {
      const refused = needed(caller, 'admin:users');
      if (refused !== undefined || caller === undefined) return refused ?? refusal(403, '');
      if (user !== undefined) return refusal(409, `User ${userName} already exists`);
      const created = { name: userName, created: new Date().toISOString() };
      databases.add(hub.claim, created);
      return { status: 201, body: modelOf(created, caller) };
    }
    case 'DELETE': {
      const refused = needed(caller, 'delete:users');
      if (refused !== undefined) return refused;
      if (user === undefined) return refusal(404, 'Not Found');
      databases.remove(hub.claim, userName);
      return { status: 204 };
    }
    default:
      return refusal(405, 'Method Not Allowed');
  }
};

const bodyOf = async (request: IncomingMessage): Promise<string> => {
  const parts: Buffer[] = [];
  for await (const part of request) parts.push(part);
  return Buffer.concat(parts).toString();
};

const decode = (segment: string): string | undefined => {
  try {
    return decodeURIComponent(segment);
  } catch {
    return undefined;
  }
};

const send = (response: ServerResponse, { status, body }: Answer): void => {
  const text = body === undefined ? '' : JSON.stringify(body);
  response.writeHead(status, {
    'x-jupyterhub-version': '5.5.0',
    ...(text === '' ? {} : { 'content-type': 'application/json' }),
  });
  response.end(text);
};

const listen = (server: Server, port: number, host: string): Promise<number> => {
  const { promise, resolve, reject } = Promise.withResolvers<number>();
  server.once('error', reject);
  server.listen(port, host, () => {
    const address = server.address();
    resolve(typeof address === 'object' && address !== null ? address.port : port);
  });
  return promise;
};

/**
 * Plays every team’s JupyterHub, each below `/<slug>`. A hub answers while its pod is ready in the simulated
 * cluster, knows the tokens that it read when that pod started, and keeps its users as long as its volume claim.
 */
export const startHubs = async (options: {
  readonly port: number;
  readonly host?: string;
  readonly client: Client;
  /** Where the hubs’ databases are kept; without it they are forgotten. */
  readonly file?: string;
}): Promise<Hubs> => {
  const { client } = options;
  const databases = new HubDatabases(options.file);
  const hubs = new Map<string, Promise<Hub>>();

  const hubOf = async (slug: string): Promise<Hub | undefined> => {
    const found = await hubPodOf(client, slug);
    if (found === undefined) return undefined;
    const uid = uidOf(found.pod);
    const known = hubs.get(uid) ?? readHub(client, found.namespace, found.pod);
    hubs.set(uid, known);
    return known;
  };

  const handle = async (request: IncomingMessage, response: ServerResponse): Promise<void> => {
    const url = new URL(request.url ?? '/', 'http://localhost');
    const [, slug, hubSegment, ...below] = url.pathname.split('/');
    const body = await bodyOf(request);
    const hub = slug === undefined ? undefined : await hubOf(slug);
    if (hub !== undefined && (hubSegment ?? '') === '') {
      response.writeHead(302, { location: `/${slug}/hub/` }).end();
      return;
    }
    if (hub === undefined || hubSegment !== 'hub') {
      // What an ingress says of a Service without endpoints.
      response.writeHead(503, { 'content-type': 'text/plain' }).end('503 Service Temporarily Unavailable\n');
      return;
    }
    if (below[0] === 'health') {
      response.writeHead(200).end();
      return;
    }
    if (below.join('') === '') {
      response.writeHead(200, { 'content-type': 'text/plain; charset=utf-8' });
      response.end(`The hub of ${slug}. It is simulated: its REST API answers, its pages do not.\n`);
      return;
    }
    const path = below
      .slice(1)
      .filter((segment) => segment !== '')
      .map(decode);
    const isApi = below[0] === 'api' && path.every((segment) => segment !== undefined);
    if (!isApi) {
      send(response, refusal(404, 'Not Found'));
      return;
    }
    const [, token] = /^(?:token|bearer)\s+(\S+)$/i.exec(request.headers.authorization ?? '') ?? [];
    const call: Call = {
      method: request.method ?? 'GET',
      path: path.filter((segment) => segment !== undefined),
      query: url.searchParams,
      accept: request.headers.accept ?? '',
      body,
      hub,
      caller: hub.services.find((service) => service.token === token),
    };
    send(response, answer(call, databases));
  };

  const server = createServer((request, response) => {
    handle(request, response).catch((error: unknown) => {
      if (!response.headersSent) response.writeHead(500, { 'content-type': 'text/plain' });
      response.end(error instanceof Error ? error.message : 'error');
    });
  });
  const stops = [
    client.watch('persistentvolumeclaims', {}, (type, claim) => {
      if (type === 'DELETED') databases.forget(uidOf(claim));
    }),
    client.watch('pods', {}, (type, pod) => {
      if (type === 'DELETED') hubs.delete(uidOf(pod));
    }),
  ];
  const port = await listen(server, options.port, options.host ?? '127.0.0.1');
  return {
    port,
    close() {
      for (const stop of stops) stop();
      const { promise, resolve } = Promise.withResolvers<void>();
      server.close(() => resolve());
      server.closeAllConnections();
      return promise;
    },
  };
};
