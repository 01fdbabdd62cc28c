import { type KindName, kinds } from '../model/kinds.ts';
import type { ObjectRef } from '../ports/cluster.ts';

/** The path of each kind in the API. */
const resources: Readonly<Record<KindName, { readonly plural: string; readonly scope?: 'cluster' }>> = {
  namespace: { plural: 'namespaces', scope: 'cluster' },
  serviceAccount: { plural: 'serviceaccounts' },
  configMap: { plural: 'configmaps' },
  secret: { plural: 'secrets' },
  pod: { plural: 'pods' },
  event: { plural: 'events' },
  resourceQuota: { plural: 'resourcequotas' },
  volumeClaim: { plural: 'persistentvolumeclaims' },
  service: { plural: 'services' },
  deployment: { plural: 'deployments' },
  statefulSet: { plural: 'statefulsets' },
  networkPolicy: { plural: 'networkpolicies' },
  fqdnNetworkPolicy: { plural: 'fqdnnetworkpolicies' },
  helmRelease: { plural: 'helmreleases' },
};

const isKindName = (name: string): name is KindName => Object.hasOwn(kinds, name);

const resourceByKind = new Map(
  Object.keys(resources)
    .filter(isKindName)
    .map((name) => [`${kinds[name].apiVersion}/${kinds[name].kind}`, resources[name]]),
);

/** The path of a kind in the API. Throws TypeError for a kind that is not in the table. */
export const pathOf = (ref: { apiVersion: string; kind: string; namespace?: string | undefined }) => {
  const kind = resourceByKind.get(`${ref.apiVersion}/${ref.kind}`);
  if (kind === undefined) throw new TypeError(`${ref.apiVersion} ${ref.kind} is not a supported kind`);
  const [version = '', group = ''] = ref.apiVersion.split('/').reverse();
  const namespace = kind.scope === 'cluster' ? undefined : ref.namespace;
  return { type: { group, version, plural: kind.plural }, namespace, scope: kind.scope };
};

/** The path of an object in the API. Throws TypeError for an invalid name. */
export const objectPathOf = (ref: ObjectRef) => {
  const path = pathOf(ref);
  if (path.scope !== 'cluster' && path.namespace === undefined) {
    throw new TypeError(`${ref.kind} ${ref.name} needs a namespace`);
  }
  for (const part of [ref.name, path.namespace ?? 'none']) {
    if (!/^[a-z0-9]([a-z0-9.-]*[a-z0-9])?$/.test(part)) throw new TypeError(`"${part}" cannot be a name`);
  }
  return { object: { ...path.type, name: ref.name }, namespace: path.namespace };
};
