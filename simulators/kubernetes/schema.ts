import { readFileSync } from 'node:fs';
import { asMap, asTexts, isMap, type Json, type JsonMap, parseJson } from './json.ts';

/**
 * How a value is merged and checked, in the terms of structured-merge-diff: a scalar, a list (atomic, a set, or
 * keyed by fields of its items), a map or struct (granular or atomic), or `any`, which is deduced from the value:
 * maps granular (unless atomic), lists atomic.
 */
export type Schema =
  | { readonly type: 'scalar'; readonly scalar: 'string' | 'integer' | 'number' | 'boolean' | 'scalar' }
  | { readonly type: 'any'; readonly atomic: boolean }
  | ListSchema
  | MapSchema
  | { readonly type: 'ref'; readonly name: string; readonly atomic: boolean };

export interface ListSchema {
  readonly type: 'list';
  readonly items: Schema;
  /** undefined: atomic; empty: a set of scalars; else the fields that name an item. */
  readonly keys: readonly string[] | undefined;
  /** For strategic merge patches: undefined replaces, '' merges scalars, else the field that names an item. */
  readonly patchKey: string | undefined;
}

export interface MapSchema {
  readonly type: 'map';
  /** Declared fields; a struct has some, a map of values has none. */
  readonly fields: ReadonlyMap<string, Field>;
  /** For fields that are not declared; undefined means there must be none. */
  readonly values: Schema | undefined;
  readonly atomic: boolean;
  readonly required: readonly string[];
  readonly rules: readonly Rule[];
}

export interface Field {
  readonly schema: Schema;
  /** default, enum, pattern, minimum, maximum, minLength, maxLength, minItems, maxItems. */
  readonly traits: JsonMap;
}

/** A CEL rule on an object of a custom resource; `self` is the object. */
export interface Rule {
  readonly rule: string;
  readonly message: string;
}

export const ANY: Schema = { type: 'any', atomic: false };
const ATOMIC: Schema = { type: 'any', atomic: true };

/** The schema of a kind; a custom resource without one keeps everything. */
export function schemaOf(name: string | undefined): Schema {
  return name === undefined ? CUSTOM : { type: 'ref', name, atomic: false };
}

/** Follows a reference, and deduces `any` from the value. */
export function resolve(
  schema: Schema,
  value: Json | undefined,
): Extract<Schema, { type: 'scalar' | 'list' | 'map' }> {
  if (schema.type === 'ref') {
    const target = types.get(schema.name);
    if (target === undefined) throw new Error(`schemas.txt lacks ${schema.name}`);
    return schema.atomic ? { ...target, atomic: true } : target;
  }
  if (schema.type !== 'any') return schema;
  if (Array.isArray(value)) return ATOMIC_LIST;
  if (isMap(value) || value === null || value === undefined) return schema.atomic ? ATOMIC_MAP : FREE_MAP;
  return FREE_SCALAR;
}

const ATOMIC_LIST: ListSchema = { type: 'list', items: ATOMIC, keys: undefined, patchKey: undefined };
const FREE_SCALAR: Schema & { type: 'scalar' } = { type: 'scalar', scalar: 'scalar' };

const FREE_MAP: MapSchema = {
  type: 'map',
  fields: new Map(),
  values: ANY,
  atomic: false,
  required: [],
  rules: [],
};

const ATOMIC_MAP: MapSchema = { ...FREE_MAP, values: ATOMIC, atomic: true };

/** Objects without a schema of their own still have the metadata that every object has. */
const CUSTOM: MapSchema = {
  ...FREE_MAP,
  fields: new Map([
    ['apiVersion', { schema: { type: 'scalar', scalar: 'string' }, traits: {} }],
    ['kind', { schema: { type: 'scalar', scalar: 'string' }, traits: {} }],
    ['metadata', { schema: { type: 'ref', name: 'meta.ObjectMeta', atomic: false }, traits: {} }],
    ['spec', { schema: FREE_MAP, traits: {} }],
    ['status', { schema: FREE_MAP, traits: {} }],
  ]),
};

const types: ReadonlyMap<string, MapSchema> = read(
  readFileSync(new URL('./schemas.txt', import.meta.url), 'utf8'),
);

/** The schema of one entry of a map or struct; undefined when the entry must not be there. */
export function entrySchema(map: MapSchema, key: string): Schema | undefined {
  return map.fields.get(key)?.schema ?? map.values;
}

/** Reads schemas.txt: a type per block, `name {traits}`, then one field a line, `  field type {traits}`. */
function read(text: string): Map<string, MapSchema> {
  const found = new Map<string, MapSchema>();
  for (const block of text.split('\n\n')) {
    const [head = '', ...lines] = block.split('\n').filter((line) => line !== '');
    const [name, traits] = split(head);
    const fields = new Map<string, Field>();
    for (const line of lines) {
      const [declared, fieldTraits] = split(line.trim());
      const [field = '', type = ''] = declared.split(' ');
      fields.set(field, { schema: parseType(type, fieldTraits), traits: fieldTraits });
    }
    found.set(name, {
      type: 'map',
      fields,
      values: traits.open === true ? ANY : undefined,
      atomic: traits.atomic === true,
      required: asTexts(traits.required),
      rules: (Array.isArray(traits.rules) ? traits.rules : []).map((rule) => ({
        rule: String(asMap(rule).rule),
        message: String(asMap(rule).message),
      })),
    });
  }
  return found;
}

function split(line: string): [string, JsonMap] {
  const brace = line.indexOf(' {"');
  return brace < 0 ? [line, {}] : [line.slice(0, brace), asMap(parseJson(line.slice(brace)))];
}

function parseType(type: string, traits: JsonMap): Schema {
  if (type.startsWith('[')) {
    return {
      type: 'list',
      items: parseType(type.slice(1, -1), {}),
      keys: traits.set === true ? [] : Array.isArray(traits.keys) ? asTexts(traits.keys) : undefined,
      patchKey: typeof traits.patch === 'string' ? traits.patch : undefined,
    };
  }
  if (type.startsWith('{')) {
    return { ...FREE_MAP, values: parseType(type.slice(1, -1), {}), atomic: traits.atomic === true };
  }
  switch (type) {
    case 'string':
    case 'integer':
    case 'number':
    case 'boolean':
    case 'scalar':
      return { type: 'scalar', scalar: type };
    case 'any':
      return ANY;
    case 'untyped':
      return ATOMIC;
    default:
      return { type: 'ref', name: type, atomic: traits.atomic === true };
  }
}
