import { randomUUID } from 'node:crypto';
import { STATUS_CODES } from 'node:http';
import type { Socket } from 'node:net';
import type { FastifyError, FastifyReply, FastifyRequest } from 'fastify';
import Type, { type Static } from 'typebox';
import { answer, ref } from '../lib/schema.ts';
import { FaultCode } from '../model/faults.ts';
import { type Fault, Problem, ProblemCode } from '../model/problems.ts';
import { Unavailable } from '../ports/unavailable.ts';
import type { App } from './server.ts';
import { remainingFaults } from './validation.ts';

/** The HTTP status of each code. */
export const statusOf = {
  validation_failed: 400,
  malformed: 400,
  invalid_cursor: 400,
  unauthenticated: 401,
  forbidden: 403,
  not_found: 404,
  notebook_not_ordered: 404,
  method_not_allowed: 405,
  not_acceptable: 406,
  team_exists: 409,
  server_busy: 409,
  quota_exceeded: 409,
  profile_differs: 409,
  last_owner: 409,
  removes_you: 409,
  server_not_running: 409,
  no_environment: 409,
  homes_exist: 409,
  secret_exists: 409,
  secret_version_destroyed: 409,
  cannot_shrink: 409,
  deleting: 409,
  idempotency_key_in_use: 409,
  revision_mismatch: 412,
  payload_too_large: 413,
  uri_too_long: 414,
  unsupported_media_type: 415,
  idempotency_key_reused: 422,
  slug_reserved: 422,
  email_domain_not_allowed: 422,
  invalid_allowlist: 422,
  image_invalid: 422,
  tag_required: 422,
  registry_not_allowed: 422,
  image_not_allowed: 422,
  image_not_found_or_private: 422,
  tag_not_found: 422,
  image_broken: 422,
  platform_missing: 422,
  too_many_requests: 429,
  headers_too_large: 431,
  internal: 500,
  upstream_unavailable: 503,
  hub_unavailable: 503,
  hub_restarting: 503,
  registry_unavailable: 503,
  busy: 503,
  access_not_confirmed: 504,
  cancelled: 409,
  container_not_created: 409,
  crashed: 409,
  evicted: 409,
  home_not_attached: 503,
  hub_restart_timed_out: 504,
  image_pull_failed: 409,
  invalid_revision: 409,
  no_hub: 409,
  no_such_profile: 409,
  not_a_member: 409,
  out_of_memory: 409,
  profiles_not_synced: 503,
  restart_refused: 409,
  rollout_failed: 409,
  rollout_timed_out: 504,
  start_failed: 409,
  start_refused: 409,
  start_timed_out: 504,
  stop_refused: 409,
  stop_timed_out: 504,
  superseded: 409,
  too_many_servers: 409,
  unschedulable: 409,
} as const satisfies Record<ProblemCode, number>;

/** RFC 9457 `type`: a stable name that is not dereferenceable; docs/errors.md explains it. */
export const typeOf = (code: ProblemCode) => `urn:knada:problem:${code}`;

export const problemMediaType = 'application/problem+json';

/** The default Retry-After of a 503. */
const defaultRetrySeconds = 5;

export const FaultSchema = answer(
  {
    pointer: Type.String({
      description:
        'JSON pointer (RFC 6901) into the body; what is not in the body starts with /query or /header.',
      examples: ['/culling/timeoutSeconds'],
    }),
    code: ref(FaultCode),
    message: Type.String({ description: 'For people.', examples: ['Must be at least 600.'] }),
  },
  { $id: 'Fault' },
);

export const ProblemSchema = answer(
  {
    type: Type.String({ format: 'uri', examples: [typeOf('validation_failed')] }),
    title: Type.String(),
    status: Type.Integer({ minimum: 400, maximum: 599 }),
    code: ref(ProblemCode),
    detail: Type.String({ description: 'What went wrong this time, for people.' }),
    instance: Type.String({
      format: 'uri',
      description:
        'The request, by its id as in x-request-id; in the error of an operation, the operation: urn:knada:operation:<id>.',
      examples: ['urn:uuid:0f5a6b4c-92f3-4f0e-8a53-3c1d4c2f6a10'],
    }),
    errors: Type.Optional(Type.Array(Type.Unsafe<Fault>(Type.Ref('Fault')))),
  },
  { $id: 'Problem', description: 'RFC 9457 problem details.' },
);

type ProblemBody = Static<typeof ProblemSchema>;

/** As a URN, the instance of a problem that answers a request. */
export const requestInstance = (requestId: string) => `urn:uuid:${requestId}`;

/** The body of a problem. One fault per pointer: the first one found speaks for its field. */
export const problemBody = (problem: Problem, instance: string): ProblemBody => {
  const heard = new Set<string>();
  const errors = problem.errors?.filter(({ pointer }) => !heard.has(pointer) && heard.add(pointer));
  return {
    type: typeOf(problem.code),
    title: problem.title,
    status: statusOf[problem.code],
    code: problem.code,
    detail: problem.detail,
    instance,
    ...(errors && { errors }),
  };
};

const frameworkCodes: Readonly<Record<string, ProblemCode>> = {
  FST_ERR_BAD_URL: 'not_found',
  FST_ERR_MAX_PARAM_LENGTH: 'uri_too_long',
  FST_ERR_CTP_BODY_TOO_LARGE: 'payload_too_large',
  FST_ERR_CTP_INVALID_MEDIA_TYPE: 'unsupported_media_type',
  FST_ERR_CTP_INVALID_CONTENT_LENGTH: 'malformed',
  FST_ERR_CTP_EMPTY_JSON_BODY: 'malformed',
  FST_ERR_CTP_INVALID_JSON_BODY: 'malformed',
};

const sentences: Readonly<Record<string, string>> = {
  FST_ERR_CTP_INVALID_CONTENT_LENGTH: 'The length of the body does not match Content-Length.',
  FST_ERR_CTP_EMPTY_JSON_BODY: 'The body is empty, but the content type is JSON.',
  FST_ERR_CTP_INVALID_JSON_BODY: 'The body is not valid JSON.',
};

/** An error as a problem. Any unexpected error is `internal`, with the error as its cause. */
export const toProblem = (error: unknown): Problem => {
  if (error instanceof Problem) return error;
  if (error instanceof Unavailable) return new Problem('upstream_unavailable', { cause: error });
  if (!(error instanceof Error)) return new Problem('internal', { cause: error });
  const { code = '', statusCode }: Partial<FastifyError> = error;
  const known = frameworkCodes[code];
  const detail = sentences[code];
  if (known) return new Problem(known, { ...(detail && { detail }), cause: error });
  // The body parser's own refusals (__proto__ keys, a body cut short by its sender) carry no code of their own.
  if (statusCode === 400 || code === 'ECONNRESET') return new Problem('malformed', { cause: error });
  return new Problem('internal', { cause: error });
};

const send = (problem: Problem, request: FastifyRequest, reply: FastifyReply) => {
  const status = statusOf[problem.code];
  const retryAfter = problem.retryAfterSeconds ?? (status === 503 ? defaultRetrySeconds : undefined);
  if (retryAfter !== undefined) reply.header('retry-after', String(Math.max(1, Math.ceil(retryAfter))));
  if (status === 401 && !reply.hasHeader('www-authenticate')) reply.header('www-authenticate', 'Bearer');
  if (status === 415) reply.header('accept', acceptedBy(request.method));
  if (status >= 500)
    request.log.error({ err: problem.cause ?? problem, code: problem.code }, 'request failed');
  else request.log.info({ code: problem.code, errors: problem.errors?.length }, 'request refused');
  return reply
    .code(status)
    .removeHeader('etag')
    .removeHeader('location')
    .header('cache-control', 'no-store')
    .header('x-request-id', request.id)
    .type(problemMediaType)
    .serializer(JSON.stringify)
    .send(problemBody(problem, requestInstance(request.id)));
};

const acceptedBy = (method: string) =>
  method === 'PATCH' ? 'application/merge-patch+json, application/json' : 'application/json';

/** A path without an operation is 404, and 405 when another method would have found one. */
const notFound =
  (methods: ReturnType<typeof methodsByPath>) =>
  (request: FastifyRequest, reply: FastifyReply): Problem => {
    const allowed = methods.of(request.url);
    if (allowed.length === 0) return new Problem('not_found');
    reply.header('allow', allowed.join(', '));
    return new Problem('method_not_allowed');
  };

/** The methods that a path supports, collected from the routes as they are declared. */
const methodsByPath = () => {
  const routes = new Map<string, Set<string>>();
  const fits = (pattern: string, path: readonly string[]) => {
    const segments = pattern.split('/');
    return (
      segments.length === path.length &&
      segments.every((s, i) => s === path[i] || (s.startsWith(':') && path[i] !== ''))
    );
  };
  return {
    add(url: string, methods: string | readonly string[]) {
      routes.set(url, new Set([...(routes.get(url) ?? []), ...[methods].flat()]));
    },
    of(url: string): readonly string[] {
      const path = url.replace(/[?#].*$/s, '').split('/');
      return [...routes].flatMap(([pattern, methods]) => (fits(pattern, path) ? [...methods] : [])).sort();
    },
  };
};

/**
 * Makes every error a problem document: errors of handlers and hooks, unknown routes, and what the body parser and the
 * validators refuse. Call it before any route is declared.
 */
export const registerProblems = (app: App): void => {
  const methods = methodsByPath();
  const missing = notFound(methods);
  app.addHook('onRoute', (route) => methods.add(route.url, route.method));
  app.addHook('onRequest', (request, reply, done) => {
    reply.header('x-request-id', request.id);
    done();
  });
  app.setErrorHandler((error, request, reply) =>
    send(withAllFaults(toProblem(error), error, request), request, reply),
  );
  // Before the body is read: what an unknown operation sends is neither parsed nor refused for its form.
  app.addHook('preParsing', (request, reply, payload, done) =>
    request.is404 ? done(missing(request, reply)) : done(null, payload),
  );
  // A plugin’s route that takes any path may answer as if it were none.
  app.setNotFoundHandler((request, reply) => send(missing(request, reply), request, reply));
};

/** Fastify stops at the first invalid part of a request; this reports the faults of all parts. */
const withAllFaults = (problem: Problem, error: unknown, request: FastifyRequest) => {
  const faults = remainingFaults(error, request);
  if (faults.length === 0) return problem;
  return new Problem('validation_failed', { errors: [...(problem.errors ?? []), ...faults] });
};

/** Fastify's `frameworkErrors`: what the router refuses before it finds a route. */
export const answerRouterError = (
  error: FastifyError,
  request: FastifyRequest,
  reply: FastifyReply,
): void => {
  send(toProblem(error), request, reply);
};

/** Fastify's `clientErrorHandler`: bytes that are not HTTP, or too many of them. There is no request object. */
export const answerBrokenHttp = (error: NodeJS.ErrnoException, socket: Socket): void => {
  if (error.code === 'ECONNRESET' || !socket.writable) {
    socket.destroy(error);
    return;
  }
  const problem = new Problem(error.code === 'HPE_HEADER_OVERFLOW' ? 'headers_too_large' : 'malformed');
  const id = randomUUID();
  const body = JSON.stringify(problemBody(problem, requestInstance(id)));
  const status = statusOf[problem.code];
  socket.end(
    [
      `HTTP/1.1 ${status} ${STATUS_CODES[status]}`,
      `content-type: ${problemMediaType}`,
      `content-length: ${Buffer.byteLength(body)}`,
      `x-request-id: ${id}`,
      'cache-control: no-store',
      'connection: close',
      '',
      body,
    ].join('\r\n'),
  );
};
