import Type, { type Static, type TObjectOptions, type TProperties, type TSchema } from 'typebox';

/** An object of a request or a record. It refuses unknown fields: a typo is an error, never dropped. */
export const closed = <T extends TProperties>(properties: T, options: TObjectOptions = {}) =>
  Type.Object(properties, { additionalProperties: false, ...options });

/**
 * An object of an answer. Clients must accept fields that they do not know, so the contract says `additionalProperties:
 * true`; the serializer still writes only the fields that are declared here.
 */
export const answer = <T extends TProperties>(properties: T, options: TObjectOptions = {}) =>
  Type.Object(properties, options);

/**
 * A reference to a named component. The schema itself is registered once, in app.ts; embedding an `$id`
 * twice would fail at start.
 */
export const ref = <T extends TSchema & { $id?: string }>(schema: T) => {
  if (schema.$id === undefined) throw new TypeError('ref() needs a schema with an $id');
  return Type.Unsafe<Static<T>>(Type.Ref(schema.$id));
};

/** `type: [x, "null"]`, the one form of nullable that SDK generators agree on. */
export const nullable = <T extends TSchema & { type: string }>(schema: T) =>
  Type.Unsafe<Static<T> | null>({ ...schema, type: [schema.type, 'null'] });

/**
 * A string of an answer with the values that this version knows. A later version may add values, so it is no `enum`:
 * `x-extensible-enum` is Zalando’s rule 112, which generators and linters read as documentation.
 */
export const known = <const T extends readonly [string, ...string[]]>(values: T, options: object = {}) => ({
  ...Type.Unsafe<T[number]>({ 'x-extensible-enum': values, ...options }),
  type: 'string',
});

/** A string of a request out of a fixed list, as `type: string, enum: […]`. */
export const oneOf = <const T extends readonly [string, ...string[]]>(values: T, options: object = {}) =>
  Type.Unsafe<T[number]>({ type: 'string', enum: values, ...options });

/** Where a schema has the rules that a handler enforces. */
export const handlerRules = 'x-enforced-by-handler';

/**
 * A schema with rules that a handler enforces, because its message says more than a pattern’s could. The contract states
 * them as keywords of the schema; the validation of requests ignores them.
 */
export const enforcedByHandler = <T extends TSchema>(
  schema: T,
  rules: Readonly<Record<string, unknown>>,
): T => ({
  ...schema,
  [handlerRules]: rules,
});

/** An instant: ISO 8601, UTC, milliseconds. */
export const Instant = Type.String({ format: 'date-time', examples: ['2026-11-23T09:00:00.000Z'] });
