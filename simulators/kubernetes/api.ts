import {
  aggregated,
  apiGroup,
  apiGroups,
  apiResources,
  apiVersions,
  openApiDocument,
  openApiIndex,
  VERSION,
} from './discovery.ts';
import { asMap, asText, type JsonMap, parseJson } from './json.ts';
import { list, listBody } from './listing.ts';
import { asObject, type KubeObject, nameOf, namespaceOf } from './object.ts';
import type { Objects, WriteOptions, Written } from './objects.ts';
import type { Registry } from './registry.ts';
import {
  type ApiRequest,
  type ApiResponse,
  subjectOf,
  type Target,
  targetOf,
  type Watching,
} from './request.ts';
import type { Resource } from './resources.ts';
import { scaleOf, writeScale } from './scale.ts';
import { ApiError, badRequest, invalid, methodNotAllowed, noSuchPath, requiredValue } from './status.ts';
import { tableOf } from './table.ts';
import { watch } from './watch.ts';

/** Answers requests; every refusal is an answer too. */
export class Api {
  readonly #registry: Registry;
  readonly #objects: Objects;
  readonly #resources: readonly Resource[];
  readonly #now: () => number;

  constructor(deps: {
    registry: Registry;
    objects: Objects;
    resources: readonly Resource[];
    now: () => number;
  }) {
    this.#registry = deps.registry;
    this.#objects = deps.objects;
    this.#resources = deps.resources;
    this.#now = deps.now;
  }

  async handle(request: ApiRequest): Promise<ApiResponse> {
    try {
      return this.#describe(request) ?? (await this.#act(request));
    } catch (error) {
      if (error instanceof ApiError) return { status: error.code, body: error.body };
      throw error;
    }
  }

  /** Discovery, version and health. */
  #describe(request: ApiRequest): ApiResponse | undefined {
    if (request.method !== 'GET') return undefined;
    const path = request.path.replace(/\/$/, '');
    const everything = request.accept.includes('as=APIGroupDiscoveryList');
    if (path === '/version') return { status: 200, body: VERSION };
    if (['/healthz', '/livez', '/readyz'].includes(path))
      return { status: 200, body: 'ok', contentType: 'text/plain' };
    if ((path === '/api' || path === '/apis') && everything) {
      return {
        status: 200,
        body: aggregated(this.#resources, path === '/api'),
        contentType: 'application/json;g=apidiscovery.k8s.io;v=v2;as=APIGroupDiscoveryList',
      };
    }
    if (path === '/openapi/v3') return { status: 200, body: openApiIndex(this.#resources) };
    const body = this.#description(path);
    return body === undefined ? undefined : { status: 200, body };
  }

  #description(path: string): JsonMap | undefined {
    if (path === '/api') return apiVersions();
    if (path === '/apis') return apiGroups(this.#resources);
    const document = /^\/openapi\/v3\/(?:api|apis)\/(.+)$/.exec(path);
    if (document !== null) return openApiDocument(this.#resources, document[1] ?? '');
    const [, root, ...rest] = path.split('/');
    if (root === 'api' && rest.length === 1) return apiResources(this.#resources, rest[0] ?? '');
    if (root === 'apis' && rest.length === 1) return apiGroup(this.#resources, rest[0] ?? '');
    if (root === 'apis' && rest.length === 2) return apiResources(this.#resources, rest.join('/'));
    return undefined;
  }

  async #act(request: ApiRequest): Promise<ApiResponse> {
    const target = targetOf(request.path, this.#resources);
    if (target === undefined) throw noSuchPath();
    checkSubresource(target, request.method);
    const { query } = request;
    switch (request.method) {
      case 'GET':
        return this.#read(target, request);
      case 'POST':
        return this.#post(target, request);
      case 'PUT':
        if (target.name === '') throw methodNotAllowed();
        if (target.subresource === 'scale')
          return answered(await writeScale(this.#objects, target, request, options(request)));
        return answered(
          await this.#objects.update(target, request.body, request.contentType, options(request)),
        );
      case 'PATCH': {
        if (target.name === '') throw methodNotAllowed();
        const force = query.get('force') === 'true';
        checkPatchOptions(request, force);
        if (target.subresource === 'scale')
          return answered(await writeScale(this.#objects, target, request, options(request)));
        return answered(
          await this.#objects.patch(target, request.body, request.contentType, options(request), force),
        );
      }
      case 'DELETE':
        return target.name === '' ? this.#deleteAll(target, request) : this.#delete(target, request);
      default:
        throw methodNotAllowed();
    }
  }

  #read(target: Target, request: ApiRequest): ApiResponse {
    const { query, accept } = request;
    const table = accept.includes('as=Table');
    const include = query.get('includeObject') ?? 'Metadata';
    if (['true', '1'].includes(query.get('watch') ?? '')) {
      const watching = watch(this.#registry, target, query);
      return {
        status: 200,
        watch: table ? asTables(watching, target.resource, include, this.#now) : watching,
      };
    }
    if (target.name !== '') {
      const object = this.#objects.get(target);
      if (target.subresource === 'scale') return { status: 200, body: scaleOf(object) };
      const { resourceVersion = '' } = object.metadata;
      return {
        status: 200,
        body: table ? tableOf(target.resource, [object], { resourceVersion }, include, this.#now()) : object,
      };
    }
    const listed = list(this.#registry, target, query);
    if (table)
      return {
        status: 200,
        body: tableOf(target.resource, listed.items, listed.metadata, include, this.#now()),
      };
    return { status: 200, body: listBody(target.resource, listed) };
  }

  async #post(target: Target, request: ApiRequest): Promise<ApiResponse> {
    if (target.resource.kind === 'Pod' && target.subresource === 'binding')
      return this.#bind(target, request);
    if (target.resource.kind === 'Pod' && target.subresource === 'eviction') {
      await this.#objects.delete(
        { ...target, subresource: '' },
        asMap(asMap(parseJson(request.body)).deleteOptions),
        request.query,
        options(request),
      );
      return {
        status: 201,
        body: { kind: 'Status', apiVersion: 'v1', metadata: {}, status: 'Success', code: 201 },
      };
    }
    if (target.name !== '' || (target.resource.namespaced && target.namespace === ''))
      throw methodNotAllowed();
    return answered(await this.#objects.create(target, request.body, request.contentType, options(request)));
  }

  /** Gives a pod its node, which only a scheduler may do. */
  async #bind(target: Target, request: ApiRequest): Promise<ApiResponse> {
    const node = asText(asMap(asMap(parseJson(request.body)).target).name);
    if (node === '') throw invalid(subjectOf(target), [requiredValue('target.name')]);
    const pod = this.#objects.get(target);
    const bound = asText(asMap(pod.spec).nodeName);
    if (bound !== '') {
      throw new ApiError(
        409,
        'Conflict',
        `Operation cannot be fulfilled on pods/binding "${target.name}": pod ${target.name} is already assigned to node "${bound}"`,
      );
    }
    this.#registry.put(target.resource, { ...pod, spec: { ...asMap(pod.spec), nodeName: node } });
    return {
      status: 201,
      body: { kind: 'Status', apiVersion: 'v1', metadata: {}, status: 'Success', code: 201 },
    };
  }

  async #delete(target: Target, request: ApiRequest): Promise<ApiResponse> {
    const body = request.body === '' ? {} : asMap(parseJson(request.body));
    return answered(await this.#objects.delete(target, body, request.query, options(request)));
  }

  async #deleteAll(target: Target, request: ApiRequest): Promise<ApiResponse> {
    if (target.resource.namespaced && target.namespace === '') throw methodNotAllowed();
    if (target.resource.kind === 'Namespace') throw methodNotAllowed();
    const body = request.body === '' ? {} : asMap(parseJson(request.body));
    const listed = list(this.#registry, target, request.query);
    for (const object of listed.items) {
      const one: Target = { ...target, name: nameOf(object), namespace: namespaceOf(object) };
      await this.#objects.delete(one, body, request.query, options(request)).catch((error: unknown) => {
        // A concurrent deletion: the object is gone either way.
        if (!(error instanceof ApiError && error.code === 404)) throw error;
      });
    }
    return { status: 200, body: listBody(target.resource, listed) };
  }
}

const answered = (written: Written): ApiResponse => written;

function options(request: ApiRequest): WriteOptions {
  const dryRun = request.query.getAll('dryRun');
  if (dryRun.some((value) => value !== 'All')) throw badRequest(`invalid dryRun: ${dryRun.join(',')}`);
  return {
    user: request.user,
    manager: request.query.get('fieldManager') || request.agent,
    dryRun: dryRun.length > 0,
    fieldValidation: request.query.get('fieldValidation') ?? 'Warn',
  };
}

function checkPatchOptions(request: ApiRequest, force: boolean): void {
  const subject = { group: 'meta.k8s.io', plural: 'PatchOptions', kind: 'PatchOptions', name: '' };
  const isApply = request.contentType.startsWith('application/apply-patch+yaml');
  if (isApply && (request.query.get('fieldManager') ?? '') === '') {
    throw invalid(subject, [requiredValue('fieldManager', 'is required for apply patch')]);
  }
  if (!isApply && force) {
    throw invalid(subject, [
      {
        reason: 'FieldValueForbidden',
        field: 'force',
        message: 'Forbidden: may not be specified for non-apply patch',
      },
    ]);
  }
}

function checkSubresource(target: Target, method: string): void {
  const { subresource, resource } = target;
  const known =
    subresource === '' ||
    (subresource === 'status' && resource.status) ||
    (subresource === 'scale' && resource.scale) ||
    (subresource === 'finalize' && resource.kind === 'Namespace') ||
    (resource.kind === 'Pod' && ['binding', 'eviction'].includes(subresource) && method === 'POST');
  if (!known) throw noSuchPath();
  if (subresource !== '' && method === 'DELETE') throw methodNotAllowed();
}

/** A watch whose objects are tables of one row, as `kubectl get -w` asks for. */
function asTables(watching: Watching, resource: Resource, include: string, now: () => number): Watching {
  return (send, end) =>
    watching((event) => {
      if (event.type === 'ERROR') return send(event);
      const object: KubeObject = asObject(event.object);
      const { resourceVersion = '' } = object.metadata;
      const objects = event.type === 'BOOKMARK' ? [] : [object];
      send({ ...event, object: tableOf(resource, objects, { resourceVersion }, include, now()) });
    }, end);
}
