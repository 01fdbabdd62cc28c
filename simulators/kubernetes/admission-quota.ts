import type { AdmissionRequest, Admit } from './admission.ts';
import { asList, asMap, asText, at, type Json } from './json.ts';
import { type KubeObject, nameOf } from './object.ts';
import { canonicalQuantity, quantityValue } from './quantity.ts';
import type { Registry } from './registry.ts';
import type { Resource } from './resources.ts';
import { forbidden } from './status.ts';

/** What of an object a quota can limit; `where` is its place in a container’s resources. */
const ofPods: Readonly<Record<string, readonly [where: 'requests' | 'limits', resource: string]>> = {
  cpu: ['requests', 'cpu'],
  memory: ['requests', 'memory'],
  'requests.cpu': ['requests', 'cpu'],
  'requests.memory': ['requests', 'memory'],
  'limits.cpu': ['limits', 'cpu'],
  'limits.memory': ['limits', 'memory'],
};

const counted: Readonly<Record<string, string>> = {
  pods: 'Pod',
  'count/pods': 'Pod',
  persistentvolumeclaims: 'PersistentVolumeClaim',
  'count/persistentvolumeclaims': 'PersistentVolumeClaim',
};

const containersOf = (pod: KubeObject): readonly Json[] => asList(at(pod, 'spec', 'containers'));

const isOver = (object: KubeObject): boolean =>
  ['Succeeded', 'Failed'].includes(asText(at(object, 'status', 'phase')));

/** In thousandths, which are whole: sums of fractions of a core would not be exact. */
const thousandths = (value: Json | undefined): number => Math.round(quantityValue(value) * 1000);

/** How much of a quota’s resource an object takes, in thousandths; undefined when the quota is not about it. */
const taken = (object: KubeObject, resource: string): number | undefined => {
  const place = ofPods[resource];
  if (place !== undefined && object.kind === 'Pod') {
    return containersOf(object)
      .map((container) => thousandths(at(container, 'resources', ...place)))
      .reduce((sum, amount) => sum + amount, 0);
  }
  if (resource === 'requests.storage' && object.kind === 'PersistentVolumeClaim') {
    return thousandths(at(object, 'spec', 'resources', 'requests', 'storage'));
  }
  return counted[resource] === object.kind ? 1000 : undefined;
};

/** Containers that leave out what a quota limits: such a pod is refused. */
const silent = (object: KubeObject, resource: string): readonly string[] => {
  const place = ofPods[resource];
  if (place === undefined || object.kind !== 'Pod') return [];
  const without = containersOf(object).filter((one) => at(one, 'resources', ...place) === undefined);
  return without.map((container) => asText(at(container, 'name')));
};

const text = (amounts: readonly (readonly [string, number])[]): string =>
  amounts.map(([resource, amount]) => `${resource}=${quantity(resource, amount)}`).join(',');

const quantity = (resource: string, amount: number): string => {
  if (!/memory|storage/.test(resource)) return String(canonicalQuantity(`${amount}m`));
  const units = ['', 'Ki', 'Mi', 'Gi', 'Ti'];
  let [left, unit] = [amount / 1000, 0];
  while (left !== 0 && left % 1024 === 0 && unit < units.length - 1) [left, unit] = [left / 1024, unit + 1];
  return `${left}${units[unit]}`;
};

/**
 * Refuses pods and volume claims that would take more than a ResourceQuota of their namespace leaves. What is taken is
 * counted at each request: a quota’s status is not kept, and its scopes are ignored.
 */
export const admissionQuota = (registry: Registry, resources: readonly Resource[]): Admit => {
  const quotas = resources.find((one) => one.kind === 'ResourceQuota');

  const check = (quota: KubeObject, request: AdmissionRequest, object: KubeObject): void => {
    const hard = asMap(at(quota, 'spec', 'hard'));
    const limited = Object.keys(hard)
      .toSorted()
      .flatMap((resource) => {
        const requested = taken(object, resource);
        return requested === undefined ? [] : [{ resource, requested, hard: thousandths(hard[resource]) }];
      });
    const { group, plural, kind } = request.resource;
    const subject = { group, plural, kind, name: request.name };
    const unsaid = limited.filter(({ resource }) => silent(object, resource).length > 0);
    if (unsaid.length > 0) {
      const what = unsaid.map(({ resource }) => `${resource} for: ${silent(object, resource).join(',')}`);
      throw forbidden(subject, `failed quota: ${nameOf(quota)}: must specify ${what.join('; ')}`);
    }
    const others = registry.list(request.resource, request.namespace).filter((one) => !isOver(one));
    const exceeded = limited
      .map((one) => ({
        ...one,
        used: others.map((other) => taken(other, one.resource) ?? 0).reduce((sum, amount) => sum + amount, 0),
      }))
      .filter(({ requested, used, hard: most }) => requested > 0 && used + requested > most);
    if (exceeded.length === 0) return;
    const requested = text(exceeded.map((one) => [one.resource, one.requested] as const));
    const used = text(exceeded.map((one) => [one.resource, one.used] as const));
    const most = text(exceeded.map((one) => [one.resource, one.hard] as const));
    throw forbidden(
      subject,
      `exceeded quota: ${nameOf(quota)}, requested: ${requested}, used: ${used}, limited: ${most}`,
    );
  };

  return async (request) => {
    const { object, operation, subresource, namespace } = request;
    if (quotas === undefined || object === undefined || operation !== 'CREATE' || subresource !== '')
      return [];
    for (const quota of registry.list(quotas, namespace)) check(quota, request, object);
    return [];
  };
};
