import { setTimeout as wait } from 'node:timers/promises';
import type { ApiException } from '@kubernetes/client-node';
import { Unavailable } from '../ports/unavailable.ts';
import type { Gke } from './gke.ts';
import { invalidAnswer, type StatusAnswer, statusOf } from './kubernetes-answers.ts';
import { type ClusterAccess, type Connection, connect } from './kubernetes-connection.ts';

const tries = 4;
const firstPauseMs = 100;

/** A longer Retry-After is not waited for: the next tick retries. */
const longestPauseMs = 10_000;

/** The server’s answer: a body, or an HTTP status code with its reasons. */
export type Reply =
  | { readonly body: unknown }
  | {
      readonly code: number;
      readonly status: StatusAnswer;
      /** What the request carried and the status may quote; to be redacted from what people read. */
      readonly secrets: readonly string[];
    };

const late = () => new Unavailable('Kubernetes', 'Kubernetes did not answer in time.');

const failureOf = (cause: unknown): Unavailable => {
  if (cause instanceof Unavailable) return cause;
  // client-node’s message for an answer that is not JSON.
  if (cause instanceof SyntaxError || (cause instanceof Error && cause.message.startsWith('The mediaType'))) {
    return invalidAnswer();
  }
  return new Unavailable('Kubernetes', 'Kubernetes cannot be reached.', { cause });
};

/** Structural, because the class is loaded lazily. Its message has the whole response, so it is not passed on. */
const isApiException = (error: unknown): error is ApiException<unknown> =>
  error instanceof Error &&
  'code' in error &&
  typeof error.code === 'number' &&
  'body' in error &&
  'headers' in error;

const isTransient = (code: number, status: StatusAnswer) =>
  code === 429 || (code >= 500 && !isUntypable(code, status));

/** The server’s 500 for a manifest with a field that the kind does not have: a retry cannot succeed. */
const isUntypable = (code: number, { message }: StatusAnswer) =>
  code === 500 && message !== undefined && message.startsWith('failed to create typed patch object');

const pauseMs = (attempt: number, headers: Readonly<Record<string, string>>): number => {
  const asked = Number(headers['retry-after'] ?? Number.NaN) * 1000;
  return Number.isFinite(asked) && asked >= 0
    ? asked
    : firstPauseMs * 2 ** (attempt - 1) * (1 + Math.random());
};

/** Settles with the work or the signal, whichever is first: imports and token fetches take no signal. */
const within = async <T>(signal: AbortSignal, work: Promise<T>): Promise<T> => {
  const { promise: aborted, reject } = Promise.withResolvers<never>();
  const abort = () => reject(signal.reason);
  signal.addEventListener('abort', abort, { once: true });
  if (signal.aborted) abort();
  try {
    return await Promise.race([work, aborted]);
  } finally {
    signal.removeEventListener('abort', abort);
  }
};

/** Sends requests to one cluster. */
export interface KubernetesRequests {
  /**
   * Sends a request and repeats it while the server is busy or unreachable. A write may be repeated too: each names
   * the version or uid that it expects, so repeating one that did arrive is at worst a conflict. `secrets` are values
   * of the request that the server may quote. Throws Unavailable.
   */
  send(
    signal: AbortSignal,
    request: (connection: Connection) => Promise<unknown>,
    secrets?: readonly string[],
  ): Promise<Reply>;
  close(): Promise<void>;
}

/**
 * A cluster that is unreachable or refuses the credentials is looked up again at the next attempt, so a moved
 * endpoint, a new certificate authority or a rotated credential needs no restart.
 */
export const openRequests = (access: ClusterAccess, gke: Gke | undefined): KubernetesRequests => {
  let connection: Promise<Connection> | undefined;

  const connected = () => {
    if (connection === undefined) {
      // Not the caller’s signal: other callers wait for the same connection.
      const opening = connect(access, gke, AbortSignal.timeout(longestPauseMs));
      opening.catch(() => forget(opening));
      connection = opening;
    }
    return connection;
  };

  const forget = (used: Promise<Connection>) => {
    if (connection !== used) return;
    connection = undefined;
    used.then((old) => old.close()).catch(() => undefined);
  };

  /**
   * One call, repeated while the server is busy or unreachable. Repeating is safe for writes too: each names the version
   * or uid that it expects, so repeating one that did arrive is at worst a conflict.
   */
  const send = async (
    signal: AbortSignal,
    request: (connection: Connection) => Promise<unknown>,
    secrets: readonly string[] = [],
  ): Promise<Reply> => {
    for (let attempt = 1; ; attempt += 1) {
      if (signal.aborted) throw late();
      const used = connected();
      let failure: Unavailable;
      let pause: number;
      try {
        return { body: await within(signal, used.then(request)) };
      } catch (error) {
        if (signal.aborted) throw late();
        if (isApiException(error)) {
          const status = statusOf(error.body);
          if (error.code !== 401 && !isTransient(error.code, status)) {
            return { code: error.code, status, secrets: [(await used).credential(), ...secrets] };
          }
          if (error.code === 401) forget(used);
          failure = new Unavailable(
            'Kubernetes',
            error.code === 401
              ? 'Kubernetes did not accept this service’s credentials.'
              : `Kubernetes answered ${error.code}.`,
          );
          pause = pauseMs(attempt, error.headers);
        } else {
          forget(used);
          failure = failureOf(error);
          pause = pauseMs(attempt, {});
        }
      }
      if (attempt === tries || pause > longestPauseMs) throw failure;
      await wait(pause, undefined, { signal }).catch(() => undefined);
    }
  };

  return {
    send,
    async close() {
      const used = connection;
      connection = undefined;
      await used?.then((open) => open.close()).catch(() => undefined);
    },
  };
};
