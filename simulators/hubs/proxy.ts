import type { IncomingHttpHeaders } from 'node:http';
import { isReady } from '../cluster/kubelet.ts';
import { type Answer, escapePath, text, unavailable } from './answer.ts';
import { callerOf } from './caller.ts';
import { podNameOf } from './kubespawner.ts';
import { userUrl } from './models.ts';
import type { Notebooks } from './notebooks.ts';
import type { HubProcess } from './process.ts';
import { allows } from './scopes.ts';

/** A request below /user. */
export interface UserRequest {
  readonly method: string;
  readonly user: string;
  /** Behind /user/<name>, decoded, with a slash in front. */
  readonly rest: string;
  readonly path: string;
  readonly headers: IncomingHttpHeaders;
  /** The origin that the client used. */
  readonly origin: string;
}

const forbidden: Answer = { status: 403, body: { message: 'Forbidden', reason: null } };

const isRouted = async (hub: HubProcess, user: string): Promise<boolean> => {
  if (hub.database.user(user)?.server.active !== true) return false;
  const pod = await hub.client.get('pods', hub.settings.spawner.namespace, podNameOf(user));
  return pod !== undefined && isReady(pod);
};

/** The REST API of a Jupyter server, as far as cullers and probes use it. */
const fromServer = (notebooks: Notebooks, slug: string, user: string, rest: string): Answer => {
  const isBusy = notebooks.kernel(slug, user);
  const { now } = notebooks;
  const kernel = {
    id: 'kernel-1',
    name: 'python3',
    last_activity: now,
    execution_state: isBusy === true ? 'busy' : 'idle',
    connections: 0,
  };
  const kernels = isBusy === undefined ? [] : [kernel];
  switch (rest.replace(/\/$/, '')) {
    case '/api/kernels':
      return { status: 200, body: kernels };
    case '/api/status':
      return {
        status: 200,
        body: { started: now, last_activity: now, connections: 0, kernels: kernels.length },
      };
    default:
      return { status: 404, body: { message: 'Not Found', reason: null } };
  }
};

/** JupyterHub’s UserUrlHandler, for requests to a server that is not running. */
const fromHub = async (
  hub: HubProcess,
  { user, rest, method, headers, origin }: UserRequest,
  whenHubAnswers: () => Promise<boolean>,
): Promise<Answer> => {
  if (!(await whenHubAnswers())) return unavailable;
  if (method === 'GET') {
    const caller = callerOf(hub, headers.authorization);
    if (caller === undefined) return { status: 302, headers: { location: `/${hub.slug}/hub/` } };
    if (!allows(caller.scopes, 'access:servers', user)) {
      const message = 'No access to resources or resources not found';
      return { status: 404, body: { status: 404, message } };
    }
  }
  const path = `${userUrl(user)}${rest.slice(1)}`;
  const message = `JupyterHub server no longer running at ${path}. Restart the server at ${origin}/hub/spawn/${escapePath(user)}`;
  return { status: 424, body: { message } };
};

/**
 * Answers a request below /user: by the server while it runs, else by the hub. A server asks its hub whose a token
 * is, so `whenHubAnswers` is awaited where one is needed; it resolves to false when there is no hub to ask.
 */
export const answerUserRequest = async (
  hub: HubProcess,
  notebooks: Notebooks,
  request: UserRequest,
  whenHubAnswers: () => Promise<boolean>,
): Promise<Answer> => {
  const { slug } = hub;
  const { user, rest, method, path, headers } = request;
  if (!(await isRouted(hub, user))) return fromHub(hub, request, whenHubAnswers);
  notebooks.record({ slug, user, method, path, headers });
  if (rest === '/api') return { status: 200, body: { version: '2.21.1' } };
  if (!rest.startsWith('/api/')) {
    return text(200, `The notebook of ${user} in ${slug}. It is simulated: there is nothing to open.\n`);
  }
  if (!(await whenHubAnswers())) {
    return { status: 500, body: { message: 'Failed to connect to Hub API', reason: null } };
  }
  const caller = callerOf(hub, headers.authorization);
  if (caller === undefined || !allows(caller.scopes, 'access:servers', user)) return forbidden;
  return fromServer(notebooks, slug, user, rest);
};
