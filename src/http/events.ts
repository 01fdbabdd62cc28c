import { Readable } from 'node:stream';
import { setTimeout as after } from 'node:timers/promises';
import type { FastifyReply, FastifyRequest } from 'fastify';
import Type, { type TSchema } from 'typebox';
import { ref } from '../lib/schema.ts';
import { Problem } from '../model/problems.ts';
import { negotiate } from './accept.ts';
import type { App } from './server.ts';

/** One event of a stream. */
export interface ServerEvent {
  /** `<revision>.<statusVersion>`. A client that reconnects gets a new snapshot, whatever it saw last. */
  readonly id?: string;
  /** The event’s name; a client listens to `message` when there is none. */
  readonly event?: string;
  readonly data: unknown;
}

/**
 * The response of a stream. OpenAPI 3.1 has no field for the items of a stream, so the schema is that of one event, which
 * is what generators of clients expect: `event` is its name, `data` its data parsed as JSON.
 */
export const eventStream = (stream: TSchema & { readonly $id?: string }) => ({
  200: {
    description:
      'Server-sent events; the schema is that of one event. Comments keep the connection alive. Connecting again starts with a new snapshot.',
    content: {
      'text/event-stream': {
        schema: Type.Unsafe<string>(ref(stream)),
      },
    },
  },
});

interface StreamOptions {
  /** After this much silence a comment is sent, so no proxy closes the connection. */
  readonly heartbeatMs?: number;
  /** Below Cloud Run’s limit of 60 minutes for a request. */
  readonly lifetimeMs?: number;
}

/** How many streams may be open at once. An open stream occupies one of the instance’s concurrent requests. */
export interface StreamLimits {
  readonly perCaller: number;
  readonly perInstance: number;
}

declare module 'fastify' {
  interface FastifyInstance {
    /** Aborted when the app begins to close, so open streams end and do not delay it. */
    readonly closing: AbortSignal;
    /** Counts a stream as open; the result counts it as closed. Throws Problem `too_many_requests`. */
    readonly openStream: (caller: string) => () => void;
  }
}

/** When to try again: a caller closes a stream of its own, or other callers’ streams end. */
const retryAfterSeconds = 30;

const counterOf = ({ perCaller, perInstance }: StreamLimits) => {
  const byCaller = new Map<string, number>();
  let open = 0;
  return (caller: string): (() => void) => {
    const own = byCaller.get(caller) ?? 0;
    if (own >= perCaller)
      throw new Problem('too_many_requests', {
        detail: `You have ${own} event streams open, which is the limit. Close one, or read without a stream.`,
        retryAfterSeconds,
      });
    if (open >= perInstance)
      throw new Problem('too_many_requests', {
        detail: 'Too many event streams are open. Try again later, or read without a stream.',
        retryAfterSeconds,
      });
    open += 1;
    byCaller.set(caller, own + 1);
    let isOpen = true;
    return () => {
      if (!isOpen) return;
      isOpen = false;
      open -= 1;
      const left = (byCaller.get(caller) ?? 1) - 1;
      if (left > 0) byCaller.set(caller, left);
      else byCaller.delete(caller);
    };
  };
};

/** Limits the streams that are open at once, and ends all of them when the app closes. */
export const registerEvents = (app: App, limits: StreamLimits): void => {
  const controller = new AbortController();
  app.decorate('closing', controller.signal);
  app.decorate('openStream', counterOf(limits));
  app.addHook('preClose', async () => controller.abort());
};

const frame = ({ id, event, data }: ServerEvent) =>
  [
    ...(id === undefined ? [] : [`id: ${id}`]),
    ...(event === undefined ? [] : [`event: ${event}`]),
    // JSON has no raw line breaks, so one data line is enough.
    `data: ${JSON.stringify(data)}`,
    '\n',
  ].join('\n');

const reconnect = frame({ event: 'reconnect', data: {} });
const tokenExpired = frame({ event: 'reconnect', data: { reason: 'token_expired' } });

/** The next event, or why there is none yet. An event that comes later is not lost. */
const firstOf = async (next: Promise<IteratorResult<ServerEvent>>, ms: number, stop: AbortSignal) => {
  const timer = new AbortController();
  const signal = AbortSignal.any([timer.signal, stop]);
  const silence = after(ms, 'silence' as const, { signal }).catch(() => 'stopped' as const);
  try {
    return await Promise.race([next, silence]);
  } finally {
    timer.abort();
  }
};

/**
 * Answers with server-sent events until the source ends, the client disconnects, the app closes, the stream reaches its
 * lifetime or the caller’s token expires. In the last three cases it asks the client to reconnect (`event: reconnect`);
 * for an expired token the data says so, since the client needs a new one first. The source starts with a snapshot;
 * what it throws before that becomes a problem, what it throws later ends the stream. It must stop when its signal
 * is aborted, and is not asked for an event before the client took the previous one. Throws Problem
 * `too_many_requests` when the caller or the instance has too many streams open.
 */
export const streamEvents = async (
  request: FastifyRequest,
  reply: FastifyReply,
  source: (signal: AbortSignal) => AsyncIterable<ServerEvent>,
  { heartbeatMs = 15_000, lifetimeMs = 50 * 60_000 }: StreamOptions = {},
): Promise<FastifyReply> => {
  negotiate(request, ['text/event-stream']);
  const { identity } = request;
  const caller = identity instanceof Problem || identity === null ? undefined : identity;
  const release = request.server.openStream(caller?.email ?? request.ip);
  const gone = new AbortController();
  const { closing } = request.server;
  const stop = AbortSignal.any([gone.signal, closing]);
  const events = source(stop)[Symbol.asyncIterator]();
  const tokenMs = (caller?.validUntil ?? Number.POSITIVE_INFINITY) - Date.now();
  const endsAt = performance.now() + Math.min(lifetimeMs, tokenMs);
  const goodbye = tokenMs < lifetimeMs ? tokenExpired : reconnect;
  reply.raw.once('close', () => {
    gone.abort();
    release();
  });

  const first = await events.next().catch((error: unknown) => {
    release();
    throw error;
  });

  const frames = async function* (): AsyncGenerator<string, void> {
    try {
      let next = Promise.resolve(first);
      while (!stop.aborted) {
        const left = endsAt - performance.now();
        const outcome = left > 0 ? await firstOf(next, Math.min(heartbeatMs, left), stop) : 'expired';
        if (outcome === 'expired') {
          yield goodbye;
          return;
        }
        if (outcome === 'stopped') break;
        if (outcome === 'silence') {
          if (left > heartbeatMs) yield ': heartbeat\n\n';
          continue;
        }
        if (outcome.done) break;
        yield frame(outcome.value);
        next = events.next();
        // The next iteration sees a rejection; after a disconnect nothing does.
        next.catch(() => {});
      }
      // The signal may end the source first.
      if (closing.aborted) yield reconnect;
    } catch (error) {
      request.log.error({ err: error }, 'event stream failed');
      yield reconnect;
    } finally {
      gone.abort();
      release();
      await events.return?.();
    }
  };

  reply
    .type('text/event-stream')
    .header('cache-control', 'no-cache, no-transform')
    // nginx would buffer events.
    .header('x-accel-buffering', 'no');
  if (request.method === 'HEAD') {
    gone.abort();
    release();
    await events.return?.();
    return reply.send();
  }
  return reply.send(Readable.from(frames(), { objectMode: false, highWaterMark: 16 * 1024 }));
};
