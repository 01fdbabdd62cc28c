import type { JsonMap } from './json.ts';
import { groupVersionOf, type Resource } from './resources.ts';

const VERBS = ['create', 'delete', 'deletecollection', 'get', 'list', 'patch', 'update', 'watch'];
const SUBRESOURCE_VERBS = ['get', 'patch', 'update'];

/** What is served below an object, with the kind that is read and written there. */
const subresourcesOf = ({ scale, status, group, version, kind }: Resource) => [
  ...(scale ? [{ subresource: 'scale', group: 'autoscaling', version: 'v1', kind: 'Scale' }] : []),
  ...(status ? [{ subresource: 'status', group, version, kind }] : []),
];

const withSubresources = (resource: Resource): JsonMap => {
  const subresources = subresourcesOf(resource).map(({ subresource, group, version, kind }) => ({
    subresource,
    responseKind: { group, version, kind },
    verbs: SUBRESOURCE_VERBS,
  }));
  return subresources.length === 0 ? {} : { subresources };
};

export const VERSION: JsonMap = {
  major: '1',
  minor: '34',
  gitVersion: 'v1.34.4+simulated',
  gitCommit: '',
  gitTreeState: 'clean',
  buildDate: '2026-01-01T00:00:00Z',
  goVersion: 'none',
  compiler: 'none',
  platform: 'linux/amd64',
};

const groupsOf = (resources: readonly Resource[]): Map<string, Resource[]> =>
  Map.groupBy(
    resources.filter((resource) => resource.group !== ''),
    (resource) => resource.group,
  );

/** /api */
export const apiVersions = (): JsonMap => ({
  kind: 'APIVersions',
  versions: ['v1'],
  serverAddressByClientCIDRs: [],
});

function groupOf(name: string, resources: readonly Resource[]): JsonMap {
  const versions = [...new Set(resources.map(groupVersionOf))].map((groupVersion) => ({
    groupVersion,
    version: groupVersion.split('/')[1] ?? '',
  }));
  return { name, versions, preferredVersion: versions[0] ?? {} };
}

/** /apis */
export const apiGroups = (resources: readonly Resource[]): JsonMap => ({
  kind: 'APIGroupList',
  apiVersion: 'v1',
  groups: [...groupsOf(resources)].map(([name, members]) => groupOf(name, members)),
});

/** /apis/<group>; undefined for a group that is not served. */
export function apiGroup(resources: readonly Resource[], name: string): JsonMap | undefined {
  const members = groupsOf(resources).get(name);
  return members === undefined
    ? undefined
    : { kind: 'APIGroup', apiVersion: 'v1', ...groupOf(name, members) };
}

/** /api/v1 and /apis/<group>/<version>; undefined for a version that is not served. */
export function apiResources(resources: readonly Resource[], groupVersion: string): JsonMap | undefined {
  const members = resources.filter((resource) => groupVersionOf(resource) === groupVersion);
  if (members.length === 0) return undefined;
  return {
    kind: 'APIResourceList',
    apiVersion: 'v1',
    groupVersion,
    resources: members.flatMap((resource) => [
      {
        name: resource.plural,
        singularName: resource.singular,
        namespaced: resource.namespaced,
        kind: resource.kind,
        verbs: VERBS,
        ...(resource.shortNames.length === 0 ? {} : { shortNames: [...resource.shortNames] }),
        ...(resource.categories.length === 0 ? {} : { categories: [...resource.categories] }),
      },
      ...subresourcesOf(resource).map(({ subresource, group, version, kind }) => ({
        name: `${resource.plural}/${subresource}`,
        singularName: '',
        namespaced: resource.namespaced,
        ...(subresource === 'status' ? {} : { group, version }),
        kind,
        verbs: SUBRESOURCE_VERBS,
      })),
    ]),
  };
}

/** /api and /apis for clients that ask for everything at once. */
export function aggregated(resources: readonly Resource[], core: boolean): JsonMap {
  const groups = core
    ? new Map([['', resources.filter((resource) => resource.group === '')]])
    : groupsOf(resources);
  return {
    kind: 'APIGroupDiscoveryList',
    apiVersion: 'apidiscovery.k8s.io/v2',
    metadata: {},
    items: [...groups].map(([name, members]) => ({
      metadata: name === '' ? {} : { name },
      versions: [...Map.groupBy(members, (resource) => resource.version)].map(([version, ofVersion]) => ({
        version,
        freshness: 'Current',
        resources: ofVersion.map((resource) => ({
          resource: resource.plural,
          responseKind: { group: resource.group, version: resource.version, kind: resource.kind },
          scope: resource.namespaced ? 'Namespaced' : 'Cluster',
          singularResource: resource.singular,
          verbs: VERBS,
          ...(resource.shortNames.length === 0 ? {} : { shortNames: [...resource.shortNames] }),
          ...(resource.categories.length === 0 ? {} : { categories: [...resource.categories] }),
          ...withSubresources(resource),
        })),
      })),
    })),
  };
}

const pathOfVersion = (groupVersion: string): string =>
  groupVersion.includes('/') ? `apis/${groupVersion}` : `api/${groupVersion}`;

/** /openapi/v3: the index, with the documents kubectl looks into before it lets the server validate. */
export const openApiIndex = (resources: readonly Resource[]): JsonMap => ({
  paths: Object.fromEntries(
    [...new Set(resources.map(groupVersionOf))].map((groupVersion) => [
      pathOfVersion(groupVersion),
      { serverRelativeURL: `/openapi/v3/${pathOfVersion(groupVersion)}` },
    ]),
  ),
});

/** One document of /openapi/v3: that each kind can be written, and takes fieldValidation. No schemas. */
export function openApiDocument(resources: readonly Resource[], groupVersion: string): JsonMap | undefined {
  const members = resources.filter((resource) => groupVersionOf(resource) === groupVersion);
  if (members.length === 0) return undefined;
  const parameters = ['dryRun', 'fieldManager', 'fieldValidation'].map((name) => ({
    name,
    in: 'query',
    schema: { type: 'string' },
  }));
  const paths: JsonMap = {};
  for (const resource of members) {
    const operation = {
      parameters,
      responses: {},
      'x-kubernetes-group-version-kind': {
        group: resource.group,
        version: resource.version,
        kind: resource.kind,
      },
    };
    const base = `/${pathOfVersion(groupVersion)}${resource.namespaced ? '/namespaces/{namespace}' : ''}/${resource.plural}`;
    paths[base] = { post: operation };
    paths[`${base}/{name}`] = {
      put: operation,
      patch: {
        ...operation,
        parameters: [...parameters, { name: 'force', in: 'query', schema: { type: 'boolean' } }],
      },
    };
  }
  return {
    openapi: '3.0.0',
    info: { title: 'Kubernetes', version: String(VERSION.gitVersion) },
    paths,
    components: { schemas: {} },
  };
}
