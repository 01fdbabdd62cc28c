import { asList, asMap, asText, isMap, type Json, type JsonMap } from './json.ts';
import { type KubeObject, nameOf, withMetadata } from './object.ts';
import { canonicalQuantity } from './quantity.ts';

/** Built-in defaults, as the server fills them in when it decodes an object. */
export function applyDefaults(object: KubeObject): KubeObject {
  return DEFAULTS[object.kind]?.(object) ?? object;
}

const DEFAULTS: Readonly<Record<string, (object: KubeObject) => KubeObject>> = {
  Namespace: (object) =>
    withMetadata(object, {
      labels: { ...asMap(object.metadata.labels), 'kubernetes.io/metadata.name': nameOf(object) },
    }),
  Secret: (object) => ({ type: 'Opaque', ...decodedSecret(object) }),
  NetworkPolicy: (object) => ({ ...object, spec: networkPolicySpec(asMap(object.spec)) }),
  Service: (object) => ({ ...object, spec: serviceSpec(asMap(object.spec)) }),
  PersistentVolumeClaim: (object) => ({
    ...object,
    spec: {
      volumeMode: 'Filesystem',
      ...asMap(object.spec),
      ...withResources(asMap(object.spec)),
    },
  }),
  Pod: (object) => ({
    ...object,
    spec: { enableServiceLinks: true, ...podSpec(asMap(object.spec), true) },
  }),
  Deployment: (object) => ({ ...object, spec: deploymentSpec(asMap(object.spec)) }),
  StatefulSet: (object) => ({ ...object, spec: statefulSetSpec(asMap(object.spec)) }),
  ReplicaSet: (object) => ({ ...object, spec: { replicas: 1, ...withTemplate(asMap(object.spec)) } }),
  DaemonSet: (object) => ({
    ...object,
    spec: {
      ...withTemplate(asMap(object.spec)),
      revisionHistoryLimit: asMap(object.spec).revisionHistoryLimit ?? 10,
    },
  }),
  RoleBinding: (object) => binding(object),
  ClusterRoleBinding: (object) => binding(object),
  ValidatingWebhookConfiguration: (object) => ({
    ...object,
    ...mapped(object, 'webhooks', (webhook) => ({
      failurePolicy: 'Fail',
      matchPolicy: 'Equivalent',
      namespaceSelector: {},
      objectSelector: {},
      timeoutSeconds: 10,
      ...webhook,
      ...mapped(webhook, 'rules', (rule) => ({ scope: '*', ...rule })),
    })),
  }),
  ValidatingAdmissionPolicy: (object) => ({
    ...object,
    spec: {
      failurePolicy: 'Fail',
      ...asMap(object.spec),
      ...(asMap(object.spec).matchConstraints === undefined
        ? {}
        : { matchConstraints: matchResources(asMap(asMap(object.spec).matchConstraints)) }),
    },
  }),
  ValidatingAdmissionPolicyBinding: (object) => {
    const spec = asMap(object.spec);
    return isMap(spec.matchResources)
      ? { ...object, spec: { ...spec, matchResources: matchResources(spec.matchResources) } }
      : object;
  },
};

/** A list field with each object in it changed; nothing when the field is absent. */
function mapped(object: JsonMap, field: string, change: (item: JsonMap) => JsonMap): JsonMap {
  const items = object[field];
  return Array.isArray(items) ? { [field]: items.map((item) => (isMap(item) ? change(item) : item)) } : {};
}

function decodedSecret(object: KubeObject): KubeObject {
  const { stringData, ...rest } = object;
  if (!isMap(stringData)) return object;
  const encoded = Object.entries(stringData).map(([key, value]): [string, Json] => [
    key,
    Buffer.from(asText(value)).toString('base64'),
  ]);
  return {
    ...rest,
    apiVersion: object.apiVersion,
    kind: object.kind,
    metadata: object.metadata,
    data: { ...asMap(object.data), ...Object.fromEntries(encoded) },
  };
}

function networkPolicySpec(spec: JsonMap): JsonMap {
  const withPorts = (rule: JsonMap): JsonMap => ({
    ...rule,
    ...mapped(rule, 'ports', (port) => ({ protocol: 'TCP', ...port })),
  });
  const egress = asList(spec.egress).length > 0 ? ['Egress'] : [];
  return {
    ...spec,
    ...mapped(spec, 'ingress', withPorts),
    ...mapped(spec, 'egress', withPorts),
    policyTypes: asList(spec.policyTypes).length > 0 ? (spec.policyTypes ?? []) : ['Ingress', ...egress],
  };
}

function serviceSpec(spec: JsonMap): JsonMap {
  const type = asText(spec.type) || 'ClusterIP';
  return {
    sessionAffinity: 'None',
    ...(type === 'ExternalName' ? {} : { internalTrafficPolicy: 'Cluster' }),
    ...spec,
    type,
    ...mapped(spec, 'ports', (port) => ({ protocol: 'TCP', targetPort: port.port ?? 0, ...port })),
  };
}

function deploymentSpec(spec: JsonMap): JsonMap {
  const strategy = asMap(spec.strategy);
  const type = asText(strategy.type) || 'RollingUpdate';
  return {
    replicas: 1,
    revisionHistoryLimit: 10,
    progressDeadlineSeconds: 600,
    ...withTemplate(spec),
    strategy: {
      ...strategy,
      type,
      ...(type === 'RollingUpdate'
        ? { rollingUpdate: { maxUnavailable: '25%', maxSurge: '25%', ...asMap(strategy.rollingUpdate) } }
        : {}),
    },
  };
}

function statefulSetSpec(spec: JsonMap): JsonMap {
  return {
    replicas: 1,
    revisionHistoryLimit: 10,
    podManagementPolicy: 'OrderedReady',
    persistentVolumeClaimRetentionPolicy: { whenDeleted: 'Retain', whenScaled: 'Retain' },
    ...withTemplate(spec),
    updateStrategy:
      isMap(spec.updateStrategy) && spec.updateStrategy.type !== undefined
        ? spec.updateStrategy
        : { type: 'RollingUpdate', rollingUpdate: { partition: 0 } },
  };
}

function withTemplate(spec: JsonMap): JsonMap {
  const template = asMap(spec.template);
  return { ...spec, template: { ...template, spec: podSpec(asMap(template.spec), false) } };
}

function podSpec(spec: JsonMap, isPod: boolean): JsonMap {
  const account = asText(spec.serviceAccountName);
  return {
    restartPolicy: 'Always',
    terminationGracePeriodSeconds: 30,
    dnsPolicy: 'ClusterFirst',
    securityContext: {},
    schedulerName: 'default-scheduler',
    ...spec,
    ...(account === '' ? {} : { serviceAccount: account }),
    ...mapped(spec, 'containers', (one) => container(one, isPod)),
    ...mapped(spec, 'initContainers', (one) => container(one, isPod)),
    ...mapped(spec, 'volumes', volume),
  };
}

function container(one: JsonMap, isPod: boolean): JsonMap {
  const image = asText(one.image);
  const tag = image.slice(image.lastIndexOf('/') + 1).split(/[:@]/)[1];
  const { resources } = withResources(one, isPod);
  return {
    terminationMessagePath: '/dev/termination-log',
    terminationMessagePolicy: 'File',
    imagePullPolicy: tag === undefined || tag === 'latest' ? 'Always' : 'IfNotPresent',
    ...one,
    ...(resources === undefined ? {} : { resources }),
    ...mapped(one, 'ports', (port) => ({ protocol: 'TCP', ...port })),
    ...mapped(one, 'env', (variable) => {
      const from = asMap(variable.valueFrom);
      if (!isMap(from.fieldRef)) return variable;
      return { ...variable, valueFrom: { ...from, fieldRef: { apiVersion: 'v1', ...from.fieldRef } } };
    }),
  };
}

/** Quantities in canonical form; a limit without a request is its own request, in pods. */
function withResources(owner: JsonMap, limitsAreRequests = false): JsonMap {
  const resources = asMap(owner.resources);
  if (Object.keys(resources).length === 0) return {};
  const canonical = (amounts: Json | undefined): JsonMap =>
    Object.fromEntries(
      Object.entries(asMap(amounts)).map(([name, amount]) => [name, canonicalQuantity(amount)]),
    );
  const limits = canonical(resources.limits);
  const requests = { ...(limitsAreRequests ? limits : {}), ...canonical(resources.requests) };
  return {
    resources: {
      ...resources,
      ...(Object.keys(limits).length === 0 ? {} : { limits }),
      ...(Object.keys(requests).length === 0 ? {} : { requests }),
    },
  };
}

function volume(one: JsonMap): JsonMap {
  const result = { ...one };
  for (const source of ['configMap', 'secret', 'projected', 'downwardAPI']) {
    const value = one[source];
    if (isMap(value)) result[source] = { defaultMode: 420, ...value };
  }
  if (isMap(one.hostPath)) result.hostPath = { type: '', ...one.hostPath };
  const sources = Object.keys(one).filter((key) => key !== 'name');
  return sources.length === 0 ? { ...result, emptyDir: {} } : result;
}

function binding(object: KubeObject): KubeObject {
  const group = 'rbac.authorization.k8s.io';
  return {
    ...object,
    roleRef: { apiGroup: group, ...asMap(object.roleRef) },
    ...mapped(object, 'subjects', (subject) =>
      subject.kind === 'User' || subject.kind === 'Group' ? { apiGroup: group, ...subject } : subject,
    ),
  };
}

function matchResources(match: JsonMap): JsonMap {
  return {
    matchPolicy: 'Equivalent',
    namespaceSelector: {},
    objectSelector: {},
    ...match,
    ...mapped(match, 'resourceRules', (rule) => ({ scope: '*', ...rule })),
    ...mapped(match, 'excludeResourceRules', (rule) => ({ scope: '*', ...rule })),
  };
}
