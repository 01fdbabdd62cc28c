import { at, isObject, listAt } from '../lib/json.ts';
import { quantityOf } from '../lib/quantity.ts';
import type { Manifest } from '../ports/cluster.ts';

/** What a pod takes of a quota: cores and bytes. */
export interface PodSize {
  readonly 'requests.cpu': number;
  readonly 'requests.memory': number;
  readonly 'limits.cpu': number;
  readonly 'limits.memory': number;
}

/** What the containers of a pod take together. A container that requests nothing is charged its limit, as Kubernetes does. */
export const podSizeOf = (pod: Manifest): PodSize => {
  const sum = (resource: 'cpu' | 'memory', kind: 'requests' | 'limits'): number =>
    listAt(pod, 'spec', 'containers')
      .map((container) => {
        const limit = quantityOf(at(container, 'resources', 'limits', resource)) ?? 0;
        return kind === 'limits'
          ? limit
          : (quantityOf(at(container, 'resources', 'requests', resource)) ?? limit);
      })
      .reduce((total, amount) => total + amount, 0);
  return {
    'requests.cpu': sum('cpu', 'requests'),
    'requests.memory': sum('memory', 'requests'),
    'limits.cpu': sum('cpu', 'limits'),
    'limits.memory': sum('memory', 'limits'),
  };
};

const keyOf = (resource: string): keyof PodSize | undefined => {
  switch (resource) {
    case 'cpu':
    case 'requests.cpu':
      return 'requests.cpu';
    case 'memory':
    case 'requests.memory':
      return 'requests.memory';
    case 'limits.cpu':
    case 'limits.memory':
      return resource;
    default:
      return undefined;
  }
};

const printed = (resource: string, amount: number): string =>
  resource.endsWith('memory')
    ? `${Math.floor(Math.max(0, amount) / 2 ** 20)}Mi`
    : `${Math.floor(Math.max(0, amount) * 1000) / 1000}`;

/** Sums of fractions of a core are not exact. */
const negligible = 1e-6;

const hardOf = (quota: Manifest): Readonly<Record<string, unknown>> => {
  const hard = at(quota, 'spec', 'hard');
  return isObject(hard) ? hard : {};
};

/**
 * What the namespace’s quotas lack for a pod of this size in place of the present one, as a sentence; undefined when it
 * fits. Quotas with scopes are not considered: whether they apply is the API server’s decision.
 */
export const quotaShortage = (
  quotas: readonly Manifest[],
  size: PodSize,
  present: PodSize | undefined,
): string | undefined => {
  const shortages = quotas
    .filter(
      (quota) =>
        at(quota, 'spec', 'scopes') === undefined && at(quota, 'spec', 'scopeSelector') === undefined,
    )
    .flatMap((quota) =>
      Object.entries(hardOf(quota)).flatMap(([resource, value]) => {
        const [key, hard] = [keyOf(resource), quantityOf(value)];
        if (key === undefined || hard === undefined) return [];
        const used = quantityOf(at(quota, 'status', 'used', resource)) ?? present?.[key] ?? 0;
        const free = hard - used + (present?.[key] ?? 0);
        if (size[key] <= free + negligible) return [];
        return [`${resource}: ${printed(resource, size[key])} needed, ${printed(resource, free)} available`];
      }),
    );
  if (shortages.length === 0) return undefined;
  return `The team’s quota cannot hold the server with its new configuration (${[...new Set(shortages)].join('; ')}). Nothing was stopped. Reduce the notebook’s resources, stop another server, or ask the platform team for a larger quota.`;
};
