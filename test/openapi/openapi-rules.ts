import { Ajv2020 } from 'ajv/dist/2020.js';
import addFormats from 'ajv-formats';
import type { OpenapiDocument } from '../../src/http/openapi.ts';
import { pointerToken } from '../../src/lib/json.ts';

type Node = Readonly<Record<string, unknown>>;
const isNode = (value: unknown): value is Node => typeof value === 'object' && value !== null;

/** Every schema below `node`, with where it stands. */
const walk = function* (node: unknown, path: string): Generator<readonly [path: string, node: Node]> {
  if (!isNode(node)) return;
  yield [path, node];
  for (const [key, child] of Object.entries(node)) yield* walk(child, path + pointerToken(key));
};

/** RE2 and Rust know no lookaround and no back references; an unanchored pattern fits what merely contains it. */
const patternFault = (pattern: unknown) => {
  if (typeof pattern !== 'string') return undefined;
  if (/\(\?(?:[=!]|<[=!])|\\[1-9]/.test(pattern)) return 'uses lookaround or a back reference';
  if (!pattern.startsWith('^') || !pattern.endsWith('$')) return 'is not anchored';
  return undefined;
};

const methods = new Set(['get', 'put', 'post', 'patch', 'delete']);

/**
 * What our contract promises beyond being valid OpenAPI, as sentences about what breaks it; an empty list is a
 * good document.
 */
export const openapiFaults = (document: OpenapiDocument): readonly string[] => {
  const faults: string[] = [];
  const seen = new Map<string, string>();
  for (const [path, operations] of Object.entries(document.paths)) {
    for (const [method, operation] of Object.entries(operations)) {
      if (!methods.has(method)) continue;
      const where = `${method.toUpperCase()} ${path}`;
      const fault = (sentence: string) => faults.push(`${where} ${sentence}`);
      const { operationId, summary, tags, parameters = [], requestBody, responses } = operation;
      if (typeof operationId !== 'string' || !/^[a-z][A-Za-z0-9]*$/.test(operationId))
        fault('needs a camelCase operationId');
      else if (seen.has(operationId)) fault(`has the operationId of ${seen.get(operationId)}`);
      else seen.set(operationId, where);
      if (typeof summary !== 'string' || summary === '') fault('needs a summary');
      if (!Array.isArray(tags) || tags.length === 0) fault('needs a tag');

      for (const { name, schema = {} } of parameters) {
        const isNumber = schema.type === 'integer' || schema.type === 'number';
        // A text may be 1e400, which is a number unless there is a bound.
        if (isNumber && (schema.minimum === undefined || schema.maximum === undefined))
          fault(`needs a minimum and a maximum for its parameter ${name}`);
      }
      for (const [, name] of path.matchAll(/\{([^}]+)\}/g)) {
        const parameter = parameters.find((p) => p.in === 'path' && p.name === name);
        const schema = parameter?.schema ?? {};
        if (schema.pattern === undefined && !['integer', 'boolean'].includes(String(schema.type)))
          fault(`needs a pattern for its parameter ${name}`);
      }

      const successes = Object.entries(responses).filter(([status]) => /^[23]/.test(status));
      const problems = Object.entries(responses).filter(([status]) => /^[45]/.test(status));
      if (successes.length === 0) fault('answers nothing but problems');
      if (problems.length === 0) fault('lists no problems');
      const named = [
        ['body', requestBody?.content] as const,
        ...successes.map(([status, response]) => [status, response.content] as const),
      ];
      for (const [part, content] of named) {
        for (const [type, media] of Object.entries(content ?? {})) {
          if (!type.includes('json')) continue;
          const schema = isNode(media.schema) ? media.schema : {};
          // The document itself is the one answer whose shape is not ours to name.
          if (schema.$ref === undefined && operationId !== 'getOpenapi')
            fault(`needs a named component for ${part}`);
          if (media.example === undefined && media.examples === undefined)
            fault(`needs an example for ${part}`);
        }
      }
    }
  }
  for (const [path, node] of walk({ paths: document.paths, schemas: document.components.schemas }, '')) {
    if (path.includes('/example')) continue;
    for (const union of [node.anyOf, node.oneOf]) {
      if (Array.isArray(union) && union.some((member) => isNode(member) && member.type === 'null'))
        faults.push(`${path} says null with a union: use type [x, "null"]`);
    }
    if (node.nullable !== undefined) faults.push(`${path} uses nullable, which OpenAPI 3.1 does not have`);
    const broken = patternFault(node.pattern);
    if (broken !== undefined) faults.push(`${path}: the pattern ${node.pattern} ${broken}`);
  }
  return faults;
};

/** The examples that do not fit the schema beside them. */
export const exampleFaults = (document: OpenapiDocument): readonly string[] => {
  const ajv = new Ajv2020({ strict: false, allErrors: true });
  addFormats.default(ajv);
  ajv.addSchema(document, 'api');
  const faults: string[] = [];
  for (const [path, node] of walk(document.paths, '/paths')) {
    if (!isNode(node.schema) || path.includes('/example')) continue;
    const fits = ajv.compile({ $ref: `api#${path}/schema` });
    const named = isNode(node.examples) ? Object.values(node.examples) : [];
    const values = [
      ...('example' in node ? [node.example] : []),
      ...named.flatMap((example) => (isNode(example) && 'value' in example ? [example.value] : [])),
    ];
    for (const value of values) {
      if (!fits(value)) faults.push(`${path}: ${ajv.errorsText(fits.errors)}`);
    }
  }
  return faults;
};
