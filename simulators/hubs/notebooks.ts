import type { IncomingHttpHeaders } from 'node:http';
import { isReady } from '../cluster/kubelet.ts';
import { type Answer, escapePath } from './answer.ts';
import { callerOf } from './caller.ts';
import { podNameOf } from './kubespawner.ts';
import { userUrl } from './models.ts';
import type { HubProcess } from './process.ts';
import { allows } from './scopes.ts';

/** A request that reached a notebook server. */
export interface ServerRequest {
  readonly slug: string;
  readonly user: string;
  readonly method: string;
  readonly path: string;
  readonly headers: IncomingHttpHeaders;
}

interface Request {
  readonly method: string;
  readonly user: string;
  /** Behind /user/<name>, decoded, with a slash in front. */
  readonly rest: string;
  readonly path: string;
  readonly headers: IncomingHttpHeaders;
  /** What the client called this hub. */
  readonly origin: string;
}

const mostRequests = 10_000;
const forbidden: Answer = { status: 403, body: { message: 'Forbidden', reason: null } };

/** The notebook servers behind the teams’ proxies: what they are doing, and who has asked them. */
export class Notebooks {
  readonly #now: () => number;
  /** Whether the server’s one kernel computes, by team and user; absent: it has none. */
  readonly #kernels = new Map<string, boolean>();
  /** What the proxies have seen since the hubs last asked them. */
  readonly #activity = new Map<string, string>();
  readonly #requests: ServerRequest[] = [];

  constructor(now: () => number) {
    this.#now = now;
  }

  /** The requests that reached them, the oldest first; the oldest of very many are forgotten. */
  get requests(): readonly ServerRequest[] {
    return [...this.#requests];
  }

  setBusy(slug: string, user: string, busy: boolean): void {
    this.#kernels.set(`${slug}/${user}`, busy);
  }

  isBusy(slug: string, user: string): boolean {
    return this.#kernels.get(`${slug}/${user}`) === true;
  }

  /** When a server was last used, as its proxy tells the hub; told once. */
  takeActivity(slug: string, user: string): string | undefined {
    const seen = this.#activity.get(`${slug}/${user}`);
    this.#activity.delete(`${slug}/${user}`);
    return seen;
  }

  /** The server has stopped. */
  end(slug: string, user: string): void {
    this.#kernels.delete(`${slug}/${user}`);
    this.#activity.delete(`${slug}/${user}`);
  }

  /**
   * Answers below /user: by the server while it runs, else by the hub. A server asks its hub whose a token is, so
   * `whenHubAnswers` is awaited where one is needed; false: there is no hub to ask.
   */
  async answer(hub: HubProcess, request: Request, whenHubAnswers: () => Promise<boolean>): Promise<Answer> {
    const { slug } = hub;
    const { user, rest, method, path, headers } = request;
    if (!(await this.#isRouted(hub, user))) return this.#fromHub(hub, request, whenHubAnswers);
    this.#requests.push({ slug, user, method, path, headers });
    if (this.#requests.length > mostRequests) this.#requests.shift();
    // Any request counts: the proxy does not tell who asks for what.
    this.#activity.set(`${slug}/${user}`, new Date(this.#now()).toISOString());
    if (rest === '/api') return { status: 200, body: { version: '2.21.1' } };
    if (!rest.startsWith('/api/')) {
      const text = `The notebook of ${user} in ${slug}. It is simulated: there is nothing to open.\n`;
      return {
        status: 200,
        headers: { 'content-type': 'text/plain; charset=utf-8' },
        stream: () => once(text),
      };
    }
    if (!(await whenHubAnswers())) {
      return { status: 500, body: { message: 'Failed to connect to Hub API', reason: null } };
    }
    const caller = callerOf(hub, headers.authorization);
    if (caller === undefined || !allows(caller.scopes, 'access:servers', user)) return forbidden;
    return this.#fromServer(slug, user, rest);
  }

  #fromServer(slug: string, user: string, rest: string): Answer {
    const isBusy = this.#kernels.get(`${slug}/${user}`);
    const now = new Date(this.#now()).toISOString();
    const state = isBusy === true ? 'busy' : 'idle';
    const kernel = {
      id: 'kernel-1',
      name: 'python3',
      last_activity: now,
      execution_state: state,
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
  }

  async #isRouted(hub: HubProcess, user: string): Promise<boolean> {
    if (hub.database.user(user)?.server.active !== true) return false;
    const pod = await hub.client.get('pods', hub.settings.spawner.namespace, podNameOf(user));
    return pod !== undefined && isReady(pod);
  }

  /** JupyterHub’s UserUrlHandler, for whoever asks a server that does not run. */
  async #fromHub(hub: HubProcess, request: Request, whenHubAnswers: () => Promise<boolean>): Promise<Answer> {
    if (!(await whenHubAnswers())) return unavailable;
    const { user, rest, method, headers, origin } = request;
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
  }
}

async function* once(text: string): AsyncGenerator<string> {
  yield text;
}

/** What an ingress says of a Service without endpoints. */
export const unavailable: Answer = {
  status: 503,
  headers: { 'content-type': 'text/plain' },
  stream: () => once('503 Service Temporarily Unavailable\n'),
};
