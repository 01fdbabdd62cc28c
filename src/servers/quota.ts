import { at, isObject, listAt } from '../lib/json.ts';
import type { Manifest } from '../ports/cluster.ts';

/** What a pod takes of a quota: cores and bytes. */
export interface PodSize {
  readonly 'requests.cpu': number;
  readonly 'requests.memory': number;
  readonly 'limits.cpu': number;
  readonly 'limits.memory': number;
}

const suffixes: Readonly<Record<string, number>> = {
  '': 1,
  n: 1e-9,
  u: 1e-6,
  m: 1e-3,
  k: 1e3,
  M: 1e6,
  G: 1e9,
  T: 1e12,
  P: 1e15,
  E: 1e18,
  Ki: 2 ** 10,
  Mi: 2 ** 20,
  Gi: 2 ** 30,
  Ti: 2 ** 40,
  Pi: 2 ** 50,
  Ei: 2 ** 60,
};

/** The number that a Kubernetes quantity stands for; undefined for what is none. */
const quantityOf = (value: unknown): number | undefined => {
  if (typeof value === 'number') return value;
  if (typeof value !== 'string') return undefined;
  const [, digits = '', suffix = ''] = /^([+-]?[0-9.]+(?:[eE][+-]?[0-9]+)?)([a-zA-Z]*)$/.exec(value) ?? [];
  const factor = suffixes[suffix];
  return digits === '' || factor === undefined ? undefined : Number(digits) * factor;
};

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
