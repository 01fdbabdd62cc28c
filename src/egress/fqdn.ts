import { createHash } from 'node:crypto';
import type { AllowlistEntry } from '../model/allowlist.ts';
import { notebookPods } from '../teams/labels.ts';
import { type Addresses, destinationOf } from './destinations.ts';
import {
  byText,
  type EgressSettings,
  type ObjectMeta,
  objectMeta,
  type PolicyMeta,
  PolicyName,
} from './policy.ts';

/** GKE’s policy by host name: the nodes learn the addresses from the pods’ own DNS queries. */
export interface FqdnNetworkPolicy {
  apiVersion: 'networking.gke.io/v1alpha1';
  kind: 'FQDNNetworkPolicy';
  metadata: ObjectMeta;
  spec: {
    podSelector: { matchLabels: Record<string, string> };
    egress: { matches: { name: string }[]; ports: { protocol: 'TCP'; port: number }[] }[];
  };
}

/**
 * The backend to use: GKE’s if it is configured and version v1alpha1 is served. v1alpha3 is another product’s resource
 * with the same name.
 */
export function chooseBackend(
  wanted: EgressSettings['backend'],
  servedVersions: readonly string[],
): EgressSettings['backend'] {
  return wanted === 'gke-fqdn' && servedVersions.includes('v1alpha1') ? 'gke-fqdn' : 'ip';
}

/** Whether GKE resolves this entry; literal addresses and the operator’s host map use ipBlocks. */
export function isFqdnEntry(entry: AllowlistEntry, settings: EgressSettings): boolean {
  return entry.kind === 'name' && !settings.hostMap.has(entry.host);
}

/**
 * One object per host, since GKE limits the addresses per object; ports written out one by one, since an item
 * without a port means every port and there are no ranges. GKE cannot filter answers, so a host that is known to
 * resolve to a forbidden address gets no object. This does not protect against a host that starts to do so later:
 * use the backend `ip` where teams are not trusted.
 */
export function fqdnPolicies(
  meta: PolicyMeta,
  entries: readonly AllowlistEntry[],
  addresses: Addresses,
  settings: EgressSettings,
): FqdnNetworkPolicy[] {
  const byHost = Map.groupBy(
    entries.filter((entry) => isFqdnEntry(entry, settings)),
    (entry) => entry.host,
  );
  return [...byHost]
    .filter(([host]) => destinationOf(host, 'name', addresses, settings).report.filtered.length === 0)
    .sort(([a], [b]) => byText(a, b))
    .map(([host, ofHost]) => fqdnPolicy(meta, host, ofHost));
}

function fqdnPolicy(meta: PolicyMeta, host: string, entries: readonly AllowlistEntry[]): FqdnNetworkPolicy {
  const ports = new Set(
    entries.flatMap(({ portStart, portEnd }) =>
      Array.from({ length: portEnd - portStart + 1 }, (_, offset) => portStart + offset),
    ),
  );
  const id = createHash('sha256').update(host).digest('hex').slice(0, 16);
  return {
    apiVersion: 'networking.gke.io/v1alpha1',
    kind: 'FQDNNetworkPolicy',
    metadata: objectMeta(meta, `${PolicyName.Allow}-${id}`),
    spec: {
      podSelector: { matchLabels: { ...notebookPods } },
      egress: [
        {
          matches: [{ name: host }],
          ports: [...ports].sort((a, b) => a - b).map((port) => ({ protocol: 'TCP', port })),
        },
      ],
    },
  };
}
