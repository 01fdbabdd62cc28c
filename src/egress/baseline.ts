import type { V1NetworkPolicyEgressRule, V1NetworkPolicyPeer } from '@kubernetes/client-node';
import { componentLabel, notebookPods } from '../teams/labels.ts';
import { type Addresses, destinationOf } from './destinations.ts';
import {
  type EgressSettings,
  ipBlock,
  type NetworkPolicy,
  networkPolicy,
  type PolicyMeta,
  PolicyName,
} from './policy.ts';
import { type Cidr, compareCidrs, contains } from './ranges.ts';

const cidrOf = (first: number, length = 32): Cidr => ({ first, length });
const octets = (a: number, b: number, c: number, d: number) => ((a * 256 + b) * 256 + c) * 256 + d;

const metadataServer = ipBlock(cidrOf(octets(169, 254, 169, 254)));

/** Where Calico clusters see the metadata server, after translation. */
const metadataAgent = ipBlock(cidrOf(octets(169, 254, 169, 252)));
const nodeLocalDns = ipBlock(cidrOf(octets(169, 254, 20, 10)));

/** What Google publishes for private.googleapis.com and restricted.googleapis.com. */
const googleVirtualRanges = {
  private: cidrOf(octets(199, 36, 153, 8), 30),
  restricted: cidrOf(octets(199, 36, 153, 4), 30),
} as const;

/**
 * What every restricted notebook needs: DNS, its Google identity, its hub and Google APIs. Static except for Google
 * APIs that are resolved. It is applied before any allow policy and stays as long as the team is opted in.
 */
export function baselinePolicy(
  meta: PolicyMeta,
  settings: EgressSettings,
  addresses: Addresses = new Map(),
): NetworkPolicy {
  return networkPolicy(meta, PolicyName.Baseline, { matchLabels: { ...notebookPods } }, [
    dns(settings),
    ...metadata(),
    ...hub(),
    ...googleApis(settings, addresses),
  ]);
}

/** The same for Airflow workers, which have no hub but may have destinations that the operator names. */
export function airflowBaselinePolicy(
  meta: PolicyMeta,
  settings: EgressSettings,
  addresses: Addresses = new Map(),
): NetworkPolicy {
  const podSelector = { matchExpressions: [{ key: 'dag_id', operator: 'Exists' }] };
  const own = settings.airflowDestinations
    .toSorted((a, b) => a.port - b.port || compareCidrs(a.cidr, b.cidr))
    .map(({ cidr, port }) => tcp([port], [ipBlock(cidr)]));
  return networkPolicy(meta, PolicyName.AirflowBaseline, podSelector, [
    dns(settings),
    ...metadata(),
    ...googleApis(settings, addresses),
    ...own,
  ]);
}

/**
 * Whether the Google API rule of the baseline covers an answer for one of their names; if not, a notebook cannot
 * reach them although nothing failed.
 */
export function coversGoogleApis(address: Cidr, settings: EgressSettings): boolean {
  return settings.googleApis === 'resolve' || contains(googleVirtualRanges[settings.googleApis], address);
}

/** kube-dns pods, NodeLocal DNSCache and Cloud DNS together: an extra peer is harmless, a missing one an outage. */
function dns(settings: EgressSettings): V1NetworkPolicyEgressRule {
  return {
    ports: [
      { protocol: 'UDP', port: 53 },
      { protocol: 'TCP', port: 53 },
    ],
    to: [
      {
        namespaceSelector: { matchLabels: { 'kubernetes.io/metadata.name': 'kube-system' } },
        podSelector: {
          matchExpressions: [{ key: 'k8s-app', operator: 'In', values: ['kube-dns', 'node-local-dns'] }],
        },
      },
      nodeLocalDns,
      metadataServer,
      ...settings.dnsServiceRanges.toSorted(compareCidrs).map(ipBlock),
    ],
  };
}

/** Workload Identity, with its ALTS ports, before (Dataplane V2) and after (Calico) translation. */
function metadata(): V1NetworkPolicyEgressRule[] {
  return [tcp([80, 8080], [metadataServer]), tcp([987, 988], [metadataAgent])];
}

/** Kernels report to the hub, and servers may be asked for through its proxy. Pods of this namespace only. */
function hub(): V1NetworkPolicyEgressRule[] {
  return [
    tcp([8081], [component('hub')]),
    tcp([8000], [component('proxy')]),
    tcp([8080, 8443], [component('autohttps')]),
  ];
}

function googleApis(settings: EgressSettings, addresses: Addresses): V1NetworkPolicyEgressRule[] {
  const peers =
    settings.googleApis === 'resolve'
      ? resolvedGoogleApis(settings, addresses)
      : [ipBlock(googleVirtualRanges[settings.googleApis])];
  // A rule without peers would open its port to every destination.
  return peers.length === 0 ? [] : [tcp([443], peers)];
}

function resolvedGoogleApis(settings: EgressSettings, addresses: Addresses): V1NetworkPolicyPeer[] {
  const cidrs = settings.googleApiHosts.flatMap(
    (host) => destinationOf(host, 'name', addresses, settings).cidrs,
  );
  const distinct = new Map(cidrs.map((cidr) => [cidr.first, cidr]));
  return [...distinct.values()].sort(compareCidrs).map(ipBlock);
}

const tcp = (ports: readonly number[], to: V1NetworkPolicyPeer[]): V1NetworkPolicyEgressRule => ({
  ports: ports.map((port) => ({ protocol: 'TCP', port })),
  to,
});

const component = (name: string): V1NetworkPolicyPeer => ({
  podSelector: { matchLabels: { [componentLabel]: name } },
});
