import { at, listAt } from '../lib/json.ts';
import { bytesOf, canonicalBytes, canonicalMillicores, quantityOf } from '../lib/quantity.ts';
import { kinds } from '../model/kinds.ts';
import type { Release, TeamRecord } from '../model/record.ts';
import type { Manifest } from '../ports/cluster.ts';
import type { Meta } from '../teams/desired.ts';

export const resourceQuotaName = 'notebook-quota';

/** What notebooks request together, and the size of their homes: cores and bytes. */
export interface Usage {
  readonly cpu: number;
  readonly memory: number;
  readonly home: number;
}

const nothing: Usage = { cpu: 0, memory: 0, home: 0 };

type Compute = 'cpu' | 'memory';

/** Kubernetes charges a container without a request its limit; undefined without either. */
const requestOf = (resources: unknown, resource: Compute): number | undefined =>
  quantityOf(at(resources, 'requests', resource) ?? at(resources, 'limits', resource));

const sum = (amounts: readonly number[]): number => amounts.reduce((total, amount) => total + amount, 0);

/** What these notebook pods and home volumes take of a quota. */
export const usageOf = (pods: readonly Manifest[], homes: readonly Manifest[]): Usage => {
  const requested = (resource: Compute) =>
    sum(
      pods
        .flatMap((pod) => listAt(pod, 'spec', 'containers'))
        .map((container) => requestOf(at(container, 'resources'), resource) ?? 0),
    );
  return {
    cpu: requested('cpu'),
    memory: requested('memory'),
    home: sum(homes.map((home) => quantityOf(at(home.spec, 'resources', 'requests', 'storage')) ?? 0)),
  };
};

/** The resources of every container of the hub and the proxy, as the chart makes them from its values. */
const coreContainers = (values: unknown): readonly unknown[] => [
  at(values, 'hub', 'resources'),
  at(values, 'proxy', 'chp', 'resources'),
  ...(at(values, 'proxy', 'https', 'enabled') === true
    ? [at(values, 'proxy', 'traefik', 'resources'), at(values, 'proxy', 'secretSync', 'resources')]
    : []),
  ...['extraContainers', 'initContainers'].flatMap((name) =>
    listAt(values, 'hub', name).map((container) => at(container, 'resources')),
  ),
];

/** What the hub and the proxy request; undefined when a container requests none of it. */
const coreRequest = (release: Release | null, resource: Compute): number | undefined => {
  if (release === null) return 0;
  const requests = coreContainers(at(release.spec, 'values')).map((one) => requestOf(one, resource));
  const known = requests.filter((request) => request !== undefined);
  return known.length === requests.length ? sum(known) : undefined;
};

/** The chart’s default for the volume of the hub’s database. */
const defaultDatabase = '1Gi';

const databaseSize = (release: Release | null): number =>
  release === null
    ? 0
    : (quantityOf(at(release.spec, 'values', 'hub', 'db', 'pvc', 'storage') ?? defaultDatabase) ?? 0);

const printCores = (cores: number): string => canonicalMillicores(Math.ceil(cores * 1000 - 1e-6));
const printWholeMebibytes = (bytes: number): string =>
  canonicalBytes(Math.ceil(bytes / 1024 ** 2) * 1024 ** 2);

/**
 * The team’s quota as Kubernetes enforces it, also for starts from the hub’s own page; none for a team without limits.
 *
 * It limits requests, which are what nodes reserve. Kubernetes refuses every pod whose containers do not state a
 * resource that a quota limits, so a quota on limits would refuse the hub and the proxy, which have no CPU limit; and
 * where the platform’s values give one of them no request either, that resource is left to the check of the order.
 * A quota counts every pod and volume of the namespace, so the hub, the proxy and the hub’s database come on top of
 * what the team has. `used`: what notebooks take now. The quota is never below it: otherwise a hub whose pod moves to
 * another node would be refused until notebooks stop.
 */
export const resourceQuota = (
  { quota, release }: TeamRecord,
  meta: Meta,
  used: Usage = nothing,
): readonly Manifest[] => {
  const [cpu, memory] = [coreRequest(release, 'cpu'), coreRequest(release, 'memory')];
  const hard = {
    ...(quota.cpu === null || cpu === undefined
      ? {}
      : { 'requests.cpu': printCores(Math.max(quota.cpu, used.cpu) + cpu) }),
    ...(quota.memory === null || memory === undefined
      ? {}
      : { 'requests.memory': printWholeMebibytes(Math.max(bytesOf(quota.memory), used.memory) + memory) }),
    ...(quota.home === null
      ? {}
      : {
          'requests.storage': printWholeMebibytes(
            Math.max(bytesOf(quota.home), used.home) + databaseSize(release),
          ),
        }),
  };
  if (Object.keys(hard).length === 0) return [];
  const { namespace, labels, annotations } = meta;
  return [
    {
      ...kinds.resourceQuota,
      metadata: { name: resourceQuotaName, namespace, labels, annotations },
      spec: { hard },
    },
  ];
};
