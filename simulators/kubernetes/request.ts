import type { User } from './admission.ts';
import type { Json, JsonMap } from './json.ts';
import { groupVersionOf, type Resource } from './resources.ts';
import type { Subject } from './status.ts';

/** A request, whether it came over HTTP or from a controller in this process. */
export interface ApiRequest {
  readonly via: 'http' | 'process';
  readonly method: string;
  readonly path: string;
  readonly query: URLSearchParams;
  readonly accept: string;
  readonly contentType: string;
  readonly body: string;
  readonly user: User;
  /** The field manager when the query names none. */
  readonly agent: string;
}

export type ApiResponse =
  | {
      readonly status: number;
      readonly body: Json;
      readonly warnings?: readonly string[];
      readonly contentType?: string;
    }
  | { readonly status: 200; readonly watch: Watching };

/** Starts sending events; returns a function that stops it. `end` is called when the server ends the stream itself. */
export type Watching = (send: (event: JsonMap) => void, end: () => void) => () => void;

/** The part of the API that a path names. */
export interface Target {
  readonly resource: Resource;
  /** '' for all namespaces, and for kinds outside namespaces. */
  readonly namespace: string;
  /** '' for the collection. */
  readonly name: string;
  readonly subresource: string;
}

const OF_NAMESPACES = ['status', 'finalize'];

/** Resolves a path below /api or /apis; undefined when it names nothing that is served. */
export function targetOf(path: string, resources: readonly Resource[]): Target | undefined {
  const parts = path.split('/').slice(1).map(decodeURIComponent);
  const [root, ...rest] = parts;
  const groupVersion = root === 'api' ? rest[0] : rest.slice(0, 2).join('/');
  let tail = rest.slice(root === 'api' ? 1 : 2);
  let namespace = '';
  const [first, second, third = ''] = tail;
  if (first === 'namespaces' && second !== undefined && third !== '' && !OF_NAMESPACES.includes(third)) {
    namespace = second;
    tail = tail.slice(2);
  }
  const [plural, name = '', subresource = '', ...beyond] = tail;
  const resource = resources.find((one) => groupVersionOf(one) === groupVersion && one.plural === plural);
  if (resource === undefined || beyond.length > 0) return undefined;
  if (namespace !== '' && !resource.namespaced) return undefined;
  if (namespace === '' && resource.namespaced && name !== '') return undefined;
  return { resource, namespace, name, subresource };
}

/** The path of a target, for requests made in this process. */
export function pathOf(target: Target): string {
  const { resource } = target;
  const parts = [
    ...(resource.group === '' ? ['api', resource.version] : ['apis', resource.group, resource.version]),
    ...(resource.namespaced && target.namespace !== '' ? ['namespaces', target.namespace] : []),
    resource.plural,
    ...(target.name === '' ? [] : [target.name]),
    ...(target.subresource === '' ? [] : [target.subresource]),
  ];
  return `/${parts.map(encodeURIComponent).join('/')}`;
}

/** The subject of an error about a target. */
export function subjectOf(target: Pick<Target, 'resource' | 'name'>, name = target.name): Subject {
  const { group, plural, kind } = target.resource;
  return { group, plural, kind, name };
}
