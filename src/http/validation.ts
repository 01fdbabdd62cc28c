import type { Readable } from 'node:stream';
import { Ajv, type ErrorObject, type ValidateFunction } from 'ajv';
import addFormats from 'ajv-formats';
import fastJsonStringify, { type Schema } from 'fast-json-stringify';
import type { FastifyRequest, preParsingAsyncHookHandler } from 'fastify';
import { handlerRules } from '../lib/schema.ts';
import { type Fault, Problem } from '../model/problems.ts';
import { faultOf, unknownField } from './faults.ts';
import type { App } from './server.ts';

declare module 'fastify' {
  interface FastifyContextConfig {
    /** The body may be left out, be empty or be null; the handler then sees `{}`. */
    optionalBody?: boolean;
  }
}

/** Enough faults for a person, and too few to amplify a request. */
const maxFaults = 500;

const strictness = {
  allErrors: true,
  verbose: true,
  useDefaults: false,
  removeAdditional: false,
  strict: true,
  allowUnionTypes: true,
  strictRequired: false,
} as const;

const parts = ['params', 'body', 'querystring', 'headers'] as const;
type Part = (typeof parts)[number];
const isPart = (part: unknown): part is Part => parts.some((known) => known === part);

/** The pointer prefix of faults in each part. */
const prefixOf = { params: '/path', body: '', querystring: '/query', headers: '/header' } as const;

type Compile = () => void;
const compilersOf = new WeakMap<App, Compile[]>();

/** The app's Ajv for bodies (not coerced) or for parts that are sent as text (coerced). */
const createAjv = (app: App, coerceTypes: boolean) => {
  // Numbers are checked before coercion: 1e400 would become Infinity and pass every bound.
  const ajv = new Ajv({ ...strictness, coerceTypes, strictNumbers: !coerceTypes });
  addFormats.default(ajv, ['email', 'uri', 'date-time', 'uuid']);
  ajv.addVocabulary(['x-extensible-enum', handlerRules]);
  for (const schema of Object.values(app.getSchemas())) ajv.addSchema(schema as object);
  return ajv;
};

const once = <T>(make: () => T) => {
  let made: { readonly value: T } | undefined;
  return () => {
    made ??= { value: make() };
    return made.value;
  };
};

const toFaults = (errors: readonly ErrorObject[], part: Part): readonly Fault[] =>
  errors.slice(0, maxFaults).map((error) => {
    const fault = faultOf(error);
    return { ...fault, pointer: `${prefixOf[part]}${fault.pointer}` };
  });

/**
 * Validates requests and serialises responses by the routes’ schemas. Bodies are validated as sent: nothing is
 * coerced, defaulted or dropped. A path parameter that does not match its pattern is `not_found`, like a resource that
 * does not exist. Schemas are compiled on first use; `compileSchemas` compiles all of them at once.
 */
export const registerValidation = (app: App): void => {
  const compilers: Compile[] = [];
  compilersOf.set(app, compilers);
  const exact = once(() => createAjv(app, false));
  const coercing = once(() => createAjv(app, true));

  app.setValidatorCompiler<object>(({ schema, httpPart }) => {
    if (!isPart(httpPart)) throw new TypeError(`No rules to validate ${httpPart}`);
    const validate = once(
      (): ValidateFunction => (httpPart === 'body' ? exact() : coercing()).compile(schema),
    );
    compilers.push(validate);
    return (data: unknown) => {
      if (validate()(data)) return true;
      if (httpPart === 'params') return { error: new Problem('not_found') };
      const errors = toFaults(validate().errors ?? [], httpPart);
      return { error: new Problem('validation_failed', { errors }) };
    };
  });

  app.setSerializerCompiler<Schema>(({ schema }) => {
    const serialize = once(() =>
      fastJsonStringify(schema, { schema: app.getSchemas() as Record<string, Schema> }),
    );
    compilers.push(serialize);
    return (data: unknown) => serialize()(data);
  });

  app.addHook('preValidation', (request, _reply, done) => {
    const { schema, config } = request.routeOptions;
    if (schema?.body === undefined) return done(bodyRefused(request.body));
    const isLeftOut = request.body === undefined || (request.body === null && config.optionalBody);
    if (!isLeftOut) return done();
    if (!config.optionalBody) return done(bodyMissing());
    request.body = {};
    done();
  });

  app.addHook('onRoute', (route) => {
    const mayBeLeftOut = route.config?.optionalBody === true || route.schema?.body === undefined;
    if (!mayBeLeftOut) return;
    // After the hooks of the app: the body of an unknown caller is not read.
    route.preParsing = [route.preParsing ?? []].flat().concat(forgetTypeOfNothing);
  });
};

/** Whether the stream ends without a byte. What was read of it is put back. */
const isEmpty = async (stream: Readable): Promise<boolean> => {
  for (;;) {
    const chunk: unknown = stream.read();
    if (chunk !== null) {
      stream.unshift(chunk);
      return false;
    }
    if (stream.readableEnded) return true;
    // The parser meets the error.
    if (stream.destroyed) return false;
    await new Promise<void>((resolve) => {
      for (const event of ['readable', 'end', 'close']) stream.once(event, resolve);
    });
  }
};

/** A content type says nothing about an empty body, and clients send any. Without one, no parser refuses the body. */
const forgetTypeOfNothing: preParsingAsyncHookHandler = async ({ raw: { headers } }, _reply, payload) => {
  const { 'content-type': type, 'content-length': length, 'transfer-encoding': encoding } = headers;
  if (type === undefined && encoding === undefined) return payload;
  const isNothing = encoding === undefined ? length === undefined || length === '0' : await isEmpty(payload);
  if (isNothing) {
    delete headers['content-type'];
    delete headers['transfer-encoding'];
  }
  return payload;
};

const bodyMissing = () =>
  new Problem('validation_failed', {
    errors: [{ pointer: '', code: 'required', message: 'This operation needs a JSON body.' }],
  });

/** An operation without a body accepts only `{}`: anything else would be dropped silently. */
const bodyRefused = (body: unknown) => {
  if (typeof body !== 'object' || body === null) return undefined;
  const errors = Object.keys(body)
    .slice(0, maxFaults)
    .map((name) => unknownField('', name, []));
  return errors.length > 0 ? new Problem('validation_failed', { errors }) : undefined;
};

/** The faults in the parts of a request that Fastify did not validate after `error` ended its validation. */
export const remainingFaults = (error: unknown, request: FastifyRequest): readonly Fault[] => {
  if (!(error instanceof Problem) || error.code !== 'validation_failed') return [];
  const part = 'validationContext' in error ? error.validationContext : undefined;
  if (!isPart(part)) return [];
  const seen = {
    params: request.params,
    body: request.body,
    querystring: request.query,
    headers: request.headers,
  };
  return parts.slice(parts.indexOf(part) + 1).flatMap((part) => {
    const verdict: unknown = request.getValidationFunction(part)?.(seen[part]);
    const problem =
      typeof verdict === 'object' && verdict !== null && 'error' in verdict ? verdict.error : undefined;
    return problem instanceof Problem ? (problem.errors ?? []) : [];
  });
};

/**
 * For routes with `attachValidation`, whose bodies have rules in addition to their schema: throws the faults of both
 * together, or the other error that ended the validation.
 */
export const assertFits = (request: FastifyRequest, more: readonly Fault[]): void => {
  const { validationError } = request;
  if (validationError instanceof Problem && validationError.code !== 'validation_failed')
    throw validationError;
  if (validationError !== undefined && !(validationError instanceof Problem)) throw validationError;
  const errors = [
    ...(validationError?.errors ?? []),
    ...(validationError === undefined ? [] : remainingFaults(validationError, request)),
    ...more,
  ];
  if (errors.length > 0) throw new Problem('validation_failed', { errors });
};

/**
 * Compiles every schema of every route of a ready app and returns their number; throws for an invalid one.
 * Production compiles each schema on first use, so only the tests find a schema that no request has used.
 *
 * @testonly
 */
export const compileSchemas = (app: App): number => {
  const compilers = compilersOf.get(app) ?? [];
  for (const compile of compilers) compile();
  return compilers.length;
};
