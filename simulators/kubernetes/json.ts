/** JSON as it arrives and is stored. Objects are never changed in place once they are stored. */
export type Json = null | boolean | number | string | Json[] | JsonMap;

export interface JsonMap {
  [key: string]: Json;
}

export function isMap(value: Json | undefined): value is JsonMap {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}

/** The value when it is an object, an empty object otherwise. */
export function asMap(value: Json | undefined): JsonMap {
  return isMap(value) ? value : {};
}

/** The value when it is a list, an empty list otherwise. */
export function asList(value: Json | undefined): Json[] {
  return Array.isArray(value) ? value : [];
}

/** The value when it is a string, an empty string otherwise. */
export function asText(value: Json | undefined): string {
  return typeof value === 'string' ? value : '';
}

/** The strings of a list; anything else in it is left out. */
export function asTexts(value: Json | undefined): string[] {
  return asList(value).filter((item) => typeof item === 'string');
}

/** Reads a path of object fields; undefined when any step is missing. */
export function at(value: Json | undefined, ...path: readonly string[]): Json | undefined {
  let current = value;
  for (const step of path) current = isMap(current) ? current[step] : undefined;
  return current;
}

/** Equality of content: the order of object fields does not matter. */
export function sameJson(a: Json | undefined, b: Json | undefined): boolean {
  if (a === b) return true;
  if (Array.isArray(a)) {
    return Array.isArray(b) && a.length === b.length && a.every((item, index) => sameJson(item, b[index]));
  }
  if (!isMap(a) || !isMap(b)) return false;
  const keys = Object.keys(a);
  return (
    keys.length === Object.keys(b).length &&
    keys.every((key) => Object.hasOwn(b, key) && sameJson(a[key], b[key]))
  );
}

/** The object without the named fields. */
export function without(map: JsonMap, ...fields: readonly string[]): JsonMap {
  return Object.fromEntries(Object.entries(map).filter(([key]) => !fields.includes(key)));
}

/** Parses JSON text; the one place where parsed text enters as Json. */
export function parseJson(text: string): Json {
  const value: Json = JSON.parse(text);
  return value;
}
