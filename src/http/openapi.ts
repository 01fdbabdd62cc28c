import { fastify, type RouteOptions } from 'fastify';
import { isObject } from '../lib/json.ts';
import { FaultCode } from '../model/faults.ts';
import { catalogue, Problem, ProblemCode } from '../model/problems.ts';
import { exampleOf } from './example.ts';
import { grown } from './openapi-growth.ts';
import { componentHeaders, headerRefs } from './openapi-headers.ts';
import {
  FaultSchema,
  ProblemSchema,
  problemBody,
  problemMediaType,
  requestInstance,
  statusOf,
} from './problem.ts';
import type { App } from './server.ts';

declare module 'fastify' {
  interface FastifyContextConfig {
    /** An operation that goes: since when it is deprecated, and when it stops answering. ISO 8601. */
    deprecation?: { readonly since: string; readonly sunset?: string };
    /** The answer has an ETag although the request takes no conditional header; with one, it always has. */
    etag?: true;
  }
  interface FastifySchema {
    /** Unique, camelCase; SDKs name their functions after it. */
    operationId?: string;
    summary?: string;
    description?: string;
    tags?: readonly string[];
    /** Leaves the route out of the OpenAPI document. */
    hide?: boolean;
    /** The errors of this operation; those common to all operations are added automatically. */
    problems?: readonly ProblemCode[];
  }
}

interface OpenapiOptions {
  readonly title: string;
  readonly version: string;
  readonly description: string;
  readonly tags: readonly { readonly name: string; readonly description: string }[];
  /**
   * What a component says in the document beyond what is validated by its schema, by name: rules that handlers enforce,
   * such as bounds that the operator sets. Merged into the component, field by field.
   */
  readonly refinements?: Readonly<Record<string, Json>>;
}

type Json = Record<string, unknown>;

export interface OpenapiResponse extends Json {
  content?: Record<string, Json>;
  headers?: Json;
}

interface Operation extends Json {
  parameters?: { in: string; name: string; required?: boolean; schema?: Json; example?: unknown }[];
  requestBody?: { required?: boolean; content: Record<string, Json> };
  responses: Record<string, OpenapiResponse>;
}

/** The parts of an OpenAPI 3.1 document that are used here. */
export interface OpenapiDocument extends Json {
  openapi: string;
  paths: Record<string, Record<string, Operation>>;
  components: { schemas: Record<string, Json>; responses: Record<string, OpenapiResponse> } & Json;
}

type Route = Pick<RouteOptions, 'url' | 'schema' | 'config'> & { readonly method: string };

interface Sources {
  readonly options: OpenapiOptions;
  readonly routes: readonly Route[];
  document?: Promise<OpenapiDocument>;
}

const sourcesOf = new WeakMap<App, Sources>();

const instance = requestInstance('0f5a6b4c-92f3-4f0e-8a53-3c1d4c2f6a10');

/** Swagger UI has inline styles and icons as data URLs; everything else comes from this origin. */
const uiPolicy = [
  "default-src 'none'",
  "script-src 'self'",
  "style-src 'self' 'unsafe-inline'",
  "img-src 'self' data:",
  "connect-src 'self'",
  "base-uri 'none'",
  "form-action 'none'",
  "frame-ancestors 'none'",
].join('; ');

const methodOrder = ['get', 'put', 'post', 'patch', 'delete'];

/**
 * Serves `/openapi.json` and Swagger UI under `/docs`, both public. Call it before declaring the routes.
 * The document is built on the first request, so a cold start only records the routes.
 */
export const registerOpenapi = (app: App, options: OpenapiOptions): void => {
  const routes: Route[] = [];
  sourcesOf.set(app, { options, routes });
  app.addSchema(FaultCode);
  app.addSchema(ProblemCode);
  app.addSchema(FaultSchema);
  app.addSchema(ProblemSchema);

  app.addHook('onRoute', ({ method, url, schema, config }) => {
    if (schema?.hide || schema?.operationId === undefined) return;
    for (const one of [method].flat()) {
      if (one !== 'HEAD' && one !== 'OPTIONS')
        routes.push({ method: one, url, schema, config: config ?? {} });
    }
  });

  app.addHook('onSend', async ({ routeOptions: { config } }, reply) => {
    if (config.deprecation === undefined) return;
    const { since, sunset } = config.deprecation;
    reply.header('deprecation', `@${Date.parse(since) / 1000}`);
    if (sunset !== undefined) reply.header('sunset', new Date(sunset).toUTCString());
  });

  const config = { public: true };
  app.get(
    '/openapi.json',
    {
      config,
      schema: {
        operationId: 'getOpenapi',
        summary: 'This document',
        description: 'The OpenAPI 3.1 document of this API, as it is released in openapi/.',
        tags: ['health'],
        response: { 200: { type: 'object', additionalProperties: true, description: 'OpenAPI 3.1.' } },
      },
    },
    async (_request, reply) => {
      reply.type('application/json').header('cache-control', 'public, max-age=60');
      return reply.serializer(printedJson).send(await openapiDocument(app));
    },
  );

  let ui: Promise<App> | undefined;
  for (const url of ['/docs', '/docs/*']) {
    app.get(url, { config, schema: { hide: true } }, async (request, reply) => {
      ui ??= swaggerUi(await openapiDocument(app));
      const { accept, 'if-none-match': seen } = request.headers;
      const answer = await (await ui).inject({
        method: 'GET',
        url: request.url,
        headers: { ...(accept && { accept }), ...(seen && { 'if-none-match': seen }) },
      });
      if (answer.statusCode >= 400) throw new Problem('not_found');
      const { connection: _, date: __, 'transfer-encoding': ___, ...headers } = answer.headers;
      return reply
        .code(answer.statusCode)
        .headers({ ...headers, 'content-security-policy': uiPolicy })
        .send(answer.rawPayload);
    });
  }
};

/** The name of the product, in place of the library’s logo. */
const logoOf = (title: string): string =>
  `<svg xmlns="http://www.w3.org/2000/svg" width="320" height="40"><text x="0" y="28" font-family="sans-serif" font-size="24" font-weight="bold" fill="#fff">${title.replace(/[<>&"']/g, '')}</text></svg>`;

/** Swagger UI for a document, as a separate app that does not listen; its assets come with the package. */
const swaggerUi = async (document: OpenapiDocument): Promise<App> => {
  const [{ fastifySwagger }, { default: fastifySwaggerUi }] = await Promise.all([
    import('@fastify/swagger'),
    import('@fastify/swagger-ui'),
  ]);
  const title = String(Object(document.info).title);
  const ui: App = fastify();
  await ui.register(fastifySwagger, { mode: 'static', specification: { document: document as never } });
  await ui.register(fastifySwaggerUi, {
    routePrefix: '/docs',
    logo: { type: 'image/svg+xml', content: Buffer.from(logoOf(title)), href: '/docs', target: '_self' },
    theme: { title },
    uiConfig: { persistAuthorization: true, displayRequestDuration: true, validatorUrl: null },
  });
  await ui.ready();
  return ui;
};

/** The OpenAPI 3.1 document of a ready app. Its order does not depend on the order of registration. */
export const openapiDocument = (app: App): Promise<OpenapiDocument> => {
  const sources = sourcesOf.get(app);
  if (sources === undefined) throw new TypeError('registerOpenapi() was not called for this app');
  sources.document ??= build(app, sources);
  return sources.document;
};

/** The committed form: two spaces, a line break at the end. */
export const printedJson = (document: unknown): string => `${JSON.stringify(document, null, 2)}\n`;

const build = async (app: App, { options, routes }: Sources): Promise<OpenapiDocument> => {
  const { fastifySwagger } = await import('@fastify/swagger');
  const { title, version, description, tags } = options;
  const draft: App = fastify();
  await draft.register(fastifySwagger, {
    openapi: {
      openapi: '3.1.0',
      info: {
        title,
        version,
        description,
        contact: { name: 'NADA, Nav' },
        license: { name: 'MIT', identifier: 'MIT' },
      },
      servers: [{ url: '/' }],
      security: [{ bearer: [] }],
      tags: tags.map((tag) => ({ ...tag })),
      components: {
        securitySchemes: {
          bearer: {
            type: 'http',
            scheme: 'bearer',
            bearerFormat: 'JWT',
            description: 'A token of a configured issuer.',
          },
        },
      },
    },
    refResolver: { buildLocalReference: (schema) => String(schema.$id) },
  });
  draft.setValidatorCompiler(() => () => true);
  draft.setSerializerCompiler(() => JSON.stringify);
  for (const schema of Object.values(app.getSchemas())) draft.addSchema(schema);
  for (const { method, url, schema } of routes) {
    draft.route({ method, url, schema: schema ?? {}, exposeHeadRoute: false, handler: async () => ({}) });
  }
  await draft.ready();
  const document = structuredClone(draft.swagger()) as unknown as OpenapiDocument;
  await draft.close();
  document.components.headers = componentHeaders;
  document.components.responses = { Problem: otherProblems };
  for (const route of routes) {
    const path = route.url.replace(/:([A-Za-z0-9_]+)/g, '{$1}');
    const operation = document.paths[path]?.[route.method.toLowerCase()];
    if (operation !== undefined) complete(operation, route, document);
  }
  // Formats come first: a field has the same one in requests, where its bounds are known, and in answers.
  const open = grown(document);
  const { schemas } = open.components;
  for (const [name, refinement] of Object.entries(options.refinements ?? {})) {
    const schema = schemas[name];
    if (schema === undefined) throw new TypeError(`There is no component ${name} to refine`);
    schemas[name] = refined(schema, refinement);
  }
  return sorted(open);
};

const refined = (schema: Json, refinement: Json): Json => ({
  ...schema,
  ...Object.fromEntries(
    Object.entries(refinement).map(([key, value]) => {
      const before = schema[key];
      return [key, isObject(before) && isObject(value) ? refined(before, value) : value];
    }),
  ),
});

/** What the routes do not have to repeat: problems, security, both types of a patch, ETags, examples. */
const complete = (operation: Operation, route: Route, document: OpenapiDocument) => {
  const { schema = {}, config } = route;
  const isPublic = config?.public === true;
  if (isPublic) operation.security = [];
  if (config?.deprecation !== undefined) operation.deprecated = true;
  const body = operation.requestBody;
  if (body !== undefined) {
    body.required = config?.optionalBody !== true;
    const json = body.content['application/json'];
    if (json !== undefined && route.method === 'PATCH') {
      body.content = { 'application/merge-patch+json': json, 'application/json': json };
    }
  }
  const isConditional = (operation.parameters ?? []).some(
    (p) => p.in === 'header' && p.name.startsWith('if-'),
  );
  const hasEtag = isConditional || config?.etag === true;
  for (const [status, response] of Object.entries(operation.responses)) {
    if (status === '204' || status === '304') delete response.content;
    response.headers = headerRefs([
      ...(status === '201' || status === '202' ? (['location'] as const) : []),
      ...(hasEtag && ['200', '201', '304'].includes(status) ? (['etag'] as const) : []),
    ]);
  }
  const media = [body, ...Object.values(operation.responses)].flatMap((part) =>
    Object.entries(part?.content ?? {}),
  );
  for (const [type, content] of media) {
    if (type === 'text/event-stream') content.examples = eventExamples(content.schema, document);
    if (!type.includes('json') || 'example' in content || 'examples' in content) continue;
    content.example = exampleOf(content.schema, document.components.schemas);
  }
  for (const [status, codes] of Object.entries(byStatus(problemsOf(route, schema)))) {
    operation.responses[status] = problemReference(codes, document);
  }
  operation.responses.default = { $ref: '#/components/responses/Problem' };
};

/** One example per event of a stream, under its name. */
const eventExamples = (schema: unknown, { components: { schemas } }: OpenapiDocument): Json => {
  const name = String(Object(schema).$ref).replace(/^.*\//, '');
  const { oneOf } = Object(schemas[name] ?? schema);
  const events = Array.isArray(oneOf) ? oneOf.map((event) => exampleOf(event, schemas)) : [];
  return Object.fromEntries(
    events.map((value) => [
      String(Object(value).event),
      { summary: `An event ${Object(value).event}`, value },
    ]),
  );
};

const pascal = (code: string) => code.replace(/(?:^|_)([a-z])/g, (_, letter: string) => letter.toUpperCase());

/** A status with one code has the same response everywhere, under the name of the code. */
const problemReference = (codes: readonly ProblemCode[] = [], document: OpenapiDocument): OpenapiResponse => {
  const [code, ...others] = codes;
  if (code === undefined || others.length > 0) return problemResponse(codes);
  const name = pascal(code);
  document.components.responses[name] ??= problemResponse(codes);
  return { $ref: `#/components/responses/${name}` };
};

const problemsOf = (
  { method, config, url }: Route,
  schema: NonNullable<Route['schema']>,
): readonly ProblemCode[] => {
  // A body is parsed wherever one may be sent, even if it is then refused.
  const readsBody = method !== 'GET';
  const takesInput = readsBody || schema.querystring !== undefined || schema.headers !== undefined;
  const codes: ProblemCode[] = [...(schema.problems ?? []), 'too_many_requests', 'internal'];
  if (takesInput) codes.push('validation_failed');
  if (readsBody) codes.push('malformed', 'payload_too_large', 'unsupported_media_type');
  if (url.includes(':')) codes.push('not_found');
  if (config?.public !== true) codes.push('unauthenticated', 'upstream_unavailable');
  return [...new Set(codes)].sort();
};

const byStatus = (codes: readonly ProblemCode[]) => Object.groupBy(codes, (code) => String(statusOf[code]));

const problemResponse = (codes: readonly ProblemCode[] = []): OpenapiResponse => {
  const status = codes[0] && statusOf[codes[0]];
  return {
    description: `${codes.map((code) => catalogue[code][0]).join(', ')}.`,
    headers: headerRefs(status === 429 || status === 503 ? ['retry-after'] : []),
    content: {
      [problemMediaType]: {
        schema: { $ref: '#/components/schemas/Problem' },
        examples: Object.fromEntries(
          codes.map((code) => [
            code,
            { summary: catalogue[code][0], value: problemBody(new Problem(code), instance) },
          ]),
        ),
      },
    },
  };
};

/** What a server answers before it knows the operation, and what a later version may answer. */
const otherProblems: OpenapiResponse = {
  ...problemResponse(['method_not_allowed', 'uri_too_long', 'headers_too_large']),
  description:
    'Any other problem. Every path answers 405 (with `allow`) for another method, 414 and 431; later versions may answer other statuses with the same body.',
};

const byKey = <T>(record: Record<string, T>, order: readonly string[] = []): Record<string, T> => {
  const rank = (key: string) => (order.includes(key) ? order.indexOf(key) : order.length);
  const entries = Object.entries(record).sort(
    ([a], [b]) => rank(a) - rank(b) || (a < b ? -1 : a > b ? 1 : 0),
  );
  return Object.fromEntries(entries);
};

const sorted = (document: OpenapiDocument): OpenapiDocument => {
  const paths = Object.entries(document.paths).map(([path, operations]) => {
    for (const operation of Object.values(operations)) operation.responses = byKey(operation.responses);
    return [path, byKey(operations, methodOrder)] as const;
  });
  return {
    ...document,
    paths: byKey(Object.fromEntries(paths)),
    components: {
      ...document.components,
      responses: byKey(document.components.responses),
      schemas: byKey(document.components.schemas),
    },
  };
};
