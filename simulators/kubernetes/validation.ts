import { policyFaults } from './admission-policies.ts';
import { ruleFaults } from './cel.ts';
import { asList, asMap, asText, at, isMap, type Json, type JsonMap, sameJson } from './json.ts';
import { keyFaults, LABEL, label, labelFaults, type NameRule, subdomain } from './label-validation.ts';
import { networkPolicyFaults } from './network-policy.ts';
import { schemaFaults } from './normalize.ts';
import { finalizersOf, isBeingDeleted, type KubeObject, nameOf, ownersOf } from './object.ts';
import type { Resource } from './resources.ts';
import { schemaOf } from './schema.ts';
import { duplicateValue, type Fault, forbiddenValue, invalidValue, requiredValue } from './status.ts';

const LABEL_1035 =
  "a DNS-1035 label must consist of lower case alphanumeric characters or '-', start with an alphabetic character, and end with an alphanumeric character (e.g. 'my-name',  or 'abc-123', regex used for validation is '[a-z]([-a-z0-9]*[a-z0-9])?')";

const label1035: NameRule = { pattern: /^[a-z]([-a-z0-9]*[a-z0-9])?$/, longest: 63, why: LABEL_1035 };

const pathSegment: NameRule = {
  pattern: /^(?!\.{1,2}$)[^/%]+$/,
  longest: Number.POSITIVE_INFINITY,
  why: "may not contain '/' or '%'",
};

const NAME_RULES: Readonly<Record<string, NameRule>> = {
  Namespace: label,
  Service: label1035,
  Role: pathSegment,
  RoleBinding: pathSegment,
  ClusterRole: pathSegment,
  ClusterRoleBinding: pathSegment,
};

/** Faults of metadata: the name, labels, annotations, finalizers and owners. */
export function metadataFaults(resource: Resource, object: KubeObject): Fault[] {
  const rule = NAME_RULES[resource.kind] ?? subdomain;
  const name = nameOf(object);
  const faults: Fault[] = [];
  if (name === '') return [requiredValue('metadata.name', 'name or generateName is required')];
  if (name.length > rule.longest)
    faults.push(invalidValue('metadata.name', name, `must be no more than ${rule.longest} characters`));
  if (!rule.pattern.test(name)) faults.push(invalidValue('metadata.name', name, rule.why));
  faults.push(...labelFaults(asMap(object.metadata.labels), 'metadata.labels'));
  for (const key of Object.keys(asMap(object.metadata.annotations))) {
    faults.push(...keyFaults(key.toLowerCase(), key, 'metadata.annotations'));
  }
  ownersOf(object).forEach((owner, index) => {
    for (const field of ['apiVersion', 'kind', 'name', 'uid'] as const) {
      if (owner[field] === '')
        faults.push(
          invalidValue(`metadata.ownerReferences[${index}].${field}`, '', `${field} must not be empty`),
        );
    }
  });
  const controllers = ownersOf(object).filter((owner) => owner.controller === true);
  if (controllers.length > 1) {
    faults.push(
      invalidValue(
        'metadata.ownerReferences',
        controllers,
        `Only one reference can have Controller set to true. Found "true" in references for ${controllers[0]?.name} and ${controllers[1]?.name}`,
      ),
    );
  }
  // Custom resources may have any qualified name, as Flux's own `finalizers.fluxcd.io` is.
  for (const finalizer of resource.custom ? [] : finalizersOf(object)) {
    if (!finalizer.includes('/') && !['orphan', 'foregroundDeletion', 'kubernetes'].includes(finalizer)) {
      faults.push(
        invalidValue(
          'metadata.finalizers',
          finalizer,
          'name is neither a standard finalizer name nor is it fully qualified',
        ),
      );
    }
  }
  return faults;
}

/** Faults of a change: what must stay as it was. */
export function changeFaults(resource: Resource, object: KubeObject, live: KubeObject): Fault[] {
  const faults: Fault[] = [];
  for (const field of ['name', 'namespace', 'uid', 'creationTimestamp', 'deletionTimestamp']) {
    const value = object.metadata[field];
    if (!sameJson(value, live.metadata[field]))
      faults.push(invalidValue(`metadata.${field}`, value ?? null, 'field is immutable'));
  }
  if (isBeingDeleted(live)) {
    const added = finalizersOf(object).filter((finalizer) => !finalizersOf(live).includes(finalizer));
    if (added.length > 0) {
      faults.push(
        forbiddenValue(
          'metadata.finalizers',
          `no new finalizers can be added if the object is being deleted, found new finalizers []string{${added.map((one) => JSON.stringify(one)).join(', ')}}`,
        ),
      );
    }
  }
  for (const path of IMMUTABLE[resource.kind] ?? []) {
    if (!sameJson(at(object, ...path), at(live, ...path))) {
      faults.push(invalidValue(path.join('.'), at(object, ...path) ?? null, 'field is immutable'));
    }
  }
  if (resource.kind === 'ConfigMap' || resource.kind === 'Secret') faults.push(...frozenFaults(object, live));
  if (resource.kind === 'Pod') faults.push(...podChangeFaults(object, live));
  if (resource.kind === 'PersistentVolumeClaim') faults.push(...claimChangeFaults(object, live));
  return faults;
}

const IMMUTABLE: Readonly<Record<string, readonly (readonly string[])[]>> = {
  Deployment: [['spec', 'selector']],
  ReplicaSet: [['spec', 'selector']],
  DaemonSet: [['spec', 'selector']],
  Secret: [['type']],
  RoleBinding: [['roleRef']],
  ClusterRoleBinding: [['roleRef']],
};

function frozenFaults(object: KubeObject, live: KubeObject): Fault[] {
  if (live.immutable !== true) return [];
  const why = 'field is immutable when `immutable` is set';
  return ['immutable', 'data', 'binaryData']
    .filter((field) => !sameJson(object[field], live[field]))
    .map((field) => forbiddenValue(field, why));
}

const POD_RULE =
  'pod updates may not change fields other than `spec.containers[*].image`,`spec.initContainers[*].image`,`spec.activeDeadlineSeconds`,`spec.tolerations` (only additions to existing tolerations),`spec.terminationGracePeriodSeconds` (allow it to be set to 1 if it was previously negative)';

function podChangeFaults(object: KubeObject, live: KubeObject): Fault[] {
  const fixed = (pod: KubeObject): JsonMap => {
    const spec = asMap(pod.spec);
    const withoutImages = (containers: Json | undefined): Json[] =>
      asList(containers).map((one) => (isMap(one) ? { ...one, image: '' } : one));
    return {
      ...spec,
      activeDeadlineSeconds: null,
      tolerations: null,
      containers: withoutImages(spec.containers),
      initContainers: withoutImages(spec.initContainers),
    };
  };
  return sameJson(fixed(object), fixed(live)) ? [] : [forbiddenValue('spec', POD_RULE)];
}

const CLAIM_RULE =
  'spec is immutable after creation except resources.requests and volumeAttributesClassName for bound claims';

function claimChangeFaults(object: KubeObject, live: KubeObject): Fault[] {
  // A claim is bound once, by writing volumeName.
  const fixed = (claim: KubeObject): JsonMap => {
    const spec = asMap(claim.spec);
    const requests = asMap(at(spec, 'resources', 'requests'));
    const volumeName = asText(at(live, 'spec', 'volumeName')) === '' ? '' : (spec.volumeName ?? '');
    return {
      ...spec,
      volumeName,
      resources: { ...asMap(spec.resources), requests: { ...requests, storage: '' } },
    };
  };
  return sameJson(fixed(object), fixed(live)) ? [] : [forbiddenValue('spec', CLAIM_RULE)];
}

/** The faults of an object outside its metadata. */
export function contentFaults(resource: Resource, object: KubeObject): Fault[] {
  if (resource.custom) {
    const schema = schemaOf(resource.schema);
    const faults = schemaFaults(schema, object);
    return faults.length > 0 ? faults : ruleFaults(schema, object);
  }
  return CONTENT[resource.kind]?.(object) ?? [];
}

const CONTENT: Readonly<Record<string, (object: KubeObject) => Fault[]>> = {
  NetworkPolicy: networkPolicyFaults,
  ValidatingAdmissionPolicy: policyFaults,
  ConfigMap: (object) => [...keysFaults(object, 'data'), ...keysFaults(object, 'binaryData')],
  Secret: (object) => [
    ...keysFaults(object, 'data'),
    ...Object.entries(asMap(object.data)).flatMap(([key, value]) =>
      /^[A-Za-z0-9+/]*={0,2}$/.test(asText(value))
        ? []
        : [invalidValue(`data[${key}]`, value, 'illegal base64 data')],
    ),
  ],
  Pod: (object) => [...podFaults(asMap(object.spec), 'spec'), ...imageFaults(asMap(object.spec), 'spec')],
  Deployment: (object) => workloadFaults(object),
  StatefulSet: (object) => workloadFaults(object),
  ReplicaSet: (object) => workloadFaults(object),
  DaemonSet: (object) => workloadFaults(object),
  PersistentVolumeClaim: (object) => {
    const spec = asMap(object.spec);
    return [
      ...(asList(spec.accessModes).length === 0
        ? [requiredValue('spec.accessModes', 'at least 1 access mode is required')]
        : []),
      ...(at(spec, 'resources', 'requests', 'storage') === undefined
        ? [requiredValue('spec.resources[storage]')]
        : []),
    ];
  },
  Service: (object) =>
    asList(at(object, 'spec', 'ports')).length === 0 &&
    at(object, 'spec', 'type') !== 'ExternalName' &&
    at(object, 'spec', 'clusterIP') !== 'None'
      ? [requiredValue('spec.ports')]
      : [],
};

function keysFaults(object: KubeObject, field: string): Fault[] {
  return Object.keys(asMap(object[field]))
    .filter((key) => !/^(?!\.{1,2}$)[-._a-zA-Z0-9]{1,253}$/.test(key))
    .map((key) =>
      invalidValue(
        `${field}[${key}]`,
        key,
        "a valid config key must consist of alphanumeric characters, '-', '_' or '.' (e.g. 'key.name',  or 'KEY_NAME',  or 'key-name', regex used for validation is '[-._a-zA-Z0-9]+')",
      ),
    );
}

/** White space as Go’s strings.TrimSpace takes it off. */
const outerSpace =
  /^[\t-\r \u0085\u00a0\u1680\u2000-\u200a\u2028\u2029\u202f\u205f\u3000]|[\t-\r \u0085\u00a0\u1680\u2000-\u200a\u2028\u2029\u202f\u205f\u3000]$/;

/** Of pods alone: templates may have any image. */
function imageFaults(spec: JsonMap, path: string): Fault[] {
  return ['initContainers', 'containers'].flatMap((field) =>
    asList(spec[field]).flatMap((container, index) => {
      const image = asText(at(container, 'image'));
      return outerSpace.test(image)
        ? [
            invalidValue(
              `${path}.${field}[${index}].image`,
              image,
              'must not have leading or trailing whitespace',
            ),
          ]
        : [];
    }),
  );
}

function workloadFaults(object: KubeObject): Fault[] {
  const spec = asMap(object.spec);
  const labels = asMap(at(spec, 'template', 'metadata', 'labels'));
  const wanted = asMap(at(spec, 'selector', 'matchLabels'));
  const faults = [...podFaults(asMap(at(spec, 'template', 'spec')), 'spec.template.spec')];
  if (spec.selector === undefined) faults.push(requiredValue('spec.selector'));
  if (!Object.entries(wanted).every(([key, value]) => labels[key] === value)) {
    faults.push(
      invalidValue('spec.template.metadata.labels', labels, '`selector` does not match template `labels`'),
    );
  }
  return faults;
}

function podFaults(spec: JsonMap, path: string): Fault[] {
  const containers = asList(spec.containers);
  const faults: Fault[] = containers.length === 0 ? [requiredValue(`${path}.containers`)] : [];
  containers.forEach((container, index) => {
    const at = `${path}.containers[${index}]`;
    const name = asText(asMap(container).name);
    if (name === '') faults.push(requiredValue(`${at}.name`));
    else if (!label.pattern.test(name)) faults.push(invalidValue(`${at}.name`, name, LABEL));
    if (asText(asMap(container).image) === '') faults.push(requiredValue(`${at}.image`));
    const ports = asList(asMap(container).ports).map((port) => asText(asMap(port).name));
    ports.forEach((port, position) => {
      if (port !== '' && ports.indexOf(port) < position) {
        faults.push(duplicateValue(`${at}.ports[${position}].name`, port));
      }
    });
  });
  return faults;
}
