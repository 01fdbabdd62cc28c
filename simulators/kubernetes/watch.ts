import type { JsonMap } from './json.ts';
import { type KubeObject, namespaceOf } from './object.ts';
import type { Change, Registry } from './registry.ts';
import type { Target, Watching } from './request.ts';
import { groupVersionOf } from './resources.ts';
import { selectorOf } from './selectors.ts';
import { ApiError, expired } from './status.ts';

const BOOKMARK_EVERY_MS = 60_000;

/** Watches a collection from the query's resourceVersion on; throws for a query that cannot be understood. */
export function watch(registry: Registry, target: Target, query: URLSearchParams): Watching {
  const matches = selectorOf(query, target.resource.kind);
  const since = query.get('resourceVersion') ?? '';
  const from = since === '' || since === '0' ? undefined : Number(since);
  if (Number.isNaN(from)) {
    throw new ApiError(
      500,
      '',
      `resourceVersion: Invalid value: "${since}": strconv.ParseUint: parsing "${since}": invalid syntax`,
    );
  }
  const timeout = Number(query.get('timeoutSeconds') ?? 0);
  const bookmarks = ['true', '1'].includes(query.get('allowWatchBookmarks') ?? '');
  const initial = query.get('sendInitialEvents') === 'true';
  const inside = (object: KubeObject): boolean =>
    (target.namespace === '' || namespaceOf(object) === target.namespace) &&
    (target.name === '' || object.metadata.name === target.name) &&
    matches(object);
  const bookmark = (version: number, annotations?: JsonMap): JsonMap => ({
    type: 'BOOKMARK',
    object: {
      kind: target.resource.kind,
      apiVersion: groupVersionOf(target.resource),
      metadata: { resourceVersion: String(version), ...(annotations === undefined ? {} : { annotations }) },
    },
  });

  return (send, end) => {
    const tell = (change: Change): void => {
      if (
        change.resource.plural !== target.resource.plural ||
        change.resource.group !== target.resource.group
      )
        return;
      const event = seenThrough(change, inside);
      if (event !== undefined) send(event);
    };
    const missed = from === undefined ? [] : registry.changesAfter(from);
    if (missed === undefined) {
      send({
        type: 'ERROR',
        object: expired(`too old resource version: ${since} (${registry.version})`).body,
      });
      end();
      return () => undefined;
    }
    if (from === undefined || initial) {
      for (const object of registry.list(target.resource, target.namespace)) {
        if (inside(object)) send({ type: 'ADDED', object });
      }
    } else for (const change of missed) tell(change);
    if (initial) send(bookmark(registry.version, { 'k8s.io/initial-events-end': 'true' }));

    const unsubscribe = registry.subscribe(tell);
    const heartbeat = bookmarks
      ? setInterval(() => send(bookmark(registry.version)), BOOKMARK_EVERY_MS)
      : undefined;
    const deadline = timeout > 0 ? setTimeout(() => finish(), timeout * 1000) : undefined;
    const stop = (): void => {
      unsubscribe();
      clearInterval(heartbeat);
      clearTimeout(deadline);
    };
    const finish = (): void => {
      stop();
      if (bookmarks) send(bookmark(registry.version));
      end();
    };
    return stop;
  };
}

/** A change as a watcher with a selector sees it: objects come and go as they start and stop to match. */
function seenThrough(change: Change, inside: (object: KubeObject) => boolean): JsonMap | undefined {
  const was = change.previous !== undefined && inside(change.previous);
  const is = change.type !== 'DELETED' && inside(change.object);
  if (is) return { type: was ? 'MODIFIED' : 'ADDED', object: change.object };
  if (!was || change.previous === undefined) return undefined;
  // The last state that matched, under the version at which it stopped to.
  const last: KubeObject = {
    ...change.previous,
    metadata: { ...change.previous.metadata, resourceVersion: change.object.metadata.resourceVersion ?? '' },
  };
  return { type: 'DELETED', object: change.type === 'DELETED' ? change.object : last };
}
