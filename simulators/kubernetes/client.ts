import type { User } from './admission.ts';
import type { Api } from './api.ts';
import { asList, asMap, asText, type Json, type JsonMap } from './json.ts';
import { asObject, type KubeObject, nameOf, namespaceOf } from './object.ts';
import { type ApiResponse, pathOf, type Target } from './request.ts';
import { groupVersionOf, type Resource } from './resources.ts';
import { ApiError } from './status.ts';

export interface Selection {
  readonly namespace?: string;
  readonly labelSelector?: string;
  readonly fieldSelector?: string;
}

export interface DeleteOptions {
  readonly propagationPolicy?: 'Background' | 'Foreground' | 'Orphan';
  readonly gracePeriodSeconds?: number;
  readonly preconditions?: { readonly uid?: string; readonly resourceVersion?: string };
}

export type PatchType = 'merge' | 'strategic' | 'json';

/**
 * A client for controllers in this process. Requests are handled as over HTTP, with admission and field
 * ownership; refusals are thrown as ApiError. Kinds are named by their plural, such as 'helmreleases'; namespace
 * is '' for kinds outside namespaces.
 */
export interface Client {
  /** undefined when there is no such object. */
  get(plural: string, namespace: string, name: string): Promise<KubeObject | undefined>;
  list(plural: string, selection?: Selection): Promise<KubeObject[]>;
  create(object: JsonMap): Promise<KubeObject>;
  update(object: JsonMap): Promise<KubeObject>;
  updateStatus(object: JsonMap): Promise<KubeObject>;
  /** Server-side apply under this client's name; with `dryRun`, only what it would make of the object. */
  apply(
    object: JsonMap,
    options?: { readonly force?: boolean; readonly subresource?: string; readonly dryRun?: boolean },
  ): Promise<KubeObject>;
  patch(
    plural: string,
    namespace: string,
    name: string,
    patch: Json,
    options?: { readonly type?: PatchType; readonly subresource?: string },
  ): Promise<KubeObject>;
  /** false when there was nothing to delete. */
  delete(plural: string, namespace: string, name: string, options?: DeleteOptions): Promise<boolean>;
  /** Assigns a pod to a node. */
  bind(namespace: string, pod: string, node: string): Promise<void>;
  /** Receives existing objects as ADDED, then every change; returns a function that stops it. */
  watch(plural: string, selection: Selection, listener: WatchListener): () => void;
}

export type WatchListener = (type: 'ADDED' | 'MODIFIED' | 'DELETED', object: KubeObject) => void;

const MEDIA: Readonly<Record<PatchType, string>> = {
  merge: 'application/merge-patch+json',
  strategic: 'application/strategic-merge-patch+json',
  json: 'application/json-patch+json',
};

/** How requests of this process reach the API; the server adds its request log there. */
export type Send = Api['handle'];

export function createClient(
  send: Send,
  resources: readonly Resource[],
  manager: string,
  user: User,
): Client {
  const resourceOf = (plural: string): Resource => {
    const found = resources.find((one) => one.plural === plural);
    if (found === undefined) throw new Error(`${plural} is not served`);
    return found;
  };
  const resourceOfObject = (object: KubeObject): Resource => {
    const found = resources.find(
      (one) => one.kind === object.kind && groupVersionOf(one) === object.apiVersion,
    );
    if (found === undefined) throw new Error(`${object.kind} of ${object.apiVersion} is not served`);
    return found;
  };
  const call = async (
    method: string,
    target: Target,
    body: Json | undefined,
    contentType = 'application/json',
    query: Record<string, string> = {},
  ): Promise<JsonMap> =>
    bodyOf(
      await send({
        via: 'process',
        method,
        path: pathOf(target),
        query: new URLSearchParams({ fieldManager: manager, ...query }),
        accept: 'application/json',
        contentType,
        body: body === undefined ? '' : JSON.stringify(body),
        user,
        agent: manager,
      }),
    );
  const targetOfObject = (sent: JsonMap, subresource = ''): Target => {
    const object = asObject(sent);
    const resource = resourceOfObject(object);
    return { resource, namespace: namespaceOf(object), name: nameOf(object), subresource };
  };
  const target = (plural: string, namespace: string, name: string, subresource = ''): Target => ({
    resource: resourceOf(plural),
    namespace,
    name,
    subresource,
  });

  return {
    get: (plural, namespace, name) =>
      missing(call('GET', target(plural, namespace, name), undefined).then(asObject)),
    list: async (plural, selection = {}) => {
      const resource = resourceOf(plural);
      const listed = await call(
        'GET',
        target(plural, selection.namespace ?? '', ''),
        undefined,
        '',
        queryOf(selection),
      );
      const envelope = { apiVersion: groupVersionOf(resource), kind: resource.kind };
      return asList(listed.items).map((item) => asObject({ ...asMap(item), ...envelope }));
    },
    create: async (object) => asObject(await call('POST', { ...targetOfObject(object), name: '' }, object)),
    update: async (object) => asObject(await call('PUT', targetOfObject(object), object)),
    updateStatus: async (object) => asObject(await call('PUT', targetOfObject(object, 'status'), object)),
    apply: async (object, options = {}) =>
      asObject(
        await call(
          'PATCH',
          targetOfObject(object, options.subresource),
          object,
          'application/apply-patch+yaml',
          {
            force: String(options.force === true),
            ...(options.dryRun === true ? { dryRun: 'All' } : {}),
          },
        ),
      ),
    patch: async (plural, namespace, name, patch, options = {}) =>
      asObject(
        await call(
          'PATCH',
          target(plural, namespace, name, options.subresource),
          patch,
          MEDIA[options.type ?? 'merge'],
        ),
      ),
    delete: async (plural, namespace, name, options = {}) => {
      const body: JsonMap = JSON.parse(JSON.stringify(options));
      return (await missing(call('DELETE', target(plural, namespace, name), body))) !== undefined;
    },
    bind: async (namespace, pod, node) => {
      await call('POST', target('pods', namespace, pod, 'binding'), { target: { name: node } });
    },
    watch: (plural, selection, listener) => {
      let stop = (): void => undefined;
      let stopped = false;
      void send({
        via: 'process',
        method: 'GET',
        path: pathOf(target(plural, selection.namespace ?? '', '')),
        query: new URLSearchParams({ ...queryOf(selection), watch: 'true' }),
        accept: 'application/json',
        contentType: '',
        body: '',
        user,
        agent: manager,
      }).then((response) => {
        if (!('watch' in response)) throw errorOf(response);
        if (stopped) return;
        stop = response.watch(
          (event) => {
            const type = asText(event.type);
            if (!stopped && (type === 'ADDED' || type === 'MODIFIED' || type === 'DELETED'))
              listener(type, asObject(event.object));
          },
          () => undefined,
        );
      });
      return () => {
        stopped = true;
        stop();
      };
    },
  };
}

function queryOf(selection: Selection): Record<string, string> {
  return {
    ...(selection.labelSelector === undefined ? {} : { labelSelector: selection.labelSelector }),
    ...(selection.fieldSelector === undefined ? {} : { fieldSelector: selection.fieldSelector }),
  };
}

function bodyOf(response: ApiResponse): JsonMap {
  if ('watch' in response) throw new Error('a watch has no body');
  if (response.status >= 400) throw errorOf(response);
  return asMap(response.body);
}

function errorOf(response: Exclude<ApiResponse, { watch: unknown }>): ApiError {
  const status = asMap(response.body);
  return new ApiError(response.status, asText(status.reason), asText(status.message));
}

async function missing<T>(result: Promise<T>): Promise<T | undefined> {
  try {
    return await result;
  } catch (error) {
    if (error instanceof ApiError && error.code === 404) return undefined;
    throw error;
  }
}
