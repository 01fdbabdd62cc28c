/** One kind that is served. */
export interface Resource {
  readonly group: string;
  readonly version: string;
  readonly plural: string;
  readonly singular: string;
  readonly kind: string;
  readonly namespaced: boolean;
  readonly shortNames: readonly string[];
  readonly categories: readonly string[];
  /** Served under /status with writes to everything else ignored there, and status ignored elsewhere. */
  readonly status: boolean;
  /** Served under /scale, with the number of replicas alone. */
  readonly scale: boolean;
  /** metadata.generation counts changes of the desired state (not of metadata or status). */
  readonly generation: boolean;
  /** A custom resource keeps what its schema does not know only where the schema says so, and is validated by it. */
  readonly custom: boolean;
  /** The type in schemas.txt; undefined is a custom resource without a schema: everything is kept. */
  readonly schema: string | undefined;
}

const row = (
  groupVersion: string,
  plural: string,
  kind: string,
  traits: {
    cluster?: true;
    short?: string[];
    categories?: string[];
    status?: true;
    scale?: true;
    generation?: true;
    custom?: true;
    schema?: string;
  } = {},
): Resource => {
  const [group = '', version = ''] = groupVersion.includes('/')
    ? groupVersion.split('/')
    : ['', groupVersion];
  return {
    group,
    version,
    plural,
    kind,
    singular: kind.toLowerCase(),
    namespaced: traits.cluster !== true,
    shortNames: traits.short ?? [],
    categories: traits.categories ?? [],
    status: traits.status === true,
    scale: traits.scale === true,
    generation: traits.generation === true,
    custom: traits.custom === true,
    schema: traits.schema,
  };
};

/** Every kind of the simulated cluster; what a row leaves out is off. */
export const RESOURCES: readonly Resource[] = [
  row('v1', 'configmaps', 'ConfigMap', { short: ['cm'], schema: 'core.ConfigMap' }),
  row('v1', 'endpoints', 'Endpoints', { short: ['ep'], schema: 'core.Endpoints' }),
  row('v1', 'events', 'Event', { short: ['ev'], schema: 'core.Event' }),
  row('v1', 'namespaces', 'Namespace', {
    cluster: true,
    short: ['ns'],
    status: true,
    schema: 'core.Namespace',
  }),
  row('v1', 'nodes', 'Node', { cluster: true, short: ['no'], status: true, schema: 'core.Node' }),
  row('v1', 'persistentvolumeclaims', 'PersistentVolumeClaim', {
    short: ['pvc'],
    status: true,
    schema: 'core.PersistentVolumeClaim',
  }),
  row('v1', 'pods', 'Pod', {
    short: ['po'],
    categories: ['all'],
    status: true,
    generation: true,
    schema: 'core.Pod',
  }),
  row('v1', 'resourcequotas', 'ResourceQuota', {
    short: ['quota'],
    status: true,
    schema: 'core.ResourceQuota',
  }),
  row('v1', 'secrets', 'Secret', { schema: 'core.Secret' }),
  row('v1', 'serviceaccounts', 'ServiceAccount', { short: ['sa'], schema: 'core.ServiceAccount' }),
  row('v1', 'services', 'Service', {
    short: ['svc'],
    categories: ['all'],
    status: true,
    schema: 'core.Service',
  }),
  row('apps/v1', 'daemonsets', 'DaemonSet', {
    short: ['ds'],
    categories: ['all'],
    status: true,
    generation: true,
    schema: 'apps.DaemonSet',
  }),
  row('apps/v1', 'deployments', 'Deployment', {
    short: ['deploy'],
    categories: ['all'],
    status: true,
    scale: true,
    generation: true,
    schema: 'apps.Deployment',
  }),
  row('apps/v1', 'replicasets', 'ReplicaSet', {
    short: ['rs'],
    categories: ['all'],
    status: true,
    scale: true,
    generation: true,
    schema: 'apps.ReplicaSet',
  }),
  row('apps/v1', 'statefulsets', 'StatefulSet', {
    short: ['sts'],
    categories: ['all'],
    status: true,
    scale: true,
    generation: true,
    schema: 'apps.StatefulSet',
  }),
  row('policy/v1', 'poddisruptionbudgets', 'PodDisruptionBudget', {
    short: ['pdb'],
    status: true,
    generation: true,
    schema: 'policy.PodDisruptionBudget',
  }),
  row('networking.k8s.io/v1', 'ingresses', 'Ingress', {
    short: ['ing'],
    status: true,
    generation: true,
    schema: 'networking.Ingress',
  }),
  row('networking.k8s.io/v1', 'networkpolicies', 'NetworkPolicy', {
    short: ['netpol'],
    generation: true,
    schema: 'networking.NetworkPolicy',
  }),
  row('rbac.authorization.k8s.io/v1', 'clusterrolebindings', 'ClusterRoleBinding', {
    cluster: true,
    schema: 'rbac.ClusterRoleBinding',
  }),
  row('rbac.authorization.k8s.io/v1', 'clusterroles', 'ClusterRole', {
    cluster: true,
    schema: 'rbac.ClusterRole',
  }),
  row('rbac.authorization.k8s.io/v1', 'rolebindings', 'RoleBinding', { schema: 'rbac.RoleBinding' }),
  row('rbac.authorization.k8s.io/v1', 'roles', 'Role', { schema: 'rbac.Role' }),
  row('coordination.k8s.io/v1', 'leases', 'Lease', { schema: 'coordination.Lease' }),
  row('admissionregistration.k8s.io/v1', 'validatingadmissionpolicies', 'ValidatingAdmissionPolicy', {
    cluster: true,
    categories: ['api-extensions'],
    status: true,
    generation: true,
    schema: 'admissionregistration.ValidatingAdmissionPolicy',
  }),
  row(
    'admissionregistration.k8s.io/v1',
    'validatingadmissionpolicybindings',
    'ValidatingAdmissionPolicyBinding',
    {
      cluster: true,
      categories: ['api-extensions'],
      generation: true,
      schema: 'admissionregistration.ValidatingAdmissionPolicyBinding',
    },
  ),
  row(
    'admissionregistration.k8s.io/v1',
    'validatingwebhookconfigurations',
    'ValidatingWebhookConfiguration',
    {
      cluster: true,
      categories: ['api-extensions'],
      generation: true,
      schema: 'admissionregistration.ValidatingWebhookConfiguration',
    },
  ),
  row('apiextensions.k8s.io/v1', 'customresourcedefinitions', 'CustomResourceDefinition', {
    cluster: true,
    short: ['crd', 'crds'],
    categories: ['api-extensions'],
    status: true,
    generation: true,
    schema: 'apiextensions.CustomResourceDefinition',
  }),
  row('helm.toolkit.fluxcd.io/v2', 'helmreleases', 'HelmRelease', {
    short: ['hr'],
    status: true,
    generation: true,
    custom: true,
    schema: 'helm.HelmRelease',
  }),
  row('source.toolkit.fluxcd.io/v1', 'helmrepositories', 'HelmRepository', {
    short: ['helmrepo'],
    status: true,
    generation: true,
    custom: true,
  }),
];

/** Google's FQDNNetworkPolicy exists in two versions that cannot be installed together; most clusters have none. */
export const FQDN_POLICIES: Readonly<Record<'v1alpha1' | 'v1alpha3', Resource>> = {
  v1alpha1: row('networking.gke.io/v1alpha1', 'fqdnnetworkpolicies', 'FQDNNetworkPolicy', {
    short: ['fqdnnetpol'],
    status: true,
    generation: true,
    custom: true,
  }),
  v1alpha3: row('networking.gke.io/v1alpha3', 'fqdnnetworkpolicies', 'FQDNNetworkPolicy', {
    status: true,
    generation: true,
    custom: true,
    schema: 'networking.FQDNNetworkPolicy',
  }),
};

export const groupVersionOf = (resource: Resource): string =>
  resource.group === '' ? resource.version : `${resource.group}/${resource.version}`;
