import type { ObjectRef } from '../ports/cluster.ts';

/** Every kind that is read or written, by `<apiVersion>/<kind>`, and where the API server keeps it. */
const kinds: Readonly<Record<string, { readonly plural: string; readonly scope?: 'cluster' }>> = {
  'v1/Namespace': { plural: 'namespaces', scope: 'cluster' },
  'v1/ServiceAccount': { plural: 'serviceaccounts' },
  'v1/ConfigMap': { plural: 'configmaps' },
  'v1/Secret': { plural: 'secrets' },
  'v1/Pod': { plural: 'pods' },
  'v1/Event': { plural: 'events' },
  'v1/PersistentVolumeClaim': { plural: 'persistentvolumeclaims' },
  'v1/Service': { plural: 'services' },
  'apps/v1/Deployment': { plural: 'deployments' },
  'apps/v1/StatefulSet': { plural: 'statefulsets' },
  'networking.k8s.io/v1/NetworkPolicy': { plural: 'networkpolicies' },
  'networking.gke.io/v1alpha1/FQDNNetworkPolicy': { plural: 'fqdnnetworkpolicies' },
  'helm.toolkit.fluxcd.io/v2/HelmRelease': { plural: 'helmreleases' },
};

/** Where the API server keeps a kind. Throws TypeError for a kind that is not in the table. */
export const pathOf = (ref: { apiVersion: string; kind: string; namespace?: string | undefined }) => {
  const kind = kinds[`${ref.apiVersion}/${ref.kind}`];
  if (kind === undefined) throw new TypeError(`${ref.apiVersion} ${ref.kind} is not a kind that we use`);
  const [version = '', group = ''] = ref.apiVersion.split('/').reverse();
  const namespace = kind.scope === 'cluster' ? undefined : ref.namespace;
  return { type: { group, version, plural: kind.plural }, namespace, scope: kind.scope };
};

/** Where the API server keeps an object. Throws TypeError for what cannot be a name. */
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
