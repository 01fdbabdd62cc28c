/**
 * A Kubernetes API server for tests and demos: plain HTTP on the loopback, no TLS, every caller may do everything.
 *
 *   const kubernetes = await startKubernetes();
 *   // kubectl --server=<kubernetes.url> get namespaces
 *   // client-node: { server: kubernetes.url, skipTLSVerify: true }
 *   const client = kubernetes.client('helm-controller');
 *   const stop = client.watch('helmreleases', {}, (type, object) => …);
 *   kubernetes.faults.set((request) => (request.method === 'PATCH' ? { status: 503 } : undefined));
 *   await kubernetes.settled();   // garbage is collected, namespaces are emptied
 *   await kubernetes.close();
 *
 * One contract, test/kubernetes-wire/contract.ts, runs on this server and on the real one.
 */
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import { setTimeout as delay } from 'node:timers/promises';
import { type Admit, inOrder, type User } from './admission.ts';
import { admissionPolicies } from './admission-policies.ts';
import { admissionQuota } from './admission-quota.ts';
import { admissionWebhooks } from './admission-webhooks.ts';
import { Api } from './api.ts';
import { Background } from './background.ts';
import { type Client, createClient } from './client.ts';
import { collectGarbage } from './garbage.ts';
import type { Json } from './json.ts';
import { keepNamespaces } from './namespaces.ts';
import { Objects } from './objects.ts';
import { jsonOfProtobuf, protobufMediaType } from './protobuf.ts';
import { Registry } from './registry.ts';
import type { ApiRequest, ApiResponse } from './request.ts';
import { FQDN_POLICIES, RESOURCES } from './resources.ts';
import { ApiError, internal } from './status.ts';

export interface KubernetesOptions {
  /** 0 (the default) takes a free port. */
  readonly port?: number;
  readonly host?: string;
  /** SQLite file that keeps the objects between runs; absent keeps them in memory. */
  readonly file?: string;
  readonly now?: () => number;
  readonly log?: (message: string, error?: unknown) => void;
  /** The user of a bearer token; by default the token is the user's name. */
  readonly identify?: (token: string) => User;
  /** Serves Google's FQDNNetworkPolicy in one of its two versions. */
  readonly fqdnPolicies?: 'v1alpha1' | 'v1alpha3';
  /** An admission check in this process, after the webhooks and policies that are objects in the cluster. */
  readonly admit?: Admit;
  /** How many changes watches and pages may lag behind. */
  readonly keepChanges?: number;
}

/** What a test makes the server do with a request over HTTP instead of answering it. */
export interface Fault {
  readonly status?: number;
  readonly body?: Json;
  readonly headers?: Readonly<Record<string, string>>;
  /** Waits first; alone, the request is answered as usual afterwards. */
  readonly delayMs?: number;
  /** Never answers. */
  readonly hang?: boolean;
  /** Cuts the connection without an answer. */
  readonly drop?: boolean;
}

/** One answered request; a watch is logged when it starts. */
export interface RequestLog {
  readonly via: 'http' | 'process';
  readonly method: string;
  readonly path: string;
  readonly query: URLSearchParams;
  readonly user: string;
  readonly manager: string;
  readonly status: number;
  /** POST, PUT, PATCH or DELETE, whether it changed something or not. */
  readonly isWrite: boolean;
}

export interface Kubernetes {
  /** http://127.0.0.1:<port> */
  readonly url: string;
  client(manager: string, user?: User): Client;
  readonly faults: { set(fault: ((request: ApiRequest) => Fault | undefined) | undefined): void };
  /** Receives each request; returns a function that stops it. */
  onRequest(listener: (entry: RequestLog) => void): () => void;
  /** Forgets past changes: watches and pages that lag behind get 410. */
  compact(): void;
  /** Resolves when the garbage collector and the namespace controller have nothing left to do. */
  settled(): Promise<void>;
  close(): Promise<void>;
}

const ADMIN: User = { username: 'system:admin', groups: ['system:masters', 'system:authenticated'] };

const CONTROLLER: User = {
  username: 'system:serviceaccount:kube-system:kube-controller-manager',
  groups: ['system:serviceaccounts', 'system:authenticated'],
};

const LARGEST_BODY = 3 * 1024 * 1024;
const WRITES = ['POST', 'PUT', 'PATCH', 'DELETE'];

/** Starts the server; it has the namespaces of a new cluster when there is nothing in the file. */
export async function startKubernetes(options: KubernetesOptions = {}): Promise<Kubernetes> {
  const now = options.now ?? Date.now;
  const log = options.log ?? (() => undefined);
  const registry = new Registry({ keep: options.keepChanges ?? 10_000, file: options.file });
  const resources =
    options.fqdnPolicies === undefined ? RESOURCES : [...RESOURCES, FQDN_POLICIES[options.fqdnPolicies]];
  const checks = [admissionPolicies, admissionWebhooks, admissionQuota].map((one) =>
    one(registry, resources),
  );
  const admit = inOrder(...checks, ...(options.admit === undefined ? [] : [options.admit]));
  const api = new Api({
    registry,
    resources,
    now,
    objects: new Objects({ registry, resources, admit, now }),
  });
  const background = new Background((what, error) => log(`controller failed: ${what}`, error));
  const listeners = new Set<(entry: RequestLog) => void>();
  let faultOf: ((request: ApiRequest) => Fault | undefined) | undefined;

  const answer = async (request: ApiRequest): Promise<ApiResponse> => {
    const response = await api.handle(request).catch((error: unknown): ApiResponse => {
      log(`${request.method} ${request.path} failed`, error);
      const refusal = internal(error instanceof Error ? error.message : String(error));
      return { status: refusal.code, body: refusal.body };
    });
    record(request, response.status);
    return response;
  };
  const record = (request: ApiRequest, status: number): void => {
    const { via, method, path, query, user } = request;
    const manager = query.get('fieldManager') ?? request.agent;
    const entry = {
      via,
      method,
      path,
      query,
      user: user.username,
      manager,
      status,
      isWrite: WRITES.includes(method),
    };
    for (const listener of [...listeners]) listener(entry);
  };
  const client = (manager: string, user: User = ADMIN): Client =>
    createClient(answer, resources, manager, user);

  const controller = client('kube-controller-manager', CONTROLLER);
  collectGarbage(registry, resources, controller, background);
  keepNamespaces(registry, resources, controller, background);
  for (const name of ['default', 'kube-system', 'kube-public', 'kube-node-lease']) {
    const found = await controller.get('namespaces', '', name);
    if (found === undefined)
      await controller.create({ apiVersion: 'v1', kind: 'Namespace', metadata: { name } });
  }
  await background.settled();

  const server = createServer((incoming, outgoing) => {
    serve(incoming, outgoing).catch((error: unknown) => {
      log('connection failed', error);
      outgoing.destroy();
    });
  });

  async function serve(incoming: IncomingMessage, outgoing: ServerResponse): Promise<void> {
    const body = await readBody(incoming);
    if (body === undefined) {
      const refusal = new ApiError(
        413,
        'RequestEntityTooLarge',
        `Request entity too large: limit is ${LARGEST_BODY}`,
      );
      return sendJson(outgoing, { status: refusal.code, body: refusal.body });
    }
    let request: ApiRequest;
    try {
      request = requestOf(incoming, body, options.identify ?? byName);
    } catch (error) {
      if (!(error instanceof ApiError)) throw error;
      return sendJson(outgoing, { status: error.code, body: error.body });
    }
    const fault = faultOf?.(request);
    if (fault !== undefined && (await inject(fault, request, outgoing))) return;
    const response = await answer(request);
    if ('watch' in response) stream(response, outgoing);
    else sendJson(outgoing, response);
  }

  /** Returns whether the fault was the answer. */
  async function inject(fault: Fault, request: ApiRequest, outgoing: ServerResponse): Promise<boolean> {
    if (fault.delayMs !== undefined) await delay(fault.delayMs, undefined, { ref: false });
    if (fault.hang === true) return true;
    if (fault.drop === true) {
      outgoing.destroy();
      return true;
    }
    if (fault.status === undefined) return false;
    const refusal = new ApiError(fault.status, '', 'injected fault');
    record(request, fault.status);
    for (const [name, value] of Object.entries(fault.headers ?? {})) outgoing.setHeader(name, value);
    sendJson(outgoing, { status: fault.status, body: fault.body ?? refusal.body });
    return true;
  }

  server.keepAliveTimeout = 60_000;
  await new Promise<void>((resolve, reject) => {
    server.once('error', reject);
    server.listen(options.port ?? 0, options.host ?? '127.0.0.1', resolve);
  });

  return {
    url: `http://${options.host ?? '127.0.0.1'}:${portOf(server.address())}`,
    client,
    faults: {
      set: (fault) => {
        faultOf = fault;
      },
    },
    onRequest: (listener) => {
      listeners.add(listener);
      return () => listeners.delete(listener);
    },
    compact: () => registry.compact(),
    settled: () => background.settled(),
    close: async () => {
      await background.close();
      const closed = new Promise<void>((resolve) => server.close(() => resolve()));
      server.closeAllConnections();
      await closed;
      registry.close();
    },
  };
}

const portOf = (address: AddressInfo | string | null): number =>
  typeof address === 'object' && address !== null ? address.port : 0;

const byName = (token: string): User => ({ username: token, groups: ['system:authenticated'] });

async function readBody(incoming: IncomingMessage): Promise<Buffer | undefined> {
  const chunks: Buffer[] = [];
  let size = 0;
  for await (const chunk of incoming) {
    const bytes = Buffer.from(chunk);
    size += bytes.length;
    if (size > LARGEST_BODY) return undefined;
    chunks.push(bytes);
  }
  return Buffer.concat(chunks);
}

function requestOf(incoming: IncomingMessage, body: Buffer, identify: (token: string) => User): ApiRequest {
  const url = new URL(incoming.url ?? '/', 'http://localhost');
  const { headers } = incoming;
  const agent = headers['user-agent']?.split('/')[0]?.slice(0, 128) ?? '';
  return {
    via: 'http',
    method: incoming.method ?? 'GET',
    path: url.pathname,
    query: url.searchParams,
    accept: headers.accept ?? '',
    ...jsonBody(headers['content-type'] ?? '', body),
    user: userOf(headers, identify),
    agent: agent === '' ? 'unknown' : agent,
  };
}

/** The body as text; protobuf, which kubectl create sends, decoded to its JSON. */
function jsonBody(
  contentType: string,
  body: Buffer,
): { readonly contentType: string; readonly body: string } {
  const decoded = contentType.startsWith(protobufMediaType) ? jsonOfProtobuf(body) : undefined;
  return decoded === undefined
    ? { contentType, body: body.toString('utf8') }
    : { contentType: 'application/json', body: JSON.stringify(decoded) };
}

function userOf(headers: IncomingMessage['headers'], identify: (token: string) => User): User {
  const impersonated = headers['impersonate-user'];
  if (typeof impersonated === 'string') {
    const groups = headers['impersonate-group'];
    return {
      username: impersonated,
      groups: [
        'system:authenticated',
        ...(groups === undefined ? [] : [groups].flat().flatMap((one) => one.split(', '))),
      ],
    };
  }
  const token = /^Bearer (.+)$/.exec(headers.authorization ?? '')?.[1];
  return token === undefined ? ADMIN : identify(token);
}

function sendJson(outgoing: ServerResponse, response: Exclude<ApiResponse, { watch: unknown }>): void {
  const contentType = response.contentType ?? 'application/json';
  const text = typeof response.body === 'string' ? response.body : JSON.stringify(response.body);
  for (const warning of response.warnings ?? [])
    outgoing.appendHeader('warning', `299 - ${JSON.stringify(warning)}`);
  outgoing.writeHead(response.status, {
    'content-type': contentType,
    'content-length': Buffer.byteLength(text),
  });
  outgoing.end(text);
}

function stream(response: Extract<ApiResponse, { watch: unknown }>, outgoing: ServerResponse): void {
  outgoing.writeHead(200, { 'content-type': 'application/json', 'transfer-encoding': 'chunked' });
  outgoing.flushHeaders();
  const stop = response.watch(
    (event) => outgoing.write(`${JSON.stringify(event)}\n`),
    () => outgoing.end(),
  );
  outgoing.on('close', stop);
}
