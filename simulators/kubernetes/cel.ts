import { Environment, type ParseResult } from '@marcbachmann/cel-js';
import { isMap, type Json } from './json.ts';
import { entrySchema, type MapSchema, resolve, type Schema } from './schema.ts';
import { type Fault, invalidValue } from './status.ts';

/** A value of CEL: JSON with whole numbers as bigint. */
export type CelValue = unknown;

const NAMES = ['object', 'oldObject', 'request', 'params', 'namespaceObject', 'variables', 'self', 'oldSelf'];

/**
 * CEL as Kubernetes knows it, as far as the library goes: the language with optional types, and of Kubernetes' own
 * extensions `replace` and `format`. No quantity, URL, IP, set or authorizer functions: expressions with them are
 * refused when they are compiled, never silently passed.
 */
const environment = NAMES.reduce(
  (found, name) => found.registerVariable(name, 'dyn'),
  new Environment({ enableOptionalTypes: true, homogeneousAggregateLiterals: false }),
)
  .registerFunction('string.replace(string, string): string', (text: string, from: string, to: string) =>
    text.replaceAll(from, to),
  )
  .registerFunction('string.format(list): string', (pattern: string, values: readonly unknown[]) => {
    const rest = [...values];
    return pattern.replace(/%[sdvf]/g, () => String(rest.shift()));
  });

const compiled = new Map<string, ParseResult>();

function compile(expression: string): ParseResult {
  let program = compiled.get(expression);
  if (program === undefined) {
    program = environment.parse(expression);
    compiled.set(expression, program);
  }
  return program;
}

/** Why an expression cannot be compiled; undefined when it can. */
export function compileFault(expression: string): string | undefined {
  try {
    const checked = compile(expression).check();
    return checked.valid ? undefined : `compilation failed: ${firstLine(checked.error)}`;
  } catch (error) {
    return `compilation failed: ${firstLine(error)}`;
  }
}

/** Evaluates an expression; throws with CEL's own words. */
export function evaluate(expression: string, context: Readonly<Record<string, CelValue>>): CelValue {
  try {
    const value: unknown = compile(expression)(context);
    return value;
  } catch (error) {
    throw new Error(firstLine(error).replace(/^No such key/, 'no such key'), { cause: error });
  }
}

const firstLine = (error: unknown): string =>
  error instanceof Error ? (error.message.split('\n')[0] ?? '') : String(error);

/** JSON as CEL sees it. */
export function toCel(value: Json | undefined): CelValue {
  if (typeof value === 'number') return Number.isSafeInteger(value) ? BigInt(value) : value;
  if (Array.isArray(value)) return value.map(toCel);
  if (isMap(value))
    return Object.fromEntries(Object.entries(value).map(([key, entry]) => [key, toCel(entry)]));
  return value ?? null;
}

/** Faults of a custom resource against the CEL rules of its schema; those about changes are not asked. */
export function ruleFaults(schema: Schema, value: Json, path = ''): Fault[] {
  const resolved = resolve(schema, value);
  if (resolved.type === 'list' && Array.isArray(value)) {
    return value.flatMap((item, index) => ruleFaults(resolved.items, item, `${path}[${index}]`));
  }
  if (resolved.type !== 'map' || !isMap(value)) return [];
  const inner = Object.entries(value).flatMap(([key, entry]) => {
    const field = entrySchema(resolved, key);
    return field === undefined ? [] : ruleFaults(field, entry, path === '' ? key : `${path}.${key}`);
  });
  return [...brokenRules(resolved, value, path), ...inner];
}

function brokenRules(schema: MapSchema, value: Json, path: string): Fault[] {
  return schema.rules
    .filter(({ rule }) => !rule.includes('oldSelf') && evaluate(rule, { self: toCel(value) }) !== true)
    .map(({ message }) => invalidValue(path, 'object', message));
}
