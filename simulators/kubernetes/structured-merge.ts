import { FieldSet } from './field-set.ts';
import { isMap, type Json, type JsonMap, sameJson } from './json.ts';
import { entrySchema, type ListSchema, type MapSchema, resolve, type Schema } from './schema.ts';

/**
 * The four walks over typed values that server-side apply is made of. They follow the semantics of
 * structured-merge-diff: a scalar and an atomic list or map is one leaf; items of keyed lists and sets and entries
 * of maps are owned one by one.
 */

/** An error in a value, with the path as `.spec.ports[0].name`. */
export interface TypeFault {
  readonly path: string;
  readonly message: string;
}

const keyElement = (items: Schema, keys: readonly string[], item: Json): string | undefined => {
  if (keys.length === 0)
    return isMap(item) || Array.isArray(item) || item === null ? undefined : `v:${JSON.stringify(item)}`;
  if (!isMap(item)) return undefined;
  const struct = resolve(items, item);
  const found: [string, Json][] = [];
  for (const key of keys.toSorted()) {
    const value = item[key] ?? (struct.type === 'map' ? struct.fields.get(key)?.traits.default : undefined);
    if (value !== undefined) found.push([key, value]);
  }
  return found.length === 0 ? undefined : `k:${JSON.stringify(Object.fromEntries(found))}`;
};

/** The path element that names an item of a list that is not atomic; undefined when the item has no name. */
function elementOf(list: ListSchema, item: Json): string | undefined {
  return list.keys === undefined ? undefined : keyElement(list.items, list.keys, item);
}

/** Items by path element, in order; several items may claim one element in objects that were not applied. */
function byElement(list: ListSchema, value: Json | undefined): Map<string, Json[]> {
  const found = new Map<string, Json[]>();
  for (const item of Array.isArray(value) ? value : []) {
    const element = elementOf(list, item);
    if (element === undefined) continue;
    const same = found.get(element);
    if (same === undefined) found.set(element, [item]);
    else same.push(item);
  }
  return found;
}

const isBare = (value: Json | undefined): boolean =>
  value === undefined ||
  value === null ||
  (Array.isArray(value) ? value.length === 0 : isMap(value) && Object.keys(value).length === 0);

/** Every path that a value sets: the fields that an applier will own. */
export function fieldSetOf(schema: Schema, value: Json): FieldSet {
  const set = new FieldSet();
  collect(schema, value, [], set);
  return set;
}

function collect(schema: Schema, value: Json, path: readonly string[], set: FieldSet): void {
  const resolved = resolve(schema, value);
  if (resolved.type === 'scalar') {
    set.insert(path);
    return;
  }
  if (resolved.type === 'list') {
    if (resolved.keys === undefined) set.insert(path);
    else {
      for (const [element, items] of byElement(resolved, value)) {
        const [item] = items;
        if (items.length === 1 && item !== undefined) collect(resolved.items, item, [...path, element], set);
        set.insert([...path, element]);
      }
    }
    return;
  }
  if (resolved.atomic) {
    set.insert(path);
    return;
  }
  if (!isMap(value)) return;
  for (const [key, entry] of Object.entries(value)) {
    const inner = [...path, `f:${key}`];
    collect(entrySchema(resolved, key) ?? { type: 'any', atomic: false }, entry, inner, set);
    if (entry === null || (isMap(entry) && Object.keys(entry).length === 0) || !resolved.fields.has(key)) {
      set.insert(inner);
    }
  }
}

/** What changed between two values; no path is in two of the sets. */
export interface Comparison {
  readonly added: FieldSet;
  readonly modified: FieldSet;
  readonly removed: FieldSet;
}

export function compare(schema: Schema, before: Json | undefined, after: Json | undefined): Comparison {
  const comparison = { added: new FieldSet(), modified: new FieldSet(), removed: new FieldSet() };
  if (before !== undefined || after !== undefined) diff(schema, before, after, [], comparison);
  return comparison;
}

function diff(
  schema: Schema,
  before: Json | undefined,
  after: Json | undefined,
  path: readonly string[],
  out: Comparison,
): void {
  const old = resolve(schema, before);
  const next = resolve(schema, after);
  if (before !== undefined && after !== undefined && old.type !== next.type) {
    for (const [side, was, is] of [
      [old, before, undefined],
      [next, undefined, after],
    ] as const) {
      if (side.type === 'map' && !side.atomic) diffEntries(side, was, is, path, out);
      else out.modified.insert(path);
    }
    return;
  }
  if (diffAs(after === undefined ? old : next, before, after, path, out)) return;
  if (before === undefined) out.added.insert(path);
  else if (after === undefined) out.removed.insert(path);
}

/** Returns whether the value was one leaf. */
function diffAs(
  schema: ReturnType<typeof resolve>,
  before: Json | undefined,
  after: Json | undefined,
  path: readonly string[],
  out: Comparison,
): boolean {
  const whole =
    schema.type === 'scalar' ||
    (schema.type === 'list' ? schema.keys === undefined : schema.atomic) ||
    (isBare(before) && isBare(after));
  if (whole) {
    if (before === undefined) out.added.insert(path);
    else if (after === undefined) out.removed.insert(path);
    else if (!sameJson(before, after)) out.modified.insert(path);
    return true;
  }
  if (schema.type === 'list') diffItems(schema, before, after, path, out);
  else if (schema.type === 'map') diffEntries(schema, before, after, path, out);
  return false;
}

function diffItems(
  schema: ListSchema,
  before: Json | undefined,
  after: Json | undefined,
  path: readonly string[],
  out: Comparison,
): void {
  const old = byElement(schema, before);
  const next = byElement(schema, after);
  for (const element of new Set([...old.keys(), ...next.keys()])) {
    const was = old.get(element) ?? [];
    const is = next.get(element) ?? [];
    const inner = [...path, element];
    if (was.length <= 1 && is.length <= 1) diff(schema.items, was[0], is[0], inner, out);
    else if (was.length > 1 && is.length > 1) {
      if (!sameJson(was, is)) out.modified.insert(inner);
    } else if (was.length > 1) {
      if (is[0] !== undefined) diff(schema.items, undefined, is[0], inner, out);
      out.removed.insert(inner);
    } else {
      if (was[0] !== undefined) diff(schema.items, was[0], undefined, inner, out);
      out.added.insert(inner);
    }
  }
}

function diffEntries(
  schema: MapSchema,
  before: Json | undefined,
  after: Json | undefined,
  path: readonly string[],
  out: Comparison,
): void {
  const old = isMap(before) ? before : {};
  const next = isMap(after) ? after : {};
  for (const key of new Set([...Object.keys(old), ...Object.keys(next)])) {
    diff(
      entrySchema(schema, key) ?? { type: 'any', atomic: false },
      old[key],
      next[key],
      [...path, `f:${key}`],
      out,
    );
  }
}

/** The live value with an applied one laid over it; nothing is removed. */
export function merge(schema: Schema, live: Json | undefined, applied: Json | undefined): Json | undefined {
  if (live === undefined) return applied;
  if (applied === undefined) return live;
  const old = resolve(schema, live);
  const next = resolve(schema, applied);
  const base = old.type === next.type ? live : undefined;
  if (next.type === 'scalar' || (isBare(base) && isBare(applied))) return applied;
  if (next.type === 'list') return next.keys === undefined ? applied : mergeItems(next, base, applied);
  return next.atomic ? applied : mergeEntries(next, base, applied);
}

function mergeEntries(schema: MapSchema, live: Json | undefined, applied: Json): Json | undefined {
  const old = isMap(live) ? live : {};
  const next = isMap(applied) ? applied : {};
  const merged: JsonMap = {};
  for (const key of new Set([...Object.keys(old), ...Object.keys(next)])) {
    const value = merge(entrySchema(schema, key) ?? { type: 'any', atomic: false }, old[key], next[key]);
    if (value !== undefined) merged[key] = value;
  }
  return Object.keys(merged).length === 0 ? undefined : merged;
}

/** Applied items keep their order; live items that are not applied keep their position among them. */
function mergeItems(schema: ListSchema, live: Json | undefined, applied: Json): Json | undefined {
  const liveItems = named(schema, live);
  const appliedItems = named(schema, applied);
  const liveBy = new Map(liveItems);
  const appliedBy = new Map(appliedItems);
  const shared = appliedItems.map(([element]) => element).filter((element) => liveBy.has(element));
  const merged: Json[] = [];
  const take = (element: string): void => {
    const value = merge(schema.items, liveBy.get(element), appliedBy.get(element));
    if (value !== undefined) merged.push(value);
  };
  const taken = new Set<string>();
  let left = 0;
  let right = 0;
  let nextShared = shared.shift();
  while (left < liveItems.length || right < appliedItems.length) {
    const liveElement = liveItems[left]?.[0];
    const appliedElement = appliedItems[right]?.[0];
    if (liveElement !== undefined && appliedElement !== undefined) {
      if (liveElement === appliedElement) {
        taken.add(liveElement);
        take(liveElement);
        left += 1;
        right += 1;
        nextShared = shared.shift();
        continue;
      }
      if (appliedBy.has(liveElement) && nextShared !== undefined && nextShared !== liveElement) {
        left += 1;
        continue;
      }
    }
    if (liveElement !== undefined) {
      if (!appliedBy.has(liveElement)) {
        const value = liveItems[left]?.[1];
        if (value !== undefined) merged.push(value);
        left += 1;
        continue;
      }
      if (taken.has(liveElement)) left += 1;
    }
    if (appliedElement !== undefined) {
      taken.add(appliedElement);
      take(appliedElement);
      right += 1;
      if (nextShared === appliedElement) nextShared = shared.shift();
    }
  }
  return merged.length === 0 ? undefined : merged;
}

function named(schema: ListSchema, value: Json | undefined): [string, Json][] {
  const found: [string, Json][] = [];
  for (const item of Array.isArray(value) ? value : []) {
    const element = elementOf(schema, item);
    if (element !== undefined) found.push([element, item]);
  }
  return found;
}

/** The value without the paths of a set; a container that loses its last entry is removed too. */
export function remove(schema: Schema, value: Json, set: FieldSet): Json | undefined {
  const resolved = resolve(schema, value);
  if (resolved.type === 'scalar') return value;
  if (resolved.type === 'list') {
    if (!Array.isArray(value) || value.length === 0 || resolved.keys === undefined) return undefined;
    const kept: Json[] = [];
    for (const item of value) {
      const child = set.children.get(elementOf(resolved, item) ?? '');
      if (child?.member === true) continue;
      const rest = child === undefined || child.isEmpty ? item : remove(resolved.items, item, child);
      kept.push(rest ?? null);
    }
    return kept.length === 0 ? undefined : kept;
  }
  if (!isMap(value) || Object.keys(value).length === 0 || resolved.atomic) return undefined;
  const kept: JsonMap = {};
  for (const [key, entry] of Object.entries(value)) {
    const child = set.children.get(`f:${key}`);
    if (child?.member === true) continue;
    if (child === undefined || child.isEmpty) kept[key] = entry;
    else {
      const rest = remove(entrySchema(resolved, key) ?? { type: 'any', atomic: false }, entry, child);
      kept[key] = rest ?? null;
    }
  }
  return Object.keys(kept).length === 0 ? undefined : kept;
}

/** Type errors of a value: wrong types, fields that are not declared, items without or with the same key. */
export function typeFaults(schema: Schema, value: Json, path = ''): TypeFault[] {
  if (value === null) return [];
  const resolved = resolve(schema, value);
  if (resolved.type === 'scalar') {
    const problem = scalarFault(resolved.scalar, value);
    return problem === undefined ? [] : [{ path, message: problem }];
  }
  if (resolved.type === 'list') {
    if (!Array.isArray(value)) return [{ path, message: `expected list, got ${JSON.stringify(value)}` }];
    const seen = new Set<string>();
    return value.flatMap((item, index) => {
      if (resolved.keys === undefined) return typeFaults(resolved.items, item, `${path}[${index}]`);
      const element = elementOf(resolved, item);
      if (element === undefined) {
        const message = `element ${index}: associative list with keys has an element that omits all key fields ${JSON.stringify(resolved.keys)} (and doesn't have default values for any key fields)`;
        return [{ path, message }];
      }
      const twice = seen.has(element) ? [{ path, message: `duplicate entries for key ${element}` }] : [];
      seen.add(element);
      return [...twice, ...typeFaults(resolved.items, item, `${path}[${index}]`)];
    });
  }
  if (!isMap(value)) return [{ path, message: `expected map, got ${JSON.stringify(value)}` }];
  return Object.entries(value).flatMap(([key, entry]) => {
    const inner = entrySchema(resolved, key);
    if (inner === undefined) return [{ path: `${path}.${key}`, message: 'field not declared in schema' }];
    return typeFaults(inner, entry, `${path}.${key}`);
  });
}

function scalarFault(scalar: string, value: Json): string | undefined {
  switch (scalar) {
    case 'string':
      return typeof value === 'string' ? undefined : `expected string, got ${JSON.stringify(value)}`;
    case 'integer':
    case 'number':
      return typeof value === 'number'
        ? undefined
        : `expected numeric (int or float), got ${JSON.stringify(value)}`;
    case 'boolean':
      return typeof value === 'boolean' ? undefined : `expected boolean, got ${JSON.stringify(value)}`;
    default:
      return typeof value === 'object' ? `expected any scalar, got ${JSON.stringify(value)}` : undefined;
  }
}
