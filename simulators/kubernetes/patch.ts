import { asText, isMap, type Json, type JsonMap, sameJson } from './json.ts';
import type { KubeObject } from './object.ts';
import type { Resource } from './resources.ts';
import { ANY, entrySchema, type ListSchema, resolve, type Schema, schemaOf } from './schema.ts';
import { ApiError, badRequest, unsupportedMediaType } from './status.ts';

/** RFC 7386. */
export function mergePatch(target: Json | undefined, patch: Json): Json {
  if (!isMap(patch)) return patch;
  const result: JsonMap = isMap(target) ? { ...target } : {};
  for (const [key, value] of Object.entries(patch)) {
    if (value === null) delete result[key];
    else result[key] = mergePatch(result[key], value);
  }
  return result;
}

/**
 * Kubernetes' strategic merge patch: lists with a merge key are merged item by item, others are replaced. Knows
 * the directives `$patch: delete|replace`, `$deleteFromPrimitiveList/<field>` and ignores `$setElementOrder`.
 */
export function strategicMergePatch(schema: Schema, target: Json | undefined, patch: Json): Json {
  if (!isMap(patch)) return patch;
  if (patch.$patch === 'replace') return plain(patch);
  const struct = resolve(schema, patch);
  const result: JsonMap = isMap(target) ? { ...target } : {};
  for (const [key, value] of Object.entries(patch)) {
    if (key === '$patch' || key === '$retainKeys' || key.startsWith('$setElementOrder/')) continue;
    if (key.startsWith('$deleteFromPrimitiveList/')) {
      const field = key.slice('$deleteFromPrimitiveList/'.length);
      const gone = Array.isArray(value) ? value : [];
      const current = result[field];
      if (Array.isArray(current))
        result[field] = current.filter((item) => !gone.some((one) => sameJson(one, item)));
      continue;
    }
    const inner = struct.type === 'map' ? (entrySchema(struct, key) ?? ANY) : ANY;
    if (value === null || (isMap(value) && value.$patch === 'delete')) delete result[key];
    else if (Array.isArray(value)) result[key] = mergeList(inner, result[key], value);
    else result[key] = strategicMergePatch(inner, result[key], value);
  }
  return result;
}

const plain = (patch: JsonMap): JsonMap =>
  Object.fromEntries(Object.entries(patch).filter(([key]) => !key.startsWith('$')));

function mergeList(schema: Schema, target: Json | undefined, patch: Json[]): Json[] {
  const list = resolve(schema, patch);
  if (list.type !== 'list' || list.patchKey === undefined)
    return patch.map((item) => (isMap(item) ? plain(item) : item));
  const current = Array.isArray(target) ? target : [];
  if (patch.some((item) => isMap(item) && item.$patch === 'replace')) {
    return patch.filter((item) => !isMap(item) || item.$patch !== 'replace');
  }
  return list.patchKey === '' ? union(current, patch) : mergeKeyed(list, list.patchKey, current, patch);
}

function union(current: readonly Json[], patch: readonly Json[]): Json[] {
  return [...current, ...patch.filter((item) => !current.some((one) => sameJson(one, item)))];
}

function mergeKeyed(list: ListSchema, key: string, current: readonly Json[], patch: readonly Json[]): Json[] {
  const result = [...current];
  for (const item of patch) {
    if (!isMap(item) || item[key] === undefined)
      throw badRequest(`map: ${JSON.stringify(item)} does not contain declared merge key: ${key}`);
    const index = result.findIndex((one) => isMap(one) && sameJson(one[key], item[key]));
    if (item.$patch === 'delete') {
      if (index >= 0) result.splice(index, 1);
    } else if (index < 0) result.push(strategicMergePatch(list.items, undefined, item));
    else result[index] = strategicMergePatch(list.items, result[index], item);
  }
  return result;
}

/** RFC 6902; 422 when an operation does not fit the object, as the real server answers. */
export function jsonPatch(target: Json, operations: Json): Json {
  if (!Array.isArray(operations)) throw badRequest('a JSON patch is a list of operations');
  return operations.reduce<Json>((document, operation) => {
    if (!isMap(operation)) throw badRequest('a JSON patch operation is an object');
    return applyOperation(document, operation);
  }, target);
}

const misfit = (message: string): ApiError =>
  new ApiError(
    422,
    'Invalid',
    `the server rejected our request due to an error in our request: ${message}`,
    {},
  );

function applyOperation(document: Json, operation: JsonMap): Json {
  const path = pointer(asText(operation.path));
  switch (operation.op) {
    case 'add':
      return write(document, path, operation.value ?? null, true);
    case 'replace':
      read(document, path);
      return write(document, path, operation.value ?? null, false);
    case 'remove':
      return erase(document, path);
    case 'test':
      if (!sameJson(read(document, path), operation.value ?? null)) throw misfit('testing value failed');
      return document;
    case 'copy':
      return write(document, path, read(document, pointer(asText(operation.from))), true);
    case 'move': {
      const from = pointer(asText(operation.from));
      return write(erase(document, from), path, read(document, from), true);
    }
    default:
      throw badRequest(`unexpected kind: ${JSON.stringify(operation.op)}`);
  }
}

const pointer = (text: string): string[] =>
  text
    .split('/')
    .slice(1)
    .map((part) => part.replaceAll('~1', '/').replaceAll('~0', '~'));

function read(document: Json, path: readonly string[]): Json {
  let current: Json | undefined = document;
  for (const step of path) {
    if (Array.isArray(current)) current = current[Number(step)];
    else current = isMap(current) ? current[step] : undefined;
  }
  if (current === undefined) throw misfit(`no value at /${path.join('/')}`);
  return current;
}

function write(document: Json, path: readonly string[], value: Json, insert: boolean): Json {
  const [step, ...rest] = path;
  if (step === undefined) return value;
  if (Array.isArray(document)) {
    const index = step === '-' ? document.length : Number(step);
    if (!Number.isInteger(index) || index < 0 || index > document.length)
      throw misfit(`index ${step} is out of bounds`);
    if (rest.length === 0) return document.toSpliced(index, insert ? 0 : 1, value);
    return document.with(index, write(document[index] ?? null, rest, value, insert));
  }
  if (!isMap(document)) throw misfit(`no container for ${step}`);
  if (rest.length > 0 && document[step] === undefined) throw misfit(`no value at ${step}`);
  return {
    ...document,
    [step]: rest.length === 0 ? value : write(document[step] ?? null, rest, value, insert),
  };
}

function erase(document: Json, path: readonly string[]): Json {
  const [step, ...rest] = path;
  if (step === undefined) throw misfit('the whole document cannot be removed');
  read(document, path);
  if (Array.isArray(document)) {
    const index = Number(step);
    if (rest.length === 0) return document.toSpliced(index, 1);
    return document.with(index, erase(document[index] ?? null, rest));
  }
  if (!isMap(document)) throw misfit(`no container for ${step}`);
  if (rest.length > 0) return { ...document, [step]: erase(document[step] ?? null, rest) };
  return Object.fromEntries(Object.entries(document).filter(([key]) => key !== step));
}

export function patcher(media: string, resource: Resource): (live: KubeObject, patch: Json) => Json {
  const schema: Schema = schemaOf(resource.schema);
  switch (media) {
    case 'application/merge-patch+json':
      return mergePatch;
    case 'application/json-patch+json':
      return jsonPatch;
    case 'application/strategic-merge-patch+json':
      if (resource.custom) {
        throw unsupportedMediaType(
          'the body of the request was in an unknown format - accepted media types include: application/json-patch+json, application/merge-patch+json, application/apply-patch+yaml',
        );
      }
      return (live, patch) => strategicMergePatch(schema, live, patch);
    default:
      throw unsupportedMediaType('415: Unsupported Media Type');
  }
}
