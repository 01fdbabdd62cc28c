import assert from 'node:assert/strict';
import { randomUUID } from 'node:crypto';
import { setTimeout as delay } from 'node:timers/promises';
import type { RequestInit, Response } from 'undici';

/** A Kubernetes API server to run the contract on. */
export interface WireServer {
  /** A request as an administrator. */
  fetch(path: string, init?: RequestInit): Promise<Response>;
  /** Kinds with their publishers' definition; what needs another one is skipped. */
  readonly customResources: readonly string[];
  close(): Promise<void>;
}

export type Body = { readonly [field: string]: unknown };
export interface Answer {
  readonly status: number;
  readonly body: Body;
  readonly headers: Response['headers'];
}
export interface Event {
  readonly type: string;
  readonly object: Body;
}

export const APPLY = 'application/apply-patch+yaml';
export const MERGE = 'application/merge-patch+json';
export const STRATEGIC = 'application/strategic-merge-patch+json';
export const JSON_PATCH = 'application/json-patch+json';
export const PATIENCE_MS = 20_000;

/** The requests that the contract makes; `server` is asked for the server at each one, since it starts with the suite. */
export const wireClient = (server: () => WireServer) => {
  const send = async (
    method: string,
    path: string,
    body?: unknown,
    headers: Readonly<Record<string, string>> = {},
  ): Promise<Answer> => {
    const answer = await server().fetch(path, {
      method,
      headers: { 'content-type': 'application/json', 'user-agent': 'wire/1.0', ...headers },
      ...(body === undefined ? {} : { body: typeof body === 'string' ? body : JSON.stringify(body) }),
    });
    const text = await answer.text();
    return {
      status: answer.status,
      headers: answer.headers,
      body: text.startsWith('{') ? JSON.parse(text) : { text },
    };
  };
  const get = (path: string): Promise<Answer> => send('GET', path);
  const post = (path: string, body: unknown): Promise<Answer> => send('POST', path, body);
  const put = (path: string, body: unknown): Promise<Answer> => send('PUT', path, body);
  const patch = (path: string, type: string, body: unknown): Promise<Answer> =>
    send('PATCH', path, body, { 'content-type': type });
  const remove = (path: string, body?: unknown): Promise<Answer> => send('DELETE', path, body);
  const apply = (path: string, manager: string, body: unknown, query = ''): Promise<Answer> =>
    patch(`${path}?fieldManager=${manager}${query}`, APPLY, body);

  const newNamespace = async (): Promise<string> => {
    const name = `wire-${randomUUID().slice(0, 8)}`;
    const created = await post('/api/v1/namespaces', { metadata: { name } });
    assert.equal(created.status, 201);
    return name;
  };
  const mapsIn = (namespace: string): string => `/api/v1/namespaces/${namespace}/configmaps`;
  const policiesIn = (namespace: string): string =>
    `/apis/networking.k8s.io/v1/namespaces/${namespace}/networkpolicies`;
  const releasesIn = (namespace: string): string =>
    `/apis/helm.toolkit.fluxcd.io/v2/namespaces/${namespace}/helmreleases`;
  const repositoriesIn = (namespace: string): string =>
    `/apis/source.toolkit.fluxcd.io/v1/namespaces/${namespace}/helmrepositories`;
  const map = (name: string, data: Body = {}, metadata: Body = {}): Body => ({
    apiVersion: 'v1',
    kind: 'ConfigMap',
    metadata: { name, ...metadata },
    data,
  });
  const repository = (name: string, spec: Body, metadata: Body = {}): Body => ({
    apiVersion: 'source.toolkit.fluxcd.io/v1',
    kind: 'HelmRepository',
    metadata: { name, ...metadata },
    spec,
  });

  return {
    server,
    send,
    get,
    post,
    put,
    patch,
    remove,
    apply,
    newNamespace,
    mapsIn,
    policiesIn,
    releasesIn,
    repositoriesIn,
    map,
    repository,
  };
};

export type WireClient = ReturnType<typeof wireClient>;

export function deployment(name: string): Body {
  return {
    apiVersion: 'apps/v1',
    kind: 'Deployment',
    metadata: { name },
    spec: {
      selector: { matchLabels: { a: 'b' } },
      template: { metadata: { labels: { a: 'b' } }, spec: { containers: [{ name: 'main', image: 'm:1' }] } },
    },
  };
}

export function at(value: unknown, ...path: readonly string[]): unknown {
  let current = value;
  for (const step of path) {
    current = typeof current === 'object' && current !== null ? (current as Body)[step] : undefined;
  }
  return current;
}

/** Namespaces hold kube-root-ca.crt too, sooner or later. */
export const isShort = (name: string): boolean => name.length === 1;

export const list = (value: unknown): Body[] => (Array.isArray(value) ? value : []);
export const texts = (value: unknown): string[] => (Array.isArray(value) ? value.map(String).toSorted() : []);
export const metadata = (body: unknown): Body => (at(body, 'metadata') as Body | undefined) ?? {};
export const names = (body: Body): string[] => list(body.items).map((item) => String(metadata(item).name));
/** The fields that a refusal names; the real server says some of them twice. */
export const fields = (answer: Answer): unknown[] => [
  ...new Set(list(at(answer.body, 'details', 'causes')).map((cause) => cause.field)),
];

export interface Owner {
  readonly manager: unknown;
  readonly operation: unknown;
  readonly apiVersion: unknown;
  readonly fields: unknown;
}

export const owners = (body: Body): Owner[] =>
  list(metadata(body).managedFields).map(({ manager, operation, apiVersion, fieldsV1 }) => ({
    manager,
    operation,
    apiVersion,
    fields: fieldsV1,
  }));

export const ownedBy = (body: Body, manager: string): unknown =>
  owners(body).find((owner) => owner.manager === manager)?.fields;

export function refused(
  answer: Answer,
  status: number,
  reason: string,
  message: string,
  details?: Body,
): void {
  const { kind, apiVersion, status: outcome, code } = answer.body;
  assert.deepEqual(
    {
      status: answer.status,
      reason: answer.body.reason,
      message: answer.body.message,
      kind,
      apiVersion,
      outcome,
      code,
    },
    { status, reason, message, kind: 'Status', apiVersion: 'v1', outcome: 'Failure', code: status },
  );
  if (details !== undefined) assert.deepEqual(answer.body.details, details);
}

export async function until(what: string, holds: () => Promise<boolean>): Promise<void> {
  const deadline = Date.now() + PATIENCE_MS;
  while (!(await holds())) {
    assert.ok(Date.now() < deadline, `waited in vain until ${what}`);
    await delay(25);
  }
}

export async function* lines(answer: Response): AsyncGenerator<Event, undefined, undefined> {
  let text = '';
  const decoder = new TextDecoder();
  for await (const chunk of answer.body ?? []) {
    text += decoder.decode(chunk, { stream: true });
    const complete = text.split('\n');
    text = complete.pop() ?? '';
    for (const line of complete) if (line !== '') yield JSON.parse(line);
  }
  return undefined;
}
