import { asMap, isMap, type Json, type JsonMap, sameJson } from './json.ts';
import { entrySchema, type MapSchema, resolve, type Schema } from './schema.ts';
import { type Fault, invalidValue, notSupported, requiredValue } from './status.ts';

/**
 * A built-in object as the real server stores it: what is null or empty is not written, structs that are not
 * pointers and required lists always are. (The real server gets this from decoding into Go structs and encoding them again.) In memory
 * it distinguishes absent from empty inside lists that are compared as a whole; 'keep-in-lists' leaves that in.
 */
export function normalizeBuiltIn(
  schema: Schema,
  value: Json,
  empties: 'drop' | 'keep-in-lists' | 'keep' = 'drop',
): Json | undefined {
  if (value === null) return undefined;
  const resolved = resolve(schema, value);
  if (schema.type === 'any' || resolved.type === 'scalar') return value;
  if (resolved.type === 'list') {
    if (!Array.isArray(value) || (value.length === 0 && empties !== 'keep')) return undefined;
    const inside = empties === 'keep-in-lists' && resolved.keys === undefined ? 'keep' : empties;
    return value.map((item) =>
      item === null ? null : (normalizeBuiltIn(resolved.items, item, inside) ?? item),
    );
  }
  if (!isMap(value)) return value;
  const result: JsonMap = {};
  for (const [key, entry] of Object.entries(value)) {
    const inner = entrySchema(resolved, key);
    const kept = inner === undefined ? entry : normalizeBuiltIn(inner, entry, empties);
    if (kept !== undefined && ZEROS_NOT_WRITTEN[key] !== kept) result[key] = kept;
  }
  fillStructs(resolved, result);
  // An empty map of values is not written; an empty struct behind a pointer is.
  const isEmpty = Object.keys(result).length === 0 && resolved.fields.size === 0;
  return isEmpty && empties !== 'keep' ? undefined : result;
}

/** Fields that are no pointers: their zero is the same as nothing. OpenAPI does not show this, so the common ones are listed. */
const ZEROS_NOT_WRITTEN: Readonly<Record<string, Json>> = {
  hostIPC: false,
  hostNetwork: false,
  hostPID: false,
  paused: false,
  publishNotReadyAddresses: false,
  readOnly: false,
  stdin: false,
  stdinOnce: false,
  tty: false,
};

/** Whether lists or maps of values without content are in a value. */
export function holdsEmpties(schema: Schema, value: Json): boolean {
  const resolved = resolve(schema, value);
  if (resolved.type === 'list') {
    return (
      Array.isArray(value) && (value.length === 0 || value.some((item) => holdsEmpties(resolved.items, item)))
    );
  }
  if (resolved.type !== 'map' || !isMap(value)) return false;
  const entries = Object.entries(value);
  if (entries.length === 0) return resolved.fields.size === 0;
  return entries.some(([key, entry]) => {
    const inner = entrySchema(resolved, key);
    return key !== 'metadata' && inner !== undefined && holdsEmpties(inner, entry);
  });
}

/** What the server holds of a built-in kind before anything is set: its structs, empty. */
export function emptyBuiltIn(schema: Schema): JsonMap {
  const resolved = resolve(schema, {});
  const result: JsonMap = {};
  if (resolved.type === 'map') fillStructs(resolved, result);
  return result;
}

function fillStructs(schema: MapSchema, result: JsonMap): void {
  for (const [name, field] of schema.fields) {
    if (result[name] !== undefined) continue;
    if (field.traits.struct === true) result[name] = emptyBuiltIn(field.schema);
    if (field.traits.written === true) result[name] = null;
  }
}

/** Removes fields that the schema does not declare, naming each: `spec.foo`. */
export function dropUnknown(schema: Schema, value: Json, unknown: string[], path = ''): Json {
  const resolved = resolve(schema, value);
  if (Array.isArray(value)) {
    return resolved.type === 'list'
      ? value.map((item, index) => dropUnknown(resolved.items, item, unknown, `${path}[${index}]`))
      : value;
  }
  if (!isMap(value) || resolved.type !== 'map') return value;
  const result: JsonMap = {};
  for (const [key, entry] of Object.entries(value)) {
    const inner = entrySchema(resolved, key);
    const here = path === '' ? key : `${path}.${key}`;
    if (inner === undefined) unknown.push(here);
    else result[key] = dropUnknown(inner, entry, unknown, here);
  }
  return result;
}

/** A custom resource without the nulls of declared fields that have no default: there null has no meaning. */
export function withoutNulls(schema: Schema, value: Json): Json {
  const resolved = resolve(schema, value);
  if (Array.isArray(value)) {
    return resolved.type === 'list' ? value.map((item) => withoutNulls(resolved.items, item)) : value;
  }
  if (!isMap(value) || resolved.type !== 'map') return value;
  const result: JsonMap = {};
  for (const [key, entry] of Object.entries(value)) {
    const field = resolved.fields.get(key);
    const isTyped = field !== undefined || (resolved.values !== undefined && resolved.values.type !== 'any');
    if (entry === null && isTyped && field?.traits.default === undefined) continue;
    const inner = entrySchema(resolved, key);
    result[key] = inner === undefined ? entry : withoutNulls(inner, entry);
  }
  return result;
}

/** Fills in the defaults of a custom resource's schema; null where there is a default counts as absent. */
export function withDefaults(schema: Schema, value: Json): Json {
  const resolved = resolve(schema, value);
  if (Array.isArray(value)) {
    return resolved.type === 'list' ? value.map((item) => withDefaults(resolved.items, item)) : value;
  }
  if (!isMap(value) || resolved.type !== 'map') return value;
  const result: JsonMap = {};
  for (const [key, entry] of Object.entries(value)) {
    const inner = entrySchema(resolved, key);
    result[key] = inner === undefined ? entry : withDefaults(inner, entry);
  }
  for (const [name, field] of resolved.fields) {
    const { default: standard } = field.traits;
    if (standard !== undefined && (result[name] ?? null) === null) result[name] = standard;
  }
  return result;
}

/** Faults of a custom resource against the limits of its schema. */
export function schemaFaults(schema: Schema, value: Json, traits: JsonMap = {}, path = ''): Fault[] {
  const resolved = resolve(schema, value);
  const faults = limitFaults(value, traits, path);
  if (schema.type === 'any') return faults;
  if (resolved.type === 'list' && Array.isArray(value)) {
    return [
      ...faults,
      ...value.flatMap((item, index) => schemaFaults(resolved.items, item, {}, `${path}[${index}]`)),
    ];
  }
  if (resolved.type !== 'map' || !isMap(value)) return [...faults, ...typeFault(resolved, value, path)];
  const join = (key: string): string => (path === '' ? key : `${path}.${key}`);
  for (const name of resolved.required) {
    if (value[name] === undefined) faults.push(requiredValue(join(name)));
  }
  for (const [key, entry] of Object.entries(value)) {
    if (path === '' && key === 'metadata') continue;
    const inner = entrySchema(resolved, key);
    const field = resolved.fields.get(key);
    if (inner !== undefined) faults.push(...schemaFaults(inner, entry, asMap(field?.traits), join(key)));
  }
  return faults;
}

const TYPE_NAMES: Readonly<Record<string, string>> = { map: 'object', list: 'array' };

function typeFault(schema: ReturnType<typeof resolve>, value: Json, path: string): Fault[] {
  const wanted = schema.type === 'scalar' ? schema.scalar : TYPE_NAMES[schema.type];
  const found =
    value === null ? 'null' : Array.isArray(value) ? 'array' : isMap(value) ? 'object' : typeof value;
  const fits =
    wanted === found ||
    (wanted === 'scalar' && ['string', 'number', 'boolean'].includes(found)) ||
    (wanted === 'integer' && Number.isInteger(value));
  if (fits) return [];
  return [invalidValue(path, found, `${path} in body must be of type ${wanted}: ${JSON.stringify(found)}`)];
}

function limitFaults(value: Json, traits: JsonMap, path: string): Fault[] {
  const faults: Fault[] = [];
  const complain = (why: string): void => {
    faults.push(invalidValue(path, value, `${path} in body ${why}`));
  };
  if (Array.isArray(traits.enum) && !traits.enum.some((allowed) => sameJson(allowed, value))) {
    faults.push(notSupported(path, value, traits.enum.map(String)));
  }
  if (typeof value === 'string') {
    if (typeof traits.pattern === 'string' && !new RegExp(traits.pattern, 'u').test(value))
      complain(`should match '${traits.pattern}'`);
    if (typeof traits.minLength === 'number' && value.length < traits.minLength)
      complain(`should be at least ${traits.minLength} chars long`);
    if (typeof traits.maxLength === 'number' && value.length > traits.maxLength)
      complain(`may not be more than ${traits.maxLength} bytes`);
  }
  if (typeof value === 'number') {
    if (typeof traits.minimum === 'number' && value < traits.minimum)
      complain(`should be greater than or equal to ${traits.minimum}`);
    if (typeof traits.maximum === 'number' && value > traits.maximum)
      complain(`should be less than or equal to ${traits.maximum}`);
  }
  if (Array.isArray(value)) {
    if (typeof traits.minItems === 'number' && value.length < traits.minItems)
      complain(`should have at least ${traits.minItems} items`);
    if (typeof traits.maxItems === 'number' && value.length > traits.maxItems)
      complain(`should have at most ${traits.maxItems} items`);
  }
  return faults;
}
