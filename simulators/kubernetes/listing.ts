import { asMap, asText, type Json, type JsonMap, parseJson } from './json.ts';
import { type KubeObject, nameOf, namespaceOf } from './object.ts';
import type { Registry } from './registry.ts';
import type { Target } from './request.ts';
import { groupVersionOf, type Resource } from './resources.ts';
import { selectorOf } from './selectors.ts';
import { ApiError, badRequest, expired } from './status.ts';

export interface Listed {
  readonly items: readonly KubeObject[];
  readonly metadata: JsonMap;
}

const keyOf = (object: KubeObject): string => `${namespaceOf(object)}/${nameOf(object)}`;

/**
 * Lists a collection. Pages that follow each other show the state of the first one, so nothing is seen twice or
 * missed; 410 once the changes since then are forgotten.
 */
export function list(registry: Registry, target: Target, query: URLSearchParams): Listed {
  const matches = selectorOf(query, target.resource.kind);
  const limit = Number(query.get('limit') ?? 0);
  const token = readToken(query.get('continue') ?? '');
  const asked = Number(query.get('resourceVersion') ?? 0);
  if (Number.isNaN(asked)) {
    throw badRequest(
      `resourceVersion: Invalid value: "${query.get('resourceVersion')}": strconv.ParseUint: parsing: invalid syntax`,
    );
  }
  if (asked > registry.version) throw tooLarge(asked, registry.version);
  const exact = query.get('resourceVersionMatch') === 'Exact' ? asked : undefined;
  const version = token?.version ?? exact ?? registry.version;
  const all = stateAt(registry, target, version).filter(matches);
  const rest = token === undefined ? all : all.filter((object) => keyOf(object) > token.after);
  const items = limit > 0 ? rest.slice(0, limit) : rest;
  const last = items.at(-1);
  const left = rest.length - items.length;
  const selected = (query.get('labelSelector') ?? query.get('fieldSelector') ?? '') !== '';
  return {
    items,
    metadata: {
      resourceVersion: String(version),
      ...(left > 0 && last !== undefined ? { continue: writeToken({ version, after: keyOf(last) }) } : {}),
      ...(left > 0 && !selected ? { remainingItemCount: left } : {}),
    },
  };
}

/** The body of a list; built-in items do not repeat their kind, as on the real server. */
export function listBody(resource: Resource, listed: Listed): JsonMap {
  const items: Json[] = listed.items.map((object) => {
    if (resource.custom) return object;
    const { apiVersion: _apiVersion, kind: _kind, ...rest } = object;
    return rest;
  });
  return {
    kind: `${resource.kind}List`,
    apiVersion: groupVersionOf(resource),
    metadata: listed.metadata,
    items,
  };
}

function stateAt(registry: Registry, target: Target, version: number): KubeObject[] {
  const now = registry.list(target.resource, target.namespace);
  if (version === registry.version) return now;
  const changes = registry.changesAfter(version);
  if (changes === undefined) {
    throw expired(
      'The provided continue parameter is too old to display a consistent list result. You can start a new list without the continue parameter.',
    );
  }
  const objects = new Map(now.map((object) => [keyOf(object), object]));
  for (const change of changes.toReversed()) {
    if (change.resource.kind !== target.resource.kind) continue;
    const key = keyOf(change.object);
    if (target.namespace !== '' && namespaceOf(change.object) !== target.namespace) continue;
    if (change.previous === undefined) objects.delete(key);
    else objects.set(key, change.previous);
  }
  return [...objects].toSorted(([a], [b]) => (a < b ? -1 : 1)).map(([, object]) => object);
}

interface Token {
  readonly version: number;
  readonly after: string;
}

const writeToken = (token: Token): string =>
  Buffer.from(JSON.stringify({ v: token.version, after: token.after })).toString('base64url');

function readToken(text: string): Token | undefined {
  if (text === '') return undefined;
  try {
    const token = asMap(parseJson(Buffer.from(text, 'base64url').toString()));
    return { version: Number(token.v), after: asText(token.after) };
  } catch {
    throw badRequest('invalid continue token: continue key is not valid');
  }
}

const tooLarge = (asked: number, current: number): ApiError =>
  new ApiError(504, 'Timeout', `Timeout: Too large resource version: ${asked}, current: ${current}`, {
    causes: [{ reason: 'ResourceVersionTooLarge', message: 'Too large resource version', field: '' }],
    retryAfterSeconds: 1,
  });
