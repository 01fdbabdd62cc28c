/** The kinds of Kubernetes objects that this product reads or writes, each in the one supported version. */
export const kinds = {
  namespace: { apiVersion: 'v1', kind: 'Namespace' },
  serviceAccount: { apiVersion: 'v1', kind: 'ServiceAccount' },
  configMap: { apiVersion: 'v1', kind: 'ConfigMap' },
  secret: { apiVersion: 'v1', kind: 'Secret' },
  pod: { apiVersion: 'v1', kind: 'Pod' },
  event: { apiVersion: 'v1', kind: 'Event' },
  resourceQuota: { apiVersion: 'v1', kind: 'ResourceQuota' },
  volumeClaim: { apiVersion: 'v1', kind: 'PersistentVolumeClaim' },
  service: { apiVersion: 'v1', kind: 'Service' },
  deployment: { apiVersion: 'apps/v1', kind: 'Deployment' },
  statefulSet: { apiVersion: 'apps/v1', kind: 'StatefulSet' },
  networkPolicy: { apiVersion: 'networking.k8s.io/v1', kind: 'NetworkPolicy' },
  /** GKE’s policies by host name; `v1alpha3` of the same name is another product’s resource. */
  fqdnNetworkPolicy: { apiVersion: 'networking.gke.io/v1alpha1', kind: 'FQDNNetworkPolicy' },
  helmRelease: { apiVersion: 'helm.toolkit.fluxcd.io/v2', kind: 'HelmRelease' },
} as const;
export type KindName = keyof typeof kinds;
export type Kind = (typeof kinds)[KindName];
