import { once } from 'node:events';
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http';
import { isReady } from '../cluster/kubelet.ts';
import type { Client } from '../kubernetes/client.ts';
import { isBeingDeleted, type KubeObject, uidOf } from '../kubernetes/object.ts';
import { type Answer, Refused, unavailable } from './answer.ts';
import { answerCall } from './api.ts';
import { callerOf } from './caller.ts';
import {
  answerClock,
  answerControl,
  answerFreezing,
  NotThere,
  type ServerSettings,
  setServer,
} from './control.ts';
import type { HubConventions } from './conventions.ts';
import { HubDatabases } from './database.ts';
import { Faults } from './faults.ts';
import { hubPodOf, isHub, readConfiguration, slugOf } from './hub.ts';
import { Notebooks, type ServerRequest } from './notebooks.ts';
import { answerPage } from './pages.ts';
import { Pods } from './pods.ts';
import { HubProcess } from './process.ts';
import { answerUserRequest } from './proxy.ts';
import { type Timings, usualTimings } from './timings.ts';

export interface Hubs {
  readonly port: number;
  /** When a server was last used, ISO 8601; it may move back. Throws NotThere. */
  setActivity(slug: string, user: string, at: string): void;
  /** When a running server was started. Throws NotThere. */
  setStarted(slug: string, user: string, at: string): void;
  /** Whether the kernel of a running server is busy. Throws NotThere. */
  setBusy(slug: string, user: string, busy: boolean): void;
  /** The next start of this server fails with this message. */
  failNextSpawn(slug: string, user: string, message: string): void;
  /** Starts, or stops, of this server stay pending until the returned function is called. */
  hold(slug: string, user: string, what: 'start' | 'stop'): () => void;
  /** How many servers of a hub may start at once, instead of the limit in its values. */
  limitSpawns(slug: string, limit: number): void;
  /** The hub accepts connections and never answers, until it is thawed or its pod is replaced. Throws NotThere. */
  freeze(slug: string): void;
  /** A frozen hub ends and starts again in its pod; operations in progress are lost. Throws NotThere. */
  thaw(slug: string): Promise<void>;
  /** The requests that reached the notebook servers, the oldest first. */
  serverRequests(): readonly ServerRequest[];
  close(): Promise<void>;
}

export interface HubsOptions {
  readonly port: number;
  readonly host?: string;
  readonly client: Client;
  /** The file with the hubs’ databases; without it they are kept in memory only. */
  readonly file?: string;
  /** JupyterHub’s version, 5 or 6. Default: 5.5.0, that of the chart. */
  readonly hubVersion?: string;
  /** Epoch milliseconds: the hubs’ clock. Durations are real time. */
  readonly now?: () => number;
  readonly conventions?: HubConventions;
  readonly timings?: Partial<Timings>;
  /** Moves the clock of all processes forward, for `/_sandbox/clock`. */
  readonly moveClock?: (seconds: number) => Promise<void>;
  readonly onFailure?: (what: string, error: unknown) => void;
}

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

const send = async (
  response: ServerResponse,
  { status, headers, body, stream }: Answer,
  now: number,
): Promise<void> => {
  const json = body === undefined ? {} : { 'content-type': 'application/json' };
  // By the hub’s clock, as Tornado sends it.
  response.writeHead(status, { date: new Date(now).toUTCString(), ...json, ...headers });
  if (stream === undefined) {
    response.end(body === undefined ? '' : JSON.stringify(body));
    return;
  }
  const closed = new AbortController();
  response.once('close', () => closed.abort());
  for await (const part of stream(closed.signal)) response.write(part);
  response.end();
};

const refusalOf = (error: unknown): Answer | undefined =>
  error instanceof Refused ? error.answer : undefined;

/**
 * Simulates the JupyterHubs of a cluster, each below `/<slug>`, with its proxy and notebook servers. A hub answers while its
 * pod is ready in the simulated cluster, knows the tokens that it read when the pod started, and keeps its users as
 * long as its volume claim. `/_sandbox` (control.ts) has what a real hub does not offer.
 */
export const startHubs = async (options: HubsOptions): Promise<Hubs> => {
  const { client, hubVersion = '5.5.0', now = Date.now, onFailure = () => {} } = options;
  const { conventions = {} } = options;
  const timings = { ...usualTimings, ...options.timings };
  const databases = new HubDatabases(options.file);
  const pods = new Pods(client);
  const notebooks = new Notebooks(now);
  const faults = new Faults();
  /** By the uid of the pod. */
  const processes = new Map<string, Promise<HubProcess>>();
  /** The last process of each hub; it may have ended. */
  const latest = new Map<string, HubProcess>();
  const goneEarly = new Set<string>();

  const begin = async (slug: string, pod: KubeObject): Promise<HubProcess> => {
    const configuration = await readConfiguration(client, pod, conventions);
    const hub = await HubProcess.start({
      slug,
      pod,
      version: hubVersion,
      configuration,
      database: databases.of(configuration.claim),
      client,
      pods,
      notebooks,
      faults,
      timings,
      now,
      onFailure,
    });
    if (goneEarly.delete(hub.pod)) hub.end();
    else latest.set(slug, hub);
    return hub;
  };

  const processOf = (slug: string, pod: KubeObject): Promise<HubProcess> => {
    const uid = uidOf(pod);
    const known = processes.get(uid);
    if (known !== undefined) return known;
    const started = begin(slug, pod);
    processes.set(uid, started);
    // The next request tries again.
    started.catch(() => processes.delete(uid));
    return started;
  };

  const hubOf = async (slug: string): Promise<HubProcess | undefined> => {
    const pod = await hubPodOf(client, slug, conventions);
    return pod === undefined ? undefined : processOf(slug, pod);
  };

  const running = (slug: string): HubProcess => {
    const hub = latest.get(slug);
    if (hub === undefined || hub.gone.aborted) throw new NotThere(404, `No hub of ${slug} is running.`);
    return hub;
  };

  const thaw = async (slug: string): Promise<void> => {
    const hub = running(slug);
    if (!hub.isFrozen) return;
    hub.end();
    processes.delete(hub.pod);
    await hubOf(slug);
  };

  const podChanged = async (pod: KubeObject): Promise<void> => {
    const known = processes.get(uidOf(pod));
    if (known !== undefined) return (await known).podChanged();
    const slug = await slugOf(client, pod, conventions);
    if (slug !== undefined) await processOf(slug, pod);
  };

  const podGone = async (pod: KubeObject): Promise<void> => {
    const uid = uidOf(pod);
    const known = processes.get(uid);
    if (known === undefined) return;
    processes.delete(uid);
    goneEarly.add(uid);
    (await known).end();
    goneEarly.delete(uid);
  };

  const toHub = async (slug: string, below: readonly string[], request: IncomingMessage, url: URL) => {
    const body = await bodyOf(request);
    const hub = await hubOf(slug);
    if (hub === undefined) return unavailable;
    // The request is answered when the process ends.
    if (hub.isFrozen) return hub;
    const version = { 'x-jupyterhub-version': hub.version };
    const answered = ({ headers, ...answer }: Answer): Answer => ({
      ...answer,
      headers: { ...version, ...headers },
    });
    if (below[0] === 'health') return answered({ status: 200 });
    const page = answerPage(
      hub,
      below.filter((segment) => segment !== ''),
      url.searchParams,
    );
    if (request.method === 'GET' && page !== undefined) return answered(page);
    const trimmed = below.at(-1) === '' ? below.slice(1, -1) : below.slice(1);
    const path = trimmed.map(decode).filter((segment) => segment !== undefined);
    if (below[0] !== 'api' || path.length !== trimmed.length) {
      return answered(new Refused(404, 'Not Found').answer);
    }
    try {
      return answered(
        await answerCall({
          hub,
          path,
          method: request.method ?? 'GET',
          query: url.searchParams,
          accept: request.headers.accept ?? '',
          body,
          origin: `http://${request.headers.host ?? ''}`,
          caller: callerOf(hub, request.headers.authorization),
        }),
      );
    } catch (error) {
      const refusal = refusalOf(error);
      // The process ended during the request.
      if (refusal === undefined && hub.gone.aborted) return hub;
      if (refusal === undefined) onFailure(`${request.method} ${url.pathname}`, error);
      return answered(refusal ?? new Refused(500, 'Internal Server Error').answer);
    }
  };

  const toNotebook = async (slug: string, below: readonly string[], request: IncomingMessage, url: URL) => {
    await bodyOf(request);
    const current = await hubOf(slug);
    const hub = current ?? latest.get(slug);
    const user = decode(below[0] ?? '');
    if (hub === undefined || user === undefined) return unavailable;
    const whenHubAnswers = async (): Promise<boolean> => {
      if (hub.isFrozen) await once(hub.gone, 'abort');
      return !hub.gone.aborted;
    };
    const origin = `http://${request.headers.host ?? ''}`;
    return answerUserRequest(
      hub,
      notebooks,
      {
        method: request.method ?? 'GET',
        user,
        rest: `/${below.slice(1).join('/')}`,
        path: `${url.pathname}${url.search}`,
        headers: request.headers,
        origin,
      },
      whenHubAnswers,
    );
  };

  /** An answer, or a frozen hub, which gives none before it ends. */
  const answerTo = async (request: IncomingMessage): Promise<Answer | HubProcess> => {
    const url = new URL(request.url ?? '/', 'http://localhost');
    const [, slug = '', what = '', ...below] = url.pathname.split('/');
    if (slug === '_sandbox') {
      if (what === 'clock' && below.length === 0) {
        return answerClock(
          { method: request.method ?? 'GET', body: await bodyOf(request) },
          options.moveClock,
        );
      }
      const [noun, name] = below;
      if (noun === 'hub' && below.length === 1) {
        return answerFreezing(
          { method: request.method ?? 'GET', body: await bodyOf(request) },
          {
            isFrozen: () => running(what).isFrozen,
            freeze: () => running(what).freeze(),
            thaw: () => thaw(what),
          },
        );
      }
      const user = decode(name ?? '');
      if (noun !== 'users' || user === undefined || below.length !== 2) {
        return {
          status: 404,
          body: {
            message: 'Served here: /_sandbox/<slug>/users/<user>, /_sandbox/<slug>/hub and /_sandbox/clock.',
          },
        };
      }
      const body = await bodyOf(request);
      return answerControl(await hubOf(what), notebooks, {
        slug: what,
        user,
        method: request.method ?? 'GET',
        body,
      });
    }
    if (what === 'user') return toNotebook(slug, below, request, url);
    if (what === 'hub') return toHub(slug, below, request, url);
    const isThere = what === '' && (await hubOf(slug)) !== undefined;
    return isThere ? { status: 302, headers: { location: `/${slug}/hub/` } } : unavailable;
  };

  const handle = async (request: IncomingMessage, response: ServerResponse): Promise<void> => {
    const answer = await answerTo(request);
    if (!(answer instanceof HubProcess)) return send(response, answer, now());
    if (!answer.gone.aborted) await once(answer.gone, 'abort');
    response.destroy();
  };

  const server = createServer((request, response) => {
    handle(request, response).catch((error: unknown) => {
      onFailure(`${request.method} ${request.url}`, error);
      if (!response.headersSent) response.writeHead(500, { 'content-type': 'text/plain' });
      response.end(error instanceof Error ? error.message : 'error');
    });
  });
  const report = (pod: KubeObject, work: Promise<void>): void => {
    work.catch((error: unknown) => onFailure(`Hub in ${pod.metadata.namespace}`, error));
  };
  const stops = [
    client.watch('persistentvolumeclaims', {}, (type, claim) => {
      if (type === 'DELETED') databases.forget(uidOf(claim));
    }),
    client.watch('pods', { labelSelector: 'app=jupyterhub,component=hub' }, (type, pod) => {
      if (!isHub(pod)) return;
      if (type === 'DELETED' || isBeingDeleted(pod)) report(pod, podGone(pod));
      else if (isReady(pod)) report(pod, podChanged(pod));
    }),
  ];
  server.listen(options.port, options.host ?? '127.0.0.1');
  await once(server, 'listening');
  const address = server.address();
  if (typeof address !== 'object' || address === null) throw new Error('The hubs have no port.');

  const set = (slug: string, user: string, settings: ServerSettings): void =>
    setServer(running(slug), notebooks, user, settings);

  return {
    port: address.port,
    setActivity: (slug, user, at) => set(slug, user, { lastActivityAt: at }),
    setStarted: (slug, user, at) => set(slug, user, { startedAt: at }),
    setBusy: (slug, user, busy) => set(slug, user, { busyKernel: busy }),
    failNextSpawn: (slug, user, message) => faults.failNextSpawn(slug, user, message),
    hold: (slug, user, what) => faults.hold(slug, user, what),
    limitSpawns: (slug, limit) => faults.limitSpawns(slug, limit),
    freeze: (slug) => running(slug).freeze(),
    thaw,
    serverRequests: () => notebooks.requests,
    async close() {
      for (const stop of stops) stop();
      for (const process of await Promise.all(processes.values())) process.end();
      pods.close();
      const closed = once(server, 'close');
      server.close();
      server.closeAllConnections();
      await closed;
      databases.close();
    },
  };
};
