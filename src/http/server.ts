import { randomUUID } from 'node:crypto';
import type { IncomingMessage, ServerResponse } from 'node:http';
import type { Socket } from 'node:net';
import type { TypeBoxTypeProvider } from '@fastify/type-provider-typebox';
import { type FastifyBaseLogger, type FastifyInstance, fastify, type RawServerDefault } from 'fastify';
import { answerBrokenHttp, answerRouterError, registerProblems } from './problem.ts';
import { registerValidation } from './validation.ts';

/** The API's Fastify instance: handlers get their types from the TypeBox schemas of their route. */
export type App = FastifyInstance<
  RawServerDefault,
  IncomingMessage,
  ServerResponse,
  FastifyBaseLogger,
  TypeBoxTypeProvider
>;

interface ServerOptions {
  /** Without a logger nothing is logged. */
  readonly logger?: FastifyBaseLogger;
  /** How many proxies in front of us append to X-Forwarded-For: 1 behind Cloud Run, 0 on a laptop. */
  readonly trustedProxies?: number;
}

/** No operation takes more, unless it says so with a `bodyLimit` of its own. */
export const bodyLimitBytes = 64 * 1024;

/**
 * An empty server with what cannot be added later: generated request ids, limits, responses to malformed requests,
 * problem details for every error and the validation rules. It does not listen.
 */
export const createServer = (options: ServerOptions = {}): App => {
  const app: App = fastify({
    ...(options.logger === undefined ? { logger: false } : { loggerInstance: options.logger }),
    genReqId: () => randomUUID(),
    requestIdHeader: false,
    bodyLimit: bodyLimitBytes,
    trustProxy: options.trustedProxies ? hopsTrusted(options.trustedProxies) : false,
    // Google's front end keeps idle connections for 600 s; were we to close first, it would answer 502.
    keepAliveTimeout: 620_000,
    // The time limit to receive a request; a response has none (streams).
    requestTimeout: 30_000,
    // Requests that arrive while closing are finished; Fastify's own 503 would not be a problem document.
    return503OnClosing: false,
    forceCloseConnections: 'idle',
    routerOptions: { ignoreTrailingSlash: false, ignoreDuplicateSlashes: false, maxParamLength: 320 },
    frameworkErrors: answerRouterError,
    clientErrorHandler: answerBrokenHttp,
  });
  registerProblems(app);
  registerValidation(app);
  releaseConnections(app);
  return app;
};

/**
 * Node closes connections that are idle when the server begins to close, but not those that become idle later: a
 * request in flight would delay the close until its client’s connection times out. Nor does it close connections that
 * have not sent anything yet, such as those that a browser or a proxy opens ahead of its next request.
 */
const releaseConnections = (app: App) => {
  const connections = new Set<Socket>();
  app.server.on('connection', (socket) => {
    connections.add(socket);
    socket.once('close', () => connections.delete(socket));
  });
  const release = () => {
    app.server.closeIdleConnections();
    for (const socket of connections) if (socket.bytesRead === 0) socket.destroy();
  };
  app.addHook('preClose', async () => {
    const timer = setInterval(release, 50);
    app.server.once('close', () => clearInterval(timer));
    timer.unref();
  });
};

/** The client's address is the one that the outermost trusted proxy wrote; entries left of it are untrusted. */
const hopsTrusted = (proxies: number) => (_address: string, hop: number) => hop < proxies;
