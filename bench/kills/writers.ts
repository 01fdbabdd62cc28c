import { setTimeout as sleep } from 'node:timers/promises';
import { at, isObject } from '../../src/lib/json.ts';

/** What one client asked for and what it was told; `unanswered` may or may not have happened. */
export interface Ledger {
  /** Values of `culling.timeoutSeconds`, each unique, with the revision that the response named. */
  readonly timeouts: {
    readonly slug: string;
    readonly value: number;
    readonly revision: number | undefined;
  }[];
  /** Payloads of secret versions, each unique. */
  readonly payloads: { readonly slug: string; readonly data: string; readonly acknowledged: boolean }[];
  /** The writer’s own extra members by team: the last acknowledged ones, and those of unanswered requests since. */
  readonly members: Map<string, { acknowledged: readonly string[]; unanswered: (readonly string[])[] }>;
  readonly operations: { readonly slug: string; readonly id: string }[];
  /** Temporary teams, and whether each must exist in the end. */
  readonly teams: Map<string, 'present' | 'absent' | 'unknown'>;
  acknowledged: number;
  unanswered: number;
  /** 409, 412 and the like: refused, and nothing may have happened. */
  refused: number;
}

export const newLedger = (): Ledger => ({
  timeouts: [],
  payloads: [],
  members: new Map(),
  operations: [],
  teams: new Map(),
  acknowledged: 0,
  unanswered: 0,
  refused: 0,
});

interface Response {
  readonly status: number;
  readonly etag: string | null;
  readonly body: unknown;
}

export interface Writer {
  readonly name: string;
  readonly email: string;
  readonly token: string;
  readonly ledger: Ledger;
}

const deadlineMs = 15_000;

/** Nothing was sent: no process was listening. */
const isRefused = (error: unknown): boolean =>
  error instanceof Error &&
  error.cause instanceof Error &&
  'code' in error.cause &&
  error.cause.code === 'ECONNREFUSED';

/** An API process, and how many writes it has answered. */
export interface Target {
  readonly port: number;
  answered: number;
}

/**
 * Sends one request to one of the API processes; undefined when it got no response. A process that is not listening is
 * skipped, since nothing can have happened there.
 */
export const send = async (
  targets: readonly Target[],
  token: string,
  method: string,
  path: string,
  body?: unknown,
  headers: Readonly<Record<string, string>> = {},
): Promise<Response | undefined> => {
  for (;;) {
    const target = targets[Math.floor(Math.random() * targets.length)];
    if (target === undefined) throw new RangeError('There is no API process.');
    try {
      const response = await fetch(`http://127.0.0.1:${target.port}/v1${path}`, {
        method,
        signal: AbortSignal.timeout(deadlineMs),
        headers: {
          authorization: `Bearer ${token}`,
          ...(body === undefined ? {} : { 'content-type': 'application/json' }),
          ...headers,
        },
        ...(body === undefined ? {} : { body: JSON.stringify(body) }),
      });
      const text = await response.text();
      if (method !== 'GET') target.answered += 1;
      const isJson = (response.headers.get('content-type') ?? '').includes('json');
      return {
        status: response.status,
        etag: response.headers.get('etag'),
        body: isJson ? JSON.parse(text) : text,
      };
    } catch (error) {
      if (!isRefused(error)) return undefined;
      await sleep(20);
    }
  }
};

let lastTimeout = 1_000;

/** Works on a shared team, and on temporary teams of its own, until told to stop. */
export const write = async (
  { name, email, token, ledger }: Writer,
  targets: readonly Target[],
  slug: string,
  isOver: () => boolean,
): Promise<void> => {
  let count = 0;

  const outcomeOf = (response: Response | undefined): 'acknowledged' | 'refused' | 'unanswered' => {
    const outcome =
      response === undefined || response.status >= 500
        ? 'unanswered'
        : response.status < 300
          ? 'acknowledged'
          : 'refused';
    ledger[outcome] += 1;
    return outcome;
  };

  const changeTimeout = async (): Promise<void> => {
    lastTimeout += 1;
    const value = lastTimeout;
    const order = { culling: { timeoutSeconds: value } };
    const response = await send(targets, token, 'PATCH', `/teams/${slug}/notebook`, order);
    const outcome = outcomeOf(response);
    if (outcome === 'refused') return;
    const revision = outcome === 'acknowledged' ? Number(at(response?.body, 'revision')) : undefined;
    ledger.timeouts.push({ slug, value, revision });
  };

  const changeMembers = async (): Promise<void> => {
    const team = await send(targets, token, 'GET', `/teams/${slug}`);
    const members = at(team?.body, 'members');
    if (team?.status !== 200 || team.etag === null || !Array.isArray(members)) return;
    const own = `${name}-extra-`;
    const isOwn = (member: unknown): boolean => String(at(member, 'email')).startsWith(own);
    count += 1;
    const next = [`${own}${count}@nav.no`, ...(count % 2 === 0 ? [`${own}${count}b@nav.no`] : [])];
    const body = {
      members: [...members.filter((one) => !isOwn(one)), ...next.map((one) => ({ email: one }))],
    };
    const response = await send(targets, token, 'PATCH', `/teams/${slug}`, body, { 'if-match': team.etag });
    const outcome = outcomeOf(response);
    const known = ledger.members.get(slug) ?? { acknowledged: [], unanswered: [] };
    ledger.members.set(slug, known);
    if (outcome === 'acknowledged') {
      known.acknowledged = next;
      known.unanswered = [];
    } else if (outcome === 'unanswered') known.unanswered.push(next);
  };

  const addSecretVersion = async (): Promise<void> => {
    count += 1;
    const data = `${name}-payload-${count}`;
    const outcome = outcomeOf(await send(targets, token, 'POST', `/teams/${slug}/secret/versions`, { data }));
    if (outcome !== 'refused') ledger.payloads.push({ slug, data, acknowledged: outcome === 'acknowledged' });
  };

  const useServer = async (): Promise<void> => {
    const verb = ['start', 'start', 'stop', 'restart'][Math.floor(Math.random() * 4)];
    const path = `/teams/${slug}/servers/${encodeURIComponent(email)}/${verb}`;
    const response = await send(targets, token, 'POST', path);
    const outcome = outcomeOf(response);
    // One that is done at once had nothing to do, and is not in the history.
    if (outcome === 'acknowledged' && response !== undefined && at(response.body, 'done') === false)
      ledger.operations.push({ slug, id: String(at(response.body, 'id')) });
  };

  const createTeam = async (): Promise<void> => {
    count += 1;
    const own = `tmp-${name}-${count}`;
    const created = await send(targets, token, 'POST', '/teams', { slug: own, members: [{ email }] });
    const outcome = outcomeOf(created);
    if (outcome === 'refused') return;
    ledger.teams.set(own, outcome === 'acknowledged' ? 'present' : 'unknown');
    const ordered = outcomeOf(await send(targets, token, 'PUT', `/teams/${own}/notebook`, {}));
    if (ordered === 'refused' || Math.random() < 0.3) return;
    const asked = `/teams/${own}?deleteHomes=true&deleteSecret=true`;
    for (let tries = 0; tries < 20; tries += 1) {
      const response = await send(targets, token, 'DELETE', asked);
      const deleted = outcomeOf(response);
      if (deleted === 'acknowledged' || response?.status === 404) {
        ledger.teams.set(own, 'absent');
        return;
      }
      ledger.teams.set(own, 'unknown');
      await sleep(50);
    }
  };

  const actions: readonly (readonly [number, () => Promise<void>])[] = [
    [0.55, changeTimeout],
    [0.7, changeMembers],
    [0.8, addSecretVersion],
    [0.95, useServer],
    [1, createTeam],
  ];
  while (!isOver()) {
    const dice = Math.random();
    await actions.find(([below]) => dice < below)?.[1]();
    await sleep(5);
  }
};

/** Repeats a request until it succeeds; for setting up. */
export const insist = async (
  targets: readonly Target[],
  token: string,
  method: string,
  path: string,
  body?: unknown,
): Promise<Response> => {
  for (let tries = 0; tries < 100; tries += 1) {
    const response = await send(targets, token, method, path, body);
    if (response !== undefined && response.status < 300) return response;
    if (response !== undefined && response.status < 500)
      throw new Error(
        `${method} ${path} answered ${response.status} ${isObject(response.body) ? JSON.stringify(response.body) : ''}`,
      );
    await sleep(100);
  }
  throw new Error(`${method} ${path} was never answered`);
};
