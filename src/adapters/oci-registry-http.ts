import { setTimeout as sleep } from 'node:timers/promises';
import type { RegistryCaller } from '../ports/registries.ts';
import type { Clock } from '../ports/runtime.ts';
import type { Host } from './oci-registry-endpoints.ts';
import { QueueFull, RequestQueue } from './oci-registry-queue.ts';
import { retryAfterMs } from './oci-registry-wait.ts';

/** The limits of requests to registries. */
export const limits = {
  requestMs: 5000,
  operationMs: 8000,
  tries: 3,
  firstBackoffMs: 200,
  /** A longer wait is left to the caller, with a Retry-After. */
  longestWaitMs: 2000,
  /** Caps a host’s Retry-After, so a wrong value does not disable the host for good. */
  longestSilenceMs: 10 * 60_000,
  redirects: 3,
  requestsPerSecond: 10,
  /** As many as can proceed within the deadline of an operation. */
  maxWaiting: 80,
  maxWaitingPerCaller: 20,
  queueFullRetryMs: 2000,
  bodyBytes: 4 * 1024 * 1024,
} as const;

const retried = new Set([408, 429, 500, 502, 503, 504]);
const redirected = new Set([301, 302, 303, 307, 308]);

/** There was no valid answer. The message is shown to the caller. */
export class NoAnswer extends Error {
  override readonly name = 'NoAnswer';
  readonly retryAfterSeconds: number | undefined;
  constructor(message: string, options: { cause?: unknown; retryAfterMs?: number | undefined } = {}) {
    super(message, options.cause === undefined ? undefined : { cause: options.cause });
    this.retryAfterSeconds =
      options.retryAfterMs === undefined ? undefined : Math.max(1, Math.ceil(options.retryAfterMs / 1000));
  }
}

export interface WireRequest {
  readonly method: 'GET' | 'HEAD';
  /** Starts with a slash; relative to the host’s origin. */
  readonly path: string;
  readonly headers?: Readonly<Record<string, string>>;
  readonly maxBytes?: number;
}

export interface WireAnswer {
  readonly status: number;
  readonly headers: Headers;
  readonly body: Buffer;
}

export interface WireOptions {
  readonly clock: Clock;
  /** From 0 up to, but not including, 1. */
  readonly random?: () => number;
  readonly wait?: (ms: number, signal: AbortSignal) => Promise<void>;
}

const waitFor = async (ms: number, signal: AbortSignal): Promise<void> => {
  await sleep(ms, undefined, { signal });
};

/** The deadline of one operation, which may take several requests. */
export const operation = (signal: AbortSignal): AbortSignal =>
  AbortSignal.any([signal, AbortSignal.timeout(limits.operationMs)]);

/**
 * HTTP to a fixed host, with deadlines, retries with jitter, a fair rate limit per host, a body limit, and redirects without
 * credentials. Every status that is not retried is an answer. Throws NoAnswer.
 */
export class Wire {
  readonly #clock: Clock;
  readonly #random: () => number;
  readonly #wait: (ms: number, signal: AbortSignal) => Promise<void>;
  readonly #queues = new Map<string, RequestQueue>();
  readonly #silentUntil = new Map<string, number>();

  constructor({ clock, random = Math.random, wait = waitFor }: WireOptions) {
    this.#clock = clock;
    this.#random = random;
    this.#wait = wait;
  }

  async send(
    host: Host,
    request: WireRequest,
    signal: AbortSignal,
    caller: RegistryCaller,
  ): Promise<WireAnswer> {
    return this.trying(host, signal, caller, async () => {
      const answer = await this.#once(host, request, signal);
      if (answer instanceof Lost) return { failed: `${host.name} cannot be reached`, cause: answer.cause };
      if (!retried.has(answer.status)) return { done: answer };
      const { headers, status } = answer;
      const askedMs = retryAfterMs(headers.get('retry-after'), answer.body.toString(), this.#clock.now());
      return {
        failed: status === 429 ? `${host.name} is rate-limiting requests` : `${host.name} answered ${status}`,
        askedMs,
        throttled: status === 429,
      };
    });
  }

  /** Runs an attempt up to three times. The attempt throws for failures that a retry cannot fix. */
  async trying<T>(
    host: Host,
    signal: AbortSignal,
    caller: RegistryCaller,
    attempt: () => Promise<Attempt<T>>,
  ): Promise<T> {
    for (let tries = 1; ; tries += 1) {
      await this.#turn(host, signal, caller);
      const outcome = await attempt();
      if ('done' in outcome) return outcome.done;
      const backoffMs = this.#random() * limits.firstBackoffMs * 2 ** (tries - 1);
      const waitMs = Math.max(outcome.askedMs ?? 0, backoffMs);
      const isLong = waitMs > limits.longestWaitMs;
      if (outcome.throttled && isLong) this.#keepSilent(host, waitMs);
      if (tries === limits.tries || isLong) {
        throw new NoAnswer(`${outcome.failed}.`, { retryAfterMs: outcome.askedMs, cause: outcome.cause });
      }
      await this.#pause(host, waitMs, signal);
    }
  }

  async #turn(host: Host, signal: AbortSignal, caller: RegistryCaller): Promise<void> {
    const silentMs = (this.#silentUntil.get(host.name) ?? 0) - this.#clock.now();
    if (silentMs > 0) {
      throw new NoAnswer(`${host.name} is rate-limiting requests.`, { retryAfterMs: silentMs });
    }
    try {
      await this.#queueOf(host).enter(caller, signal);
    } catch (cause) {
      if (!(cause instanceof QueueFull)) throw late(host, cause);
      throw new NoAnswer(`Too many requests to ${host.name} are waiting.`, {
        retryAfterMs: limits.queueFullRetryMs,
      });
    }
  }

  #queueOf(host: Host): RequestQueue {
    const queue =
      this.#queues.get(host.name) ??
      new RequestQueue({
        ...limits,
        now: () => this.#clock.now(),
        // Shared by later callers, so no caller’s signal aborts it.
        wait: (ms) => this.#wait(ms, new AbortController().signal),
      });
    this.#queues.set(host.name, queue);
    return queue;
  }

  #keepSilent(host: Host, waitMs: number): void {
    this.#silentUntil.set(host.name, this.#clock.now() + Math.min(waitMs, limits.longestSilenceMs));
  }

  async #pause(host: Host, ms: number, signal: AbortSignal): Promise<void> {
    try {
      await this.#wait(ms, signal);
    } catch (cause) {
      throw late(host, cause);
    }
  }

  async #once(
    host: Host,
    { method, path, headers, maxBytes }: WireRequest,
    operationSignal: AbortSignal,
  ): Promise<WireAnswer | Lost> {
    const signal = AbortSignal.any([operationSignal, AbortSignal.timeout(limits.requestMs)]);
    let url = new URL(`${host.origin}${path}`);
    let sent: Record<string, string> = { 'user-agent': 'knada-notebooks', ...headers };
    try {
      for (let hops = 0; ; hops += 1) {
        const response = await fetch(url, { method, headers: sent, redirect: 'manual', signal });
        if (!redirected.has(response.status)) {
          const body = await read(response, host, maxBytes ?? limits.bodyBytes);
          return { status: response.status, headers: response.headers, body };
        }
        await response.body?.cancel();
        url = redirectTarget(host, url, response.headers.get('location'), hops);
        const { authorization: _credentials, ...others } = sent;
        sent = others;
      }
    } catch (cause) {
      if (cause instanceof NoAnswer) throw cause;
      if (signal.aborted) throw late(host, cause);
      return new Lost(cause);
    }
  }
}

/** The connection failed before the response was complete. */
class Lost {
  readonly cause: unknown;
  constructor(cause: unknown) {
    this.cause = cause;
  }
}

/** The outcome of one attempt. */
export type Attempt<T> =
  | { readonly done: T }
  | {
      readonly failed: string;
      readonly askedMs?: number | undefined;
      readonly throttled?: boolean;
      readonly cause?: unknown;
    };

const late = (host: Host, cause?: unknown): NoAnswer =>
  new NoAnswer(`${host.name} did not answer in time.`, { cause });

const redirectTarget = (host: Host, from: URL, location: string | null, hops: number): URL => {
  const target = location === null ? null : URL.parse(location, from.href);
  const isDowngrade = from.protocol === 'https:' && target?.protocol !== 'https:';
  if (target === null || !/^https?:$/.test(target.protocol) || isDowngrade || hops >= limits.redirects) {
    throw new NoAnswer(`${host.name} sent a redirect that is not followed.`);
  }
  return target;
};

const read = async (response: Response, host: Host, maxBytes: number): Promise<Buffer> => {
  if (response.body === null) return Buffer.alloc(0);
  const chunks: Uint8Array[] = [];
  let length = 0;
  const stream: AsyncIterable<Uint8Array> = response.body;
  for await (const chunk of stream) {
    length += chunk.byteLength;
    if (length > maxBytes) throw new NoAnswer(`${host.name} answered more than ${maxBytes} bytes.`);
    chunks.push(chunk);
  }
  return Buffer.concat(chunks);
};
