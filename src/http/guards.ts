import { fastifyCors } from '@fastify/cors';
import { fastifyHelmet } from '@fastify/helmet';
import { fastifyRateLimit, normalizeIP } from '@fastify/rate-limit';
import closeWithGrace from 'close-with-grace';
import { Problem } from '../model/problems.ts';
import { exposedHeaders } from './openapi-headers.ts';
import type { App } from './server.ts';

interface GuardOptions {
  /** Origins of web pages that may call the API; empty: none. */
  readonly corsOrigins?: readonly string[];
}

/** What no valid path contains, encoded or decoded. */
const strangePath = /\/\/|\\|%(?:2f|5c|[01][0-9a-f]|7f)|\/(?:\.|%2e){1,2}(?=\/|$)/i;

/** Security headers, CORS, the accepted content types, and paths that are always refused. */
export const registerGuards = async (app: App, options: GuardOptions = {}): Promise<void> => {
  await app.register(fastifyHelmet, {
    contentSecurityPolicy: {
      useDefaults: false,
      directives: { defaultSrc: ["'none'"], frameAncestors: ["'none'"] },
    },
    strictTransportSecurity: { maxAge: 365 * 86_400, includeSubDomains: true },
    frameguard: { action: 'deny' },
  });

  const origins = options.corsOrigins ?? [];
  if (origins.length > 0)
    await app.register(fastifyCors, {
      origin: [...origins],
      methods: ['GET', 'HEAD', 'POST', 'PUT', 'PATCH', 'DELETE'],
      allowedHeaders: [
        'authorization',
        'content-type',
        'accept',
        'if-match',
        'if-none-match',
        'idempotency-key',
        'last-event-id',
      ],
      exposedHeaders: [...exposedHeaders],
      strictPreflight: false,
      maxAge: 600,
    });

  app.addHook('onRequest', (request, reply, done) => {
    // Responses depend on the caller; a route may override this.
    reply.header('cache-control', 'private, no-cache');
    const [path = ''] = request.url.split('?', 1);
    if (strangePath.test(path)) return done(new Problem('not_found'));
    // The content type of an empty body is ignored: `curl -d ''` sends form data.
    const { 'content-length': length, 'transfer-encoding': chunked } = request.headers;
    if (chunked === undefined && (length === undefined || length === '0'))
      delete request.headers['content-type'];
    done();
  });

  const parseJson = app.getDefaultJsonParser('error', 'error');
  app.removeContentTypeParser('text/plain');
  app.addContentTypeParser<string>(
    'application/merge-patch+json',
    { parseAs: 'string' },
    (request, body, done) => {
      if (request.method !== 'PATCH') return done(new Problem('unsupported_media_type'));
      return parseJson(request, body, done);
    },
  );
};

/**
 * The maximum of requests per minute and caller, or per address without a valid token; 0 disables it. Counted per
 * instance: a safety net, not a quota. Register it after auth; it also counts requests that auth refuses and 404s.
 */
export const registerRateLimit = async (app: App, perMinute: number): Promise<void> => {
  if (perMinute === 0) return;
  await app.register(fastifyRateLimit, {
    global: false,
    max: perMinute,
    timeWindow: 60_000,
    cache: 20_000,
    keyGenerator: ({ identity, ip }) =>
      identity === null || identity instanceof Problem
        ? `address ${normalizeIP(ip)}`
        : `person ${identity.email}`,
    errorResponseBuilder: (_request, { ttl }) =>
      new Problem('too_many_requests', { retryAfterSeconds: Math.ceil(ttl / 1000) }),
    enableDraftSpec: true,
  });
  app.addHook('onRequest', app.rateLimit());
};

/**
 * Closes on SIGTERM or SIGINT and on an uncaught error: streams end, requests finish, then `after` runs (close the
 * store). Cloud Run gives ten seconds.
 */
export const closeGracefully = (app: App, after: () => Promise<void>): void => {
  closeWithGrace({ delay: 8_000, logger: false }, async ({ err, signal }) => {
    if (err) app.log.fatal({ err }, 'stopped by an error');
    else app.log.info({ signal }, 'stopping');
    await app.close();
    await after();
  });
};
