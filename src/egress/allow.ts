import { createHash } from 'node:crypto';
import type { V1NetworkPolicyEgressRule } from '@kubernetes/client-node';
import type { AllowlistEntry } from '../model/allowlist.ts';
import { notebookPods } from '../teams/labels.ts';
import { type Addresses, destinationOf, type HostReport } from './destinations.ts';
import {
  byText,
  type EgressSettings,
  ipBlock,
  type NetworkPolicy,
  networkPolicy,
  type PolicyMeta,
  PolicyName,
} from './policy.ts';
import { type Cidr, compareCidrs, printCidr } from './ranges.ts';

/** The pods that an allow policy selects, and its name. */
export interface AllowTarget {
  readonly name: string;
  readonly matchLabels: Readonly<Record<string, string>>;
}

export const notebookTarget: AllowTarget = { name: PolicyName.Allow, matchLabels: notebookPods };

/** The entries need a policy larger than the cluster’s nodes can hold. */
export interface PolicyTooLarge {
  readonly code: 'policy_too_large';
  readonly peers: number;
  readonly limit: number;
  readonly message: string;
}

export interface AllowResult {
  /** Undefined when there is nothing to allow, or too much. */
  readonly policy: NetworkPolicy | undefined;
  /** One per distinct host, by name. */
  readonly hosts: readonly HostReport[];
  readonly problem: PolicyTooLarge | undefined;
}

/**
 * Compiles entries and the addresses of their hosts. The same input in any order gives the same bytes: peers in
 * numeric order, once each; ports that have the same peers in one rule; rules by their first port. There is
 * never a rule without peers, since Kubernetes reads it as every destination. A policy that would be too large is
 * refused as a whole: a part of it would be a different list.
 */
export function allowPolicy(
  meta: PolicyMeta,
  entries: readonly AllowlistEntry[],
  addresses: Addresses,
  settings: EgressSettings,
  target: AllowTarget = notebookTarget,
): AllowResult {
  const hosts = new Map(entries.map((entry) => [entry.host, entry.kind]));
  const destinations = new Map(
    [...hosts]
      .sort(([a], [b]) => byText(a, b))
      .map(([host, kind]) => [host, destinationOf(host, kind, addresses, settings)]),
  );
  const reports = [...destinations.values()].map((destination) => destination.report);

  const peersByPorts = new Map<string, PortPeers>();
  for (const { host, portStart, portEnd } of entries) {
    const key = `${portStart}-${portEnd}`;
    const ports = peersByPorts.get(key) ?? { portStart, portEnd, peers: new Map<string, Cidr>() };
    for (const cidr of destinations.get(host)?.cidrs ?? []) ports.peers.set(printCidr(cidr), cidr);
    peersByPorts.set(key, ports);
  }

  const rules = rulesOf([...peersByPorts.values()]);
  const peers = rules.reduce((sum, rule) => sum + (rule.to?.length ?? 0), 0);
  if (peers > settings.maxPeers) {
    return { policy: undefined, hosts: reports, problem: tooLarge(peers, settings.maxPeers) };
  }
  const policy =
    rules.length === 0
      ? undefined
      : networkPolicy(meta, target.name, { matchLabels: { ...target.matchLabels } }, rules);
  return { policy, hosts: reports, problem: undefined };
}

/**
 * The pods of one Airflow task run. Undefined when a label is missing: a selector that leaves one out would
 * reach the pods of other runs.
 */
export function airflowTarget(labels: Readonly<Record<string, string>>): AllowTarget | undefined {
  const { dag_id, task_id, run_id } = labels;
  if (!dag_id || !task_id || !run_id) return undefined;
  const id = createHash('sha256')
    .update(JSON.stringify([dag_id, task_id, run_id]))
    .digest('hex')
    .slice(0, 16);
  return { name: `airflow-egress-allow-${id}`, matchLabels: { dag_id, run_id, task_id } };
}

interface PortPeers {
  readonly portStart: number;
  readonly portEnd: number;
  readonly peers: Map<string, Cidr>;
}

function rulesOf(ports: readonly PortPeers[]): V1NetworkPolicyEgressRule[] {
  const withPeers = ports
    .filter(({ peers }) => peers.size > 0)
    .sort((a, b) => a.portStart - b.portStart || a.portEnd - b.portEnd)
    .map((port) => ({ ...port, cidrs: [...port.peers.values()].sort(compareCidrs) }));
  const samePeers = Map.groupBy(withPeers, ({ cidrs }) => cidrs.map(printCidr).join());
  return [...samePeers.values()].map((group) => ({
    ports: group.map(({ portStart, portEnd }) => ({
      protocol: 'TCP',
      port: portStart,
      ...(portEnd > portStart ? { endPort: portEnd } : {}),
    })),
    to: group[0]?.cidrs.map(ipBlock) ?? [],
  }));
}

function tooLarge(peers: number, limit: number): PolicyTooLarge {
  return {
    code: 'policy_too_large',
    peers,
    limit,
    message: `The list needs ${peers} combinations of address and port; the limit per team is ${limit}. Remove hosts that are no longer used.`,
  };
}
