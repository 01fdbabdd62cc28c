import { Readable } from 'node:stream';
import { setTimeout as after } from 'node:timers/promises';
import type { FastifyReply, FastifyRequest } from 'fastify';
import { negotiate } from './accept.ts';
import type { App } from './server.ts';

/** One event of a stream. */
export interface ServerEvent {
  /** `<revision>.<statusVersion>`; a client that reconnects always gets a fresh snapshot. */
  readonly id?: string;
  /** The event’s name; a client listens to `message` when there is none. */
  readonly event?: string;
  readonly data: unknown;
}

interface StreamOptions {
  /** A comment is sent after this long without an event, so proxies keep the connection open. */
  readonly heartbeatMs?: number;
  /** Cloud Run ends a request after at most 60 minutes; the stream ends before that. */
  readonly lifetimeMs?: number;
}

declare module 'fastify' {
  interface FastifyInstance {
    /** Aborted when the app begins to close: open streams would block it. */
    readonly closing: AbortSignal;
  }
}

/** Ends every open stream when the app closes. */
export const registerEvents = (app: App): void => {
  const controller = new AbortController();
  app.decorate('closing', controller.signal);
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

/** What came first; losing changes nothing. */
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
 * Sends server-sent events until the source ends, the client disconnects, the app closes or the stream reaches its
 * maximum age; in the last two cases it asks the client to reconnect (`event: reconnect`). The source starts with a
 * snapshot. An error before the snapshot becomes a problem; a later one ends the stream. The source must stop when its
 * signal is aborted, and is not asked for an event before the client has read the previous one.
 */
export const streamEvents = async (
  request: FastifyRequest,
  reply: FastifyReply,
  source: (signal: AbortSignal) => AsyncIterable<ServerEvent>,
  { heartbeatMs = 15_000, lifetimeMs = 50 * 60_000 }: StreamOptions = {},
): Promise<FastifyReply> => {
  negotiate(request, ['text/event-stream']);
  const gone = new AbortController();
  const { closing } = request.server;
  const stop = AbortSignal.any([gone.signal, closing]);
  const events = source(stop)[Symbol.asyncIterator]();
  const endsAt = performance.now() + lifetimeMs;
  const leave = () => gone.abort();
  reply.raw.once('close', leave);

  const first = await events.next();

  const frames = async function* (): AsyncGenerator<string, void> {
    try {
      let next = Promise.resolve(first);
      while (!stop.aborted) {
        const left = endsAt - performance.now();
        const outcome = left > 0 ? await firstOf(next, Math.min(heartbeatMs, left), stop) : 'expired';
        if (outcome === 'expired') {
          yield reconnect;
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
        // The awaiting caller gets the rejection; without one it must not be unhandled.
        next.catch(() => {});
      }
      // The signal may have ended the source before this stream.
      if (closing.aborted) yield reconnect;
    } catch (error) {
      request.log.error({ err: error }, 'event stream failed');
      yield reconnect;
    } finally {
      gone.abort();
      await events.return?.();
    }
  };

  reply
    .type('text/event-stream')
    .header('cache-control', 'no-cache, no-transform')
    // Without it nginx buffers events.
    .header('x-accel-buffering', 'no');
  if (request.method === 'HEAD') {
    gone.abort();
    await events.return?.();
    return reply.send();
  }
  return reply.send(Readable.from(frames(), { objectMode: false, highWaterMark: 16 * 1024 }));
};
