import { createHash } from 'node:crypto';
import { stringify } from 'yaml';
import { asList, asMap, asText, asTexts, at, isMap, type Json, type JsonMap } from '../kubernetes/json.ts';
import type { KubeObject } from '../kubernetes/object.ts';

export interface Release {
  readonly name: string;
  readonly namespace: string;
  readonly chartVersion: string;
  readonly values: JsonMap;
  /** Tokens that the chart generates once and then keeps, by key of Secret `hub`; base64. */
  readonly kept: JsonMap;
  /**
   * The proxy’s token as its checksum is computed from. The chart looks the token up where it needs it, so each place of
   * the first install, where there is none yet, gets another random one.
   */
  readonly proxyToken: string;
}

/** JupyterHub’s version in this version of the chart. */
export const appVersion = '5.5.0';

const digest = (value: Json): string => createHash('sha256').update(JSON.stringify(value)).digest('hex');
const base64 = (text: string): string => Buffer.from(text).toString('base64');

/**
 * The objects of Zero to JupyterHub 4.4 as far as anything outside the hub depends on them: names,
 * labels, mounts, policies, and the checksums by which every change of a value restarts the hub.
 */
export const renderChart = (release: Release): KubeObject[] => {
  const { values } = release;
  /** On pods too: nothing that changes with the chart’s version. */
  const podLabelsOf = (component: string): JsonMap => ({
    app: 'jupyterhub',
    component,
    release: release.name,
    'app.kubernetes.io/component': component,
    'app.kubernetes.io/instance': release.name,
    'app.kubernetes.io/name': 'jupyterhub',
  });
  const labelsOf = (component: string): JsonMap => ({
    ...podLabelsOf(component),
    chart: `jupyterhub-${release.chartVersion}`,
    heritage: 'Helm',
    'app.kubernetes.io/managed-by': 'Helm',
    'helm.sh/chart': `jupyterhub-${release.chartVersion}`,
  });
  const selectorOf = (component: string): JsonMap => ({
    app: 'jupyterhub',
    component,
    release: release.name,
  });
  const object = (
    apiVersion: string,
    kind: string,
    name: string,
    component: string,
    body: JsonMap,
  ): KubeObject => ({
    apiVersion,
    kind,
    metadata: {
      name,
      namespace: release.namespace,
      labels: labelsOf(component),
      annotations: {
        'meta.helm.sh/release-name': release.name,
        'meta.helm.sh/release-namespace': release.namespace,
      },
    },
    ...body,
  });

  const secret = object('v1', 'Secret', 'hub', 'hub', {
    type: 'Opaque',
    data: { ...release.kept, 'values.yaml': base64(stringify(values)) },
  });
  const configMap = object('v1', 'ConfigMap', 'hub', 'hub', {
    data: {
      'jupyterhub_config.py': '# The simulated hub reads values.yaml from Secret hub.\n',
      'z2jh.py': '# The chart’s helper functions.\n',
    },
  });
  const hub = asMap(values.hub);
  const ingress = asMap(values.ingress);
  const existingSecret = asTexts([hub.existingSecret ?? null]);

  const deployment = (component: 'hub' | 'proxy', annotations: JsonMap, labels: JsonMap, pod: JsonMap) =>
    object('apps/v1', 'Deployment', component, component, {
      spec: {
        replicas: 1,
        selector: { matchLabels: selectorOf(component) },
        strategy: { type: 'Recreate' },
        template: { metadata: { labels: { ...podLabelsOf(component), ...labels }, annotations }, spec: pod },
      },
    });

  return [
    object('v1', 'ServiceAccount', 'hub', 'hub', {}),
    secret,
    configMap,
    object('v1', 'PersistentVolumeClaim', 'hub-db-dir', 'hub', {
      spec: { accessModes: ['ReadWriteOnce'], resources: { requests: { storage: '1Gi' } } },
    }),
    object('rbac.authorization.k8s.io/v1', 'Role', 'hub', 'hub', {
      rules: [
        {
          apiGroups: [''],
          resources: ['pods', 'persistentvolumeclaims', 'secrets', 'services'],
          verbs: ['get', 'watch', 'list', 'create', 'delete'],
        },
        { apiGroups: [''], resources: ['events'], verbs: ['get', 'watch', 'list'] },
      ],
    }),
    object('rbac.authorization.k8s.io/v1', 'RoleBinding', 'hub', 'hub', {
      subjects: [{ kind: 'ServiceAccount', name: 'hub', namespace: release.namespace }],
      roleRef: { kind: 'Role', name: 'hub', apiGroup: 'rbac.authorization.k8s.io' },
    }),
    object('v1', 'Service', 'hub', 'hub', {
      spec: {
        type: 'ClusterIP',
        selector: selectorOf('hub'),
        ports: [{ name: 'hub', port: 8081, targetPort: 'http', protocol: 'TCP' }],
      },
    }),
    object('v1', 'Service', 'proxy-api', 'proxy-api', {
      spec: {
        type: 'ClusterIP',
        selector: selectorOf('proxy'),
        ports: [{ port: 8001, targetPort: 'api', protocol: 'TCP' }],
      },
    }),
    object('v1', 'Service', 'proxy-public', 'proxy-public', {
      spec: {
        type: asText(at(values, 'proxy', 'service', 'type')) || 'LoadBalancer',
        selector: selectorOf('proxy'),
        ports: [{ name: 'http', port: 80, targetPort: 'http', protocol: 'TCP' }],
      },
    }),
    deployment(
      'hub',
      {
        'checksum/config-map': digest(asMap(configMap.data)),
        'checksum/secret': digest(asMap(secret.data)),
        ...asMap(hub.annotations),
      },
      {
        'hub.jupyter.org/network-access-proxy-api': 'true',
        'hub.jupyter.org/network-access-proxy-http': 'true',
        'hub.jupyter.org/network-access-singleuser': 'true',
        ...asMap(hub.labels),
      },
      {
        serviceAccountName: 'hub',
        containers: [
          {
            name: 'hub',
            image: imageOf(asMap(hub.image), 'quay.io/jupyterhub/k8s-hub', release.chartVersion),
            ports: [{ name: 'http', containerPort: 8081, protocol: 'TCP' }],
            volumeMounts: [
              ...['jupyterhub_config.py', 'z2jh.py'].map((file) => ({
                name: 'config',
                mountPath: `/usr/local/etc/jupyterhub/${file}`,
                subPath: file,
              })),
              { name: 'config', mountPath: '/usr/local/etc/jupyterhub/config/' },
              { name: 'secret', mountPath: '/usr/local/etc/jupyterhub/secret/' },
              ...existingSecret.map(() => ({
                name: 'existing-secret',
                mountPath: '/usr/local/etc/jupyterhub/existing-secret/',
              })),
              { name: 'pvc', mountPath: '/srv/jupyterhub' },
              ...asList(hub.extraVolumeMounts).filter(isMap),
            ],
          },
        ],
        volumes: [
          { name: 'config', configMap: { name: 'hub' } },
          { name: 'secret', secret: { secretName: 'hub' } },
          ...existingSecret.map((secretName) => ({ name: 'existing-secret', secret: { secretName } })),
          { name: 'pvc', persistentVolumeClaim: { claimName: 'hub-db-dir' } },
          ...asList(hub.extraVolumes).filter(isMap),
        ],
      },
    ),
    deployment(
      'proxy',
      // The proxy, and with it every open notebook, restarts on a change of its token, and once at the first upgrade.
      { 'checksum/auth-token': digest(release.proxyToken), 'checksum/proxy-secret': digest('') },
      { 'hub.jupyter.org/network-access-hub': 'true', 'hub.jupyter.org/network-access-singleuser': 'true' },
      {
        containers: [
          {
            name: 'chp',
            image: 'quay.io/jupyterhub/configurable-http-proxy:5.2.0',
            ports: [
              { name: 'http', containerPort: 8000, protocol: 'TCP' },
              { name: 'api', containerPort: 8001, protocol: 'TCP' },
            ],
          },
        ],
      },
    ),
    ...networkPolicies(values, object, selectorOf),
    ...placeholders(object, selectorOf('user-placeholder'), podLabelsOf('user-placeholder')),
    ...(ingress.enabled === true
      ? [
          object('networking.k8s.io/v1', 'Ingress', 'jupyterhub', 'ingress', {
            spec: {
              ...(ingress.ingressClassName === undefined
                ? {}
                : { ingressClassName: ingress.ingressClassName }),
              ...(asList(ingress.tls).length === 0 ? {} : { tls: asList(ingress.tls) }),
              rules: asList(ingress.hosts).map((host) => ({
                host: asText(host),
                http: {
                  paths: [
                    {
                      path: '/',
                      pathType: 'Prefix',
                      backend: { service: { name: 'proxy-public', port: { name: 'http' } } },
                    },
                  ],
                },
              })),
            },
          }),
        ]
      : []),
  ];
};

const imageOf = (image: JsonMap, name: string, tag: string): string =>
  `${asText(image.name) || name}:${asText(image.tag) || tag}`;

/** Pods that keep room for servers; the chart makes their set and its budget even where there are none. */
const placeholders = (object: MakeObject, matchLabels: JsonMap, labels: JsonMap): KubeObject[] => {
  const name = 'user-placeholder';
  return [
    object('policy/v1', 'PodDisruptionBudget', name, name, {
      spec: { minAvailable: 0, selector: { matchLabels } },
    }),
    object('apps/v1', 'StatefulSet', name, name, {
      spec: {
        podManagementPolicy: 'Parallel',
        replicas: 0,
        selector: { matchLabels },
        serviceName: name,
        template: {
          metadata: { labels },
          spec: {
            automountServiceAccountToken: false,
            containers: [{ name: 'pause', image: 'registry.k8s.io/pause:3.10.1' }],
            terminationGracePeriodSeconds: 0,
          },
        },
      },
    }),
  ];
};

type MakeObject = (
  apiVersion: string,
  kind: string,
  name: string,
  component: string,
  body: JsonMap,
) => KubeObject;

const tcp = (...ports: (number | string)[]): JsonMap[] => ports.map((port) => ({ port, protocol: 'TCP' }));

const dnsPorts: JsonMap[] = [
  { port: 53, protocol: 'UDP' },
  { port: 53, protocol: 'TCP' },
];

const privateRanges = ['10.0.0.0/8', '172.16.0.0/12', '192.168.0.0/16'];

/** The chart’s own policies. Policies are additive, so their allowed egress is added to that of others. */
const networkPolicies = (
  values: JsonMap,
  object: MakeObject,
  selectorOf: (component: string) => JsonMap,
): KubeObject[] => {
  const pods = (component: string): JsonMap => ({ podSelector: { matchLabels: selectorOf(component) } });
  const bearing = (access: string): JsonMap => ({
    podSelector: { matchLabels: { [`hub.jupyter.org/network-access-${access}`]: 'true' } },
  });
  const policy = (
    name: 'hub' | 'proxy' | 'singleuser',
    component: string,
    settings: JsonMap,
    ingress: JsonMap[],
    egress: JsonMap[],
  ): KubeObject[] =>
    settings.enabled === false
      ? []
      : [
          object('networking.k8s.io/v1', 'NetworkPolicy', name, name, {
            spec: {
              podSelector: { matchLabels: selectorOf(component) },
              policyTypes: ['Ingress', 'Egress'],
              ingress: [...ingress, ...asList(settings.ingress).filter(isMap)],
              egress: [...egress, ...allowed(settings), ...asList(settings.egress).filter(isMap)],
            },
          }),
        ];
  const settingsOf = (section: string): JsonMap => asMap(at(values, section, 'networkPolicy'));
  const proxySettings = asMap(at(values, 'proxy', 'chp', 'networkPolicy'));
  return [
    ...policy(
      'hub',
      'hub',
      settingsOf('hub'),
      [{ ports: tcp('http'), from: [bearing('hub')] }],
      [
        { to: [pods('proxy')], ports: tcp(8001) },
        { to: [pods('singleuser-server')], ports: tcp(8888) },
      ],
    ),
    ...policy(
      'proxy',
      'proxy',
      proxySettings,
      [
        { ports: tcp('http', 'https') },
        { ports: tcp('http'), from: [bearing('proxy-http')] },
        { ports: tcp('api'), from: [bearing('proxy-api')] },
      ],
      [
        { to: [pods('hub')], ports: tcp(8081) },
        { to: [pods('singleuser-server')], ports: tcp(8888) },
      ],
    ),
    ...policy(
      'singleuser',
      'singleuser-server',
      settingsOf('singleuser'),
      [{ ports: tcp('notebook-port'), from: [bearing('singleuser')] }],
      [
        { to: [pods('hub')], ports: tcp(8081) },
        { to: [pods('proxy')], ports: tcp(8000) },
        { to: [pods('autohttps')], ports: tcp(8080, 8443) },
      ],
    ),
  ];
};

/** `egressAllowRules`: each is enabled unless the values disable it. */
const allowed = (settings: JsonMap): JsonMap[] => {
  const rules = asMap(settings.egressAllowRules);
  const isOn = (rule: string): boolean => rules[rule] !== false;
  const when = (rule: string, ...made: JsonMap[]): JsonMap[] => (isOn(rule) ? made : []);
  const block = (cidr: string, except?: string[]): JsonMap => ({
    ipBlock: { cidr, ...(except === undefined ? {} : { except }) },
  });
  const metadata = '169.254.169.254/32';
  return [
    ...when('dnsPortsCloudMetadataServer', { to: [block(metadata)], ports: dnsPorts }),
    ...when('dnsPortsKubeSystemNamespace', {
      to: [{ namespaceSelector: { matchLabels: { 'kubernetes.io/metadata.name': 'kube-system' } } }],
      ports: dnsPorts,
    }),
    ...when('dnsPortsPrivateIPs', { to: privateRanges.map((range) => block(range)), ports: dnsPorts }),
    ...when('nonPrivateIPs', { to: [block('0.0.0.0/0', [...privateRanges, metadata])] }),
    ...when('privateIPs', { to: privateRanges.map((range) => block(range)) }),
    ...when('cloudMetadataServer', { to: [block(metadata)] }),
  ];
};
