import { Ajv2020, type ValidateFunction } from 'ajv/dist/2020.js';
import addFormats from 'ajv-formats';
import type { OpenapiDocument } from '../../src/http/openapi.ts';
import { pointerToken } from '../../src/lib/json.ts';

/** An answer as it came over the wire. */
export interface Answered {
  readonly method: string;
  /** With its query, as it was asked for. */
  readonly url: string;
  readonly status: number;
  readonly headers: Readonly<Record<string, unknown>>;
  readonly body: string;
}

const problemType = 'application/problem+json';
/** What is said before there is an operation to speak of. */
const beforeAnyOperation = ['not_found', 'method_not_allowed', 'uri_too_long'];

const segmentsOf = (url: string): readonly string[] => url.replace(/\?.*$/s, '').split('/');

/** The path of the document that this URL is answered by; a written segment goes before a parameter. */
const pathOf = (document: OpenapiDocument, url: string): string | undefined => {
  const asked = segmentsOf(url);
  const isParameter = (segment: string) => segment.startsWith('{');
  return Object.keys(document.paths)
    .filter((path) => {
      const segments = segmentsOf(path);
      return segments.length === asked.length && segments.every((s, i) => s === asked[i] || isParameter(s));
    })
    .sort((a, b) => a.split('{').length - b.split('{').length)[0];
};

/** Kubernetes objects, whose fields are Kubernetes’ own. */
const freeForm = ['Manifest'];

/**
 * The document as this version keeps it: clients must accept more fields and more values than it declares, but this
 * version sends none.
 */
export const exact = (node: unknown, name = ''): unknown => {
  if (Array.isArray(node)) return node.map((item) => exact(item));
  if (typeof node !== 'object' || node === null || freeForm.includes(name)) return node;
  const { 'x-extensible-enum': known, ...rest }: Record<string, unknown> = Object(node);
  const isNullable = [rest.type].flat().includes('null');
  return {
    ...Object.fromEntries(Object.entries(rest).map(([key, inner]) => [key, exact(inner, key)])),
    ...(Array.isArray(known) ? { enum: isNullable ? [...known, null] : known } : {}),
    ...(rest.additionalProperties === true && rest.properties !== undefined
      ? { additionalProperties: false }
      : {}),
  };
};

/** The events of a stream as a client gets them, each with its data parsed; comments are none. */
const eventsIn = (text: string): readonly unknown[] =>
  text
    .split('\n\n')
    .filter((frame) => frame !== '' && !frame.startsWith(':'))
    .map((frame) => {
      const fields = frame.split('\n').map((line) => /^(\w+): (.*)$/s.exec(line)?.slice(1) ?? [line, '']);
      const { data = '', ...rest } = Object.fromEntries(fields);
      return { ...rest, data: JSON.parse(data) };
    });

/**
 * Holds answers to the document: status, media type, promised headers, schema, and that a problem is one of those
 * that its operation lists. Answers sentences about what does not hold.
 */
export const contractOf = (document: OpenapiDocument) => {
  const ajv = new Ajv2020({ strict: false, allErrors: true, ownProperties: true });
  addFormats.default(ajv);
  ajv.addSchema(Object(exact(document)), 'api');
  const compiled = new Map<string, ValidateFunction>();
  const validatorAt = (pointer: string): ValidateFunction => {
    const known = compiled.get(pointer) ?? ajv.compile({ $ref: `api#${pointer}` });
    compiled.set(pointer, known);
    return known;
  };

  const isRequired = (header: unknown): boolean => {
    const name = String(Object(header).$ref).replace(/^.*\//, '');
    return Object(Object(document.components.headers)[name]).required === true;
  };

  return ({ method, url, status, headers, body }: Answered): readonly string[] => {
    const faults: string[] = [];
    const fault = (sentence: string) => faults.push(`${method} ${url} → ${status}: ${sentence}`);
    const type = String(headers['content-type'] ?? '').replace(/;.*$/, '');
    const requestId = headers['x-request-id'];
    if (typeof requestId !== 'string') fault('has no x-request-id');
    if (headers['cache-control'] === undefined) fault('says nothing of caching');
    if (status >= 500 && status !== 503) fault('is a failure of ours');

    const fits = (pointer: string, value: unknown) => {
      const validate = validatorAt(pointer);
      if (!validate(value)) fault(`${ajv.errorsText(validate.errors)} in ${body.slice(0, 2000)}`);
    };
    const parsed = (): unknown => {
      try {
        return JSON.parse(body);
      } catch {
        return fault('is not JSON');
      }
    };

    const path = pathOf(document, url);
    const operation =
      path === undefined
        ? undefined
        : document.paths[path]?.[method === 'HEAD' ? 'get' : method.toLowerCase()];
    const isProblem = status >= 400;
    let code = '';
    if (isProblem && method !== 'HEAD') {
      if (type !== problemType) fault(`is a problem, but of type ${type}`);
      const problem: Partial<Record<'code' | 'status' | 'instance', unknown>> = Object(parsed());
      fits('/components/schemas/Problem', problem);
      code = String(problem.code);
      if (problem.status !== status) fault(`says status ${problem.status} in its body`);
      if (problem.instance !== `urn:uuid:${requestId}`) fault('has another request id in its body');
    }
    if (operation === undefined || path === undefined) {
      if (!isProblem) fault('is no operation of the document');
      else if (method !== 'HEAD' && !beforeAnyOperation.includes(code))
        fault(`${code} where no operation is`);
      return faults;
    }
    if (beforeAnyOperation.includes(code) && !operation.responses[status] && path.includes('{'))
      return faults;

    const declaredResponse = operation.responses[status];
    const response =
      typeof declaredResponse?.$ref === 'string'
        ? document.components.responses[declaredResponse.$ref.replace(/^.*\//, '')]
        : declaredResponse;
    if (response === undefined) {
      fault(`is not declared ${code}`);
      return faults;
    }
    for (const [name, declared] of Object.entries(response.headers ?? {})) {
      if (isRequired(declared) && headers[name] === undefined) fault(`lacks its header ${name}`);
    }
    const media = Object.keys(response.content ?? {});
    if (method === 'HEAD') return faults;
    if (media.length === 0) {
      if (body !== '') fault('has a body');
      return faults;
    }
    if (!media.includes(type)) {
      fault(`is ${type}, not ${media.join(' or ')}`);
      return faults;
    }
    if (isProblem) {
      const declared: Readonly<Record<string, unknown>> = Object(response.content?.[problemType]?.examples);
      if (!Object.hasOwn(declared, code)) fault(`the problem ${code} is not declared`);
      return faults;
    }
    const verb = method.toLowerCase();
    const at = ['', 'paths', path, verb, 'responses', String(status), 'content', type, 'schema'];
    const pointer = at.slice(1).map(pointerToken).join('');
    if (type === 'text/event-stream') for (const event of eventsIn(body)) fits(pointer, event);
    else fits(pointer, type.includes('json') ? parsed() : body);
    return faults;
  };
};
