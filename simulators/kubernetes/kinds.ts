import { asList, asMap, asText, at, type JsonMap, sameJson } from './json.ts';
import { emptyBuiltIn, withDefaults } from './normalize.ts';
import { asObject, finalizersOf, type KubeObject, withMetadata } from './object.ts';
import type { Resource } from './resources.ts';
import { schemaOf } from './schema.ts';

/** What the server itself adds to a new object, beyond defaults: never owned by the client that creates it. */
export function completeNew(resource: Resource, object: KubeObject, serial: number): KubeObject {
  const fresh = resource.status ? { ...object, status: initialStatus(resource, object) } : object;
  switch (resource.kind) {
    case 'Namespace':
      return { ...fresh, spec: { finalizers: ['kubernetes'] } };
    case 'Service':
      return { ...fresh, spec: withClusterAddress(asMap(fresh.spec), serial) };
    case 'Pod': {
      const account = asText(at(fresh, 'spec', 'serviceAccountName')) || 'default';
      return {
        ...fresh,
        spec: { ...asMap(fresh.spec), serviceAccountName: account, serviceAccount: account },
      };
    }
    case 'PersistentVolumeClaim':
      return withMetadata(fresh, {
        finalizers: [...new Set([...finalizersOf(fresh), 'kubernetes.io/pvc-protection'])],
      });
    default:
      if (!resource.custom) return fresh;
      return asObject(withDefaults(schemaOf(resource.schema), withoutEmptyStatus(fresh)));
  }
}

const withoutEmptyStatus = (object: KubeObject): KubeObject => {
  const { status, ...rest } = object;
  return sameJson(status, {})
    ? { ...rest, apiVersion: object.apiVersion, kind: object.kind, metadata: object.metadata }
    : object;
};

function initialStatus(resource: Resource, object: KubeObject): JsonMap {
  switch (resource.kind) {
    case 'Namespace':
      return { phase: 'Active' };
    case 'Pod':
      return { phase: 'Pending', qosClass: qosClass(object) };
    case 'PersistentVolumeClaim':
      return { phase: 'Pending' };
    default:
      return resource.custom ? {} : asMap(emptyBuiltIn(schemaOf(resource.schema)).status);
  }
}

function qosClass(pod: KubeObject): string {
  const containers = [...asList(at(pod, 'spec', 'containers')), ...asList(at(pod, 'spec', 'initContainers'))];
  const amounts = containers.map((one) => ({
    limits: asMap(at(one, 'resources', 'limits')),
    requests: asMap(at(one, 'resources', 'requests')),
  }));
  if (amounts.every(({ limits, requests }) => Object.keys({ ...limits, ...requests }).length === 0))
    return 'BestEffort';
  const guaranteed = amounts.every(({ limits, requests }) =>
    ['cpu', 'memory'].every((name) => limits[name] !== undefined && sameJson(limits[name], requests[name])),
  );
  return guaranteed ? 'Guaranteed' : 'Burstable';
}

function withClusterAddress(spec: JsonMap, serial: number): JsonMap {
  if (spec.type === 'ExternalName') return spec;
  const address = asText(spec.clusterIP) || `10.96.${Math.floor(serial / 254) % 256}.${(serial % 254) + 1}`;
  return {
    ...spec,
    clusterIP: address,
    clusterIPs: spec.clusterIPs ?? [address],
    ipFamilies: spec.ipFamilies ?? ['IPv4'],
    ipFamilyPolicy: spec.ipFamilyPolicy ?? 'SingleStack',
  };
}

/** Fields that the server chose at creation stay when an update leaves them out. */
export function keepAssigned(resource: Resource, object: KubeObject, live: KubeObject): KubeObject {
  if (resource.kind === 'Service') {
    const [spec, old] = [asMap(object.spec), asMap(live.spec)];
    const kept = ['clusterIP', 'clusterIPs', 'ipFamilies', 'ipFamilyPolicy'].flatMap((field) => {
      const value = spec[field] ?? old[field];
      return value === undefined ? [] : [[field, value] as const];
    });
    return { ...object, spec: { ...spec, ...Object.fromEntries(kept) } };
  }
  if (resource.kind === 'Namespace') return { ...object, spec: live.spec ?? {} };
  return object;
}

/** Whether the desired state changed: everything but metadata and status; for Deployments annotations count too. */
export function asksForChange(resource: Resource, object: KubeObject, live: KubeObject): boolean {
  const asked = (one: KubeObject): JsonMap => ({
    ...one,
    metadata: resource.kind === 'Deployment' ? { annotations: asMap(one.metadata.annotations) } : {},
    status: null,
  });
  return !sameJson(asked(object), asked(live));
}

/** Kinds whose deletion is answered with the object; for all others it is a Status. */
export const ANSWERED_WHEN_DELETED: readonly string[] = [
  'Namespace',
  'PersistentVolumeClaim',
  'Pod',
  'Service',
  'ServiceAccount',
];
