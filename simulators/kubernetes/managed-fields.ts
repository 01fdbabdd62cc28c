import { decodeFieldSet, encodeFieldSet, FieldSet, showPath } from './field-set.ts';
import { asList, asMap, asText, isMap, type Json, type JsonMap, sameJson } from './json.ts';
import { asObject, type KubeObject, uidOf, withMetadata } from './object.ts';
import type { Schema } from './schema.ts';
import { ApiError, type Cause } from './status.ts';
import { compare, fieldSetOf, merge, remove } from './structured-merge.ts';

/** The writer, and the subresource it writes through. */
export interface Writer {
  readonly manager: string;
  readonly apiVersion: string;
  readonly subresource: string;
  /** Fields that are not written through this subresource and so never owned through it, such as status without one. */
  readonly ignored: FieldSet;
}

interface Owner {
  readonly manager: string;
  readonly operation: string;
  readonly apiVersion: string;
  readonly subresource: string;
  readonly time: string;
  readonly fields: FieldSet;
}

type Owners = Map<string, Owner>;

const APPLY = 'Apply';
const UPDATE = 'Update';
const MOST_UPDATERS = 10;

/** Identity of an entry: an applier is the same whatever version it applies. */
const idOf = (owner: Pick<Owner, 'manager' | 'operation' | 'apiVersion' | 'subresource'>): string =>
  JSON.stringify([
    owner.manager,
    owner.operation,
    owner.operation === APPLY ? '' : owner.apiVersion,
    owner.subresource,
  ]);

/** Never owned: the identity of an object and what the server sets. */
const NEVER_OWNED = FieldSet.of(
  ['f:apiVersion'],
  ['f:kind'],
  ['f:metadata'],
  ...[
    'name',
    'namespace',
    'creationTimestamp',
    'selfLink',
    'uid',
    'clusterName',
    'generation',
    'managedFields',
    'resourceVersion',
  ].map((field) => ['f:metadata', `f:${field}`]),
);

function ownersIn(managedFields: Json | undefined): Owners {
  const owners: Owners = new Map();
  for (const entry of asList(managedFields).filter(isMap)) {
    const owner = {
      manager: asText(entry.manager),
      operation: asText(entry.operation),
      apiVersion: asText(entry.apiVersion),
      subresource: asText(entry.subresource),
      time: asText(entry.time),
      fields: decodeFieldSet(entry.fieldsV1),
    };
    owners.set(idOf(owner), owner);
  }
  return owners;
}

function entriesOf(owners: Owners): JsonMap[] {
  return [...owners.values()].toSorted(byEntryOrder).map((owner) => ({
    manager: owner.manager,
    operation: owner.operation,
    apiVersion: owner.apiVersion,
    ...(owner.time === '' ? {} : { time: owner.time }),
    fieldsType: 'FieldsV1',
    fieldsV1: encodeFieldSet(owner.fields),
    ...(owner.subresource === '' ? {} : { subresource: owner.subresource }),
  }));
}

function byEntryOrder(a: Owner, b: Owner): number {
  const keys: (keyof Owner & ('operation' | 'time' | 'manager' | 'apiVersion' | 'subresource'))[] = [
    'operation',
    'time',
    'manager',
    'apiVersion',
    'subresource',
  ];
  for (const key of keys) if (a[key] !== b[key]) return a[key] < b[key] ? -1 : 1;
  return 0;
}

const withOwners = (object: KubeObject, owners: Owners): KubeObject =>
  withMetadata(object, { managedFields: owners.size === 0 ? undefined : entriesOf(owners) });

const bare = (object: KubeObject): KubeObject => withMetadata(object, { managedFields: undefined });

/**
 * Records a create, an update or a patch other than apply: the writer owns what it changed, every manager loses what
 * it removed or changed. `live` is undefined when the object is created.
 *
 * managedFields in `next` replace the live ones, `[]` or `[{}]` forgets them all, none keeps the live ones.
 */
export function recordUpdate(
  schema: Schema,
  live: KubeObject | undefined,
  next: KubeObject,
  writer: Writer,
  now: string,
): KubeObject {
  const sent = asList(next.metadata.managedFields);
  const forget =
    Array.isArray(next.metadata.managedFields) &&
    (sent.length === 0 || (sent.length === 1 && sameJson(sent[0] ?? null, {})));
  const takeSent = !forget && sent.length > 0 && writer.subresource === '';
  const owners = forget
    ? new Map()
    : ownersIn(takeSent ? next.metadata.managedFields : live?.metadata.managedFields);
  // Objects whose ownership was never recorded, or was deliberately forgotten, are not tracked by updates.
  if (owners.size === 0 && live !== undefined && uidOf(live) !== '') return bare(next);
  return withOwners(bare(next), afterUpdate(schema, live, bare(next), owners, writer, now));
}

function afterUpdate(
  schema: Schema,
  live: KubeObject | undefined,
  next: KubeObject,
  before: Owners,
  writer: Writer,
  now: string,
): Owners {
  const empty = asObject({ apiVersion: next.apiVersion, kind: next.kind, metadata: {} });
  const change = compare(schema, live === undefined ? empty : bare(live), next);
  const owners = dispossess(before, undefined, change, writer, true);
  const taken = change.modified.union(change.added).outside(writer.ignored).difference(NEVER_OWNED);
  if (taken.isEmpty) return owners;
  const self = { ...writer, operation: UPDATE };
  const id = idOf(self);
  const previous = owners.get(id)?.fields;
  owners.set(id, {
    manager: writer.manager,
    operation: UPDATE,
    apiVersion: writer.apiVersion,
    subresource: writer.subresource,
    time: now,
    fields: previous === undefined ? taken : taken.union(previous),
  });
  return capped(owners);
}

/** Takes from all owners but `self` what was changed or removed; throws the conflicts unless forced. */
function dispossess(
  before: Owners,
  self: string | undefined,
  change: ReturnType<typeof compare>,
  writer: Writer,
  force: boolean,
): Owners {
  const touched = change.modified.union(change.added).outside(writer.ignored);
  const removed = change.removed.outside(writer.ignored);
  const owners: Owners = new Map();
  const conflicts: [Owner, FieldSet][] = [];
  for (const [id, owner] of before) {
    if (id === self) {
      owners.set(id, owner);
      continue;
    }
    const lost = owner.fields.intersection(touched);
    if (!lost.isEmpty) conflicts.push([owner, lost]);
    const fields = owner.fields.difference(lost).difference(removed);
    if (!fields.isEmpty) owners.set(id, { ...owner, fields });
  }
  if (!force && conflicts.length > 0) throw conflictError(conflicts);
  const own = self === undefined ? undefined : owners.get(self);
  if (self !== undefined && own?.fields.isEmpty === true) owners.delete(self);
  return owners;
}

function conflictError(conflicts: readonly [Owner, FieldSet][]): ApiError {
  const causes: Cause[] = [];
  const sorted = conflicts.toSorted(([a], [b]) => (describeOwner(a) < describeOwner(b) ? -1 : 1));
  for (const [owner, fields] of sorted) {
    for (const path of fields.paths()) {
      causes.push({
        reason: 'FieldManagerConflict',
        message: `conflict with ${describeOwner(owner)}`,
        field: showPath(path),
      });
    }
  }
  const byMessage = Map.groupBy(causes, (cause) => cause.message);
  const [first] = byMessage.keys();
  const summary =
    byMessage.size === 1 && causes.length === 1
      ? `${first}: ${causes[0]?.field}`
      : [...byMessage]
          .map(
            ([message, same]) =>
              `${message.replace('conflict ', 'conflicts ')}:\n${same.map((cause) => `- ${cause.field}`).join('\n')}`,
          )
          .join('\n');
  const noun = causes.length === 1 ? 'conflict' : 'conflicts';
  return new ApiError(409, 'Conflict', `Apply failed with ${causes.length} ${noun}: ${summary}`, { causes });
}

function describeOwner(owner: Owner): string {
  const door = owner.subresource === '' ? '' : ` with subresource "${owner.subresource}"`;
  const using = owner.operation === UPDATE ? ` using ${owner.apiVersion}` : '';
  return `"${owner.manager}"${door}${using}`;
}

/** Keeps at most ten updaters; older ones are merged, as the real server does. */
function capped(owners: Owners): Owners {
  const updaters = [...owners].filter(([, owner]) => owner.operation === UPDATE);
  if (updaters.length <= MOST_UPDATERS) return owners;
  const oldest = updaters
    .toSorted(([, a], [, b]) => byEntryOrder(a, b))
    .slice(0, updaters.length - MOST_UPDATERS + 1);
  const result: Owners = new Map(owners);
  for (const [id, owner] of oldest) {
    result.delete(id);
    const bucket = { ...owner, manager: 'ancient-changes' };
    const known = result.get(idOf(bucket));
    result.set(
      idOf(bucket),
      known === undefined ? bucket : { ...bucket, fields: bucket.fields.union(known.fields) },
    );
  }
  return result;
}

/**
 * Server-side apply: merges what is applied into the live object, removes what this applier applied before and
 * no other manager owns, and records ownership. Throws 409 with one cause per field that another manager owns with
 * another value, unless forced. The result is the live object itself when nothing but ownership changed.
 */
export function apply(
  schema: Schema,
  live: KubeObject | undefined,
  applied: KubeObject,
  writer: Writer,
  force: boolean,
  now: string,
): KubeObject {
  const empty = asObject({ apiVersion: applied.apiVersion, kind: applied.kind, metadata: {} });
  const base = live === undefined ? empty : bare(live);
  let owners = ownersIn(live?.metadata.managedFields);
  if (owners.size === 0 && live !== undefined) {
    owners = afterUpdate(schema, undefined, base, owners, { ...writer, manager: 'before-first-apply' }, now);
  }
  const self = { ...writer, operation: APPLY };
  const id = idOf(self);
  const last = owners.get(id);
  const fields = fieldSetOf(schema, applied).outside(writer.ignored);
  const claimed: Owner = {
    manager: writer.manager,
    operation: APPLY,
    apiVersion: writer.apiVersion,
    subresource: writer.subresource,
    time: last?.time ?? '',
    fields,
  };
  owners.set(id, claimed);
  const merged = merge(schema, base, applied) ?? base;
  const next = asObject(last === undefined ? merged : prune(schema, merged, last.fields, owners));
  const change = compare(schema, base, next);
  const after = dispossess(owners, id, change, writer, force);
  const own = after.get(id);
  const changed = !sameJson(base, next);
  if (own !== undefined) {
    const kept = own.fields.difference(NEVER_OWNED);
    if (kept.isEmpty) after.delete(id);
    else after.set(id, { ...own, fields: kept, time: changed ? now : own.time });
  }
  return withOwners(next, after);
}

/** Removes the fields that were applied last time, are not applied now and have no other owner. */
function prune(schema: Schema, merged: Json, last: FieldSet, owners: Owners): Json {
  const owned = [...owners.values()]
    .reduce((all, owner) => all.union(owner.fields), new FieldSet())
    .withNamedMembers(schema);
  const lastNamed = last.withNamedMembers(schema);
  const mergedSet = fieldSetOf(schema, merged).withNamedMembers(schema);
  const setOf = (value: Json | undefined): FieldSet =>
    value === undefined ? new FieldSet() : fieldSetOf(schema, value).withNamedMembers(schema);

  const stripped = remove(schema, merged, lastNamed);
  const restored = remove(schema, merged, mergedSet.difference(setOf(stripped).union(owned)));
  const dangling = mergedSet.difference(setOf(restored)).intersection(lastNamed);
  return remove(schema, merged, dangling) ?? asMap(undefined);
}
