import { isMap, type Json, type JsonMap } from './json.ts';
import { entrySchema, resolve, type Schema } from './schema.ts';

/**
 * A set of field paths: what a manager owns. Elements are written as in managedFields: `f:<name>`,
 * `k:{"<key>":…}` for an item of a keyed list, `v:<json>` for an item of a set.
 */
export class FieldSet {
  member = false;
  readonly children = new Map<string, FieldSet>();

  static of(...paths: readonly (readonly string[])[]): FieldSet {
    const set = new FieldSet();
    for (const path of paths) set.insert(path);
    return set;
  }

  insert(path: readonly string[]): void {
    let node: FieldSet = this;
    for (const element of path) {
      let next = node.children.get(element);
      if (next === undefined) {
        next = new FieldSet();
        node.children.set(element, next);
      }
      node = next;
    }
    node.member = true;
  }

  get isEmpty(): boolean {
    return !this.member && [...this.children.values()].every((child) => child.isEmpty);
  }

  union(other: FieldSet): FieldSet {
    const result = new FieldSet();
    result.member = this.member || other.member;
    for (const [element, child] of this.children) {
      const twin = other.children.get(element);
      result.children.set(element, twin === undefined ? child : child.union(twin));
    }
    for (const [element, child] of other.children) {
      if (!this.children.has(element)) result.children.set(element, child);
    }
    return result;
  }

  intersection(other: FieldSet): FieldSet {
    const result = new FieldSet();
    result.member = this.member && other.member;
    for (const [element, child] of this.children) {
      const twin = other.children.get(element);
      if (twin !== undefined) result.keep(element, child.intersection(twin));
    }
    return result;
  }

  /** The paths that are only in the first set; removing a path keeps the paths below it. */
  difference(other: FieldSet): FieldSet {
    const result = new FieldSet();
    result.member = this.member && !other.member;
    for (const [element, child] of this.children) {
      const twin = other.children.get(element);
      result.keep(element, twin === undefined ? child : child.difference(twin));
    }
    return result;
  }

  /** What is here and neither there nor below a path that is there. */
  outside(other: FieldSet): FieldSet {
    const result = new FieldSet();
    result.member = this.member && !other.member;
    for (const [element, child] of this.children) {
      const twin = other.children.get(element);
      if (twin?.member === true) continue;
      result.keep(element, twin === undefined ? child : child.outside(twin));
    }
    return result;
  }

  /** Adds each struct field that has owned fields below it, so removing the set removes the field. */
  withNamedMembers(schema: Schema): FieldSet {
    const result = new FieldSet();
    result.member = this.member;
    for (const [element, child] of this.children) {
      const inner = child.withNamedMembers(below(schema, element));
      if (isDeclared(schema, element) && child.children.size > 0) inner.member = true;
      result.children.set(element, inner);
    }
    return result;
  }

  equals(other: FieldSet): boolean {
    return this.difference(other).isEmpty && other.difference(this).isEmpty;
  }

  /** Every path of the set; those of a level before those below it. */
  *paths(prefix: readonly string[] = []): Generator<readonly string[]> {
    const sorted = [...this.children].toSorted(([a], [b]) => (a < b ? -1 : 1));
    for (const [element, child] of sorted) if (child.member) yield [...prefix, element];
    for (const [element, child] of sorted) yield* child.paths([...prefix, element]);
  }

  private keep(element: string, child: FieldSet): void {
    if (!child.isEmpty) this.children.set(element, child);
  }
}

function below(schema: Schema, element: string): Schema {
  const resolved = resolve(schema, undefined);
  if (element.startsWith('f:')) {
    if (resolved.type !== 'map') return schema;
    return entrySchema(resolved, element.slice(2)) ?? schema;
  }
  return resolved.type === 'list' ? resolved.items : schema;
}

function isDeclared(schema: Schema, element: string): boolean {
  const resolved = resolve(schema, undefined);
  return element.startsWith('f:') && resolved.type === 'map' && resolved.fields.has(element.slice(2));
}

/** The set as `fieldsV1`. */
export function encodeFieldSet(set: FieldSet): JsonMap {
  const result: JsonMap = {};
  for (const element of [...set.children.keys()].toSorted()) {
    const child = set.children.get(element);
    if (child === undefined || child.isEmpty) continue;
    const inner = encodeFieldSet(child);
    result[element] = child.member && Object.keys(inner).length > 0 ? { '.': {}, ...inner } : inner;
  }
  return result;
}

/** The set of a `fieldsV1`. */
export function decodeFieldSet(fields: Json | undefined): FieldSet {
  const set = new FieldSet();
  if (!isMap(fields)) return set;
  const elements = Object.entries(fields);
  for (const [element, inner] of elements) {
    if (element === '.') continue;
    const child = decodeFieldSet(inner);
    child.member = !isMap(inner) || Object.keys(inner).length === 0 || Object.hasOwn(inner, '.');
    set.children.set(element, child);
  }
  return set;
}

/** A path as error messages show it: `.spec.ports[containerPort=80,protocol="TCP"].name`. */
export function showPath(path: readonly string[]): string {
  return path
    .map((element) => {
      if (element.startsWith('f:')) return `.${element.slice(2)}`;
      if (element.startsWith('v:')) return `[=${element.slice(2)}]`;
      if (!element.startsWith('k:')) return `[${element}]`;
      const keys: Record<string, Json> = JSON.parse(element.slice(2));
      return `[${Object.entries(keys)
        .map(([key, value]) => `${key}=${JSON.stringify(value)}`)
        .join(',')}]`;
    })
    .join('');
}
