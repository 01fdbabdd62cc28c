import { BlockList } from 'node:net';
import type {
  V1LabelSelector,
  V1NetworkPolicy,
  V1NetworkPolicyEgressRule,
  V1NetworkPolicyIngressRule,
  V1NetworkPolicyPeer,
  V1NetworkPolicyPort,
} from '@kubernetes/client-node';

/** A pod as NetworkPolicies see it. */
export interface Pod {
  readonly namespace: string;
  readonly namespaceLabels: Readonly<Record<string, string>>;
  readonly labels: Readonly<Record<string, string>>;
}

/** Where a connection goes; `pod` when the address is a pod’s. */
export interface Connection {
  readonly ip: string;
  readonly port: number;
  readonly protocol: 'TCP' | 'UDP' | 'SCTP';
  readonly pod?: Pod;
}

/**
 * The egress semantics of NetworkPolicy v1, written from its API reference and sharing no code with the compiler.
 * A pod that no egress policy selects may connect anywhere; else the union of all rules holds. A rule without
 * `to` means every destination, one without `ports` every port. An ipBlock matches pods’ addresses too: some
 * dataplanes read it so, and the tests want the widest reading.
 */
export function egressAllowed(policies: readonly V1NetworkPolicy[], pod: Pod, to: Connection): boolean {
  const selecting = policies.filter(
    (policy) =>
      policy.metadata?.namespace === pod.namespace &&
      isEgress(policy) &&
      matches(policy.spec?.podSelector, pod.labels),
  );
  if (selecting.length === 0) return true;
  return selecting.some((policy) => policy.spec?.egress?.some((rule) => ruleAllows(rule, pod.namespace, to)));
}

/** Who connects to a pod; `pod` when the address is a pod’s. */
export interface Peer {
  readonly ip: string;
  readonly pod?: Pod;
}

/** A pod that accepts connections; `ports` are the container’s ports by name. */
export interface ServingPod extends Pod {
  readonly ports: Readonly<Record<string, number>>;
}

/**
 * The ingress semantics of NetworkPolicy v1 for TCP. A pod that no ingress policy selects accepts every connection; else
 * the union of all rules holds. A rule without `from` means everybody. A named port is that of the selected pod.
 */
export function ingressAllowed(
  policies: readonly V1NetworkPolicy[],
  pod: ServingPod,
  from: Peer,
  port: number,
): boolean {
  const selecting = policies.filter(
    (policy) =>
      policy.metadata?.namespace === pod.namespace &&
      (policy.spec?.policyTypes ?? ['Ingress']).includes('Ingress') &&
      matches(policy.spec?.podSelector, pod.labels),
  );
  const accepts = ({ ports = [], _from: peers = [] }: V1NetworkPolicyIngressRule): boolean =>
    (ports.length === 0 || ports.some((one) => acceptsPort(one, pod, port))) &&
    (peers.length === 0 || peers.some((peer) => peerMatches(peer, pod.namespace, from)));
  return selecting.length === 0 || selecting.some((policy) => policy.spec?.ingress?.some(accepts));
}

function acceptsPort({ protocol = 'TCP', port, endPort }: V1NetworkPolicyPort, pod: ServingPod, to: number) {
  if (protocol !== 'TCP') return false;
  if (port === undefined) return true;
  const first = typeof port === 'string' && !/^\d+$/.test(port) ? pod.ports[port] : Number(port);
  return first !== undefined && to >= first && to <= (endPort ?? first);
}

function isEgress({ spec }: V1NetworkPolicy): boolean {
  return spec?.policyTypes === undefined ? spec?.egress !== undefined : spec.policyTypes.includes('Egress');
}

function ruleAllows(rule: V1NetworkPolicyEgressRule, namespace: string, to: Connection): boolean {
  const { ports = [], to: peers = [] } = rule;
  return (
    (ports.length === 0 || ports.some((port) => portMatches(port, to))) &&
    (peers.length === 0 || peers.some((peer) => peerMatches(peer, namespace, to)))
  );
}

function portMatches(port: V1NetworkPolicyPort, to: Connection): boolean {
  if ((port.protocol ?? 'TCP') !== to.protocol) return false;
  if (port.port === undefined) return true;
  return to.port >= Number(port.port) && to.port <= (port.endPort ?? Number(port.port));
}

function peerMatches(peer: V1NetworkPolicyPeer, namespace: string, to: Peer): boolean {
  if (peer.ipBlock !== undefined) {
    const { cidr, except = [] } = peer.ipBlock;
    return inSubnet(cidr, to.ip) && !except.some((inner) => inSubnet(inner, to.ip));
  }
  if (to.pod === undefined) return false;
  const inNamespace =
    peer.namespaceSelector === undefined
      ? to.pod.namespace === namespace
      : matches(peer.namespaceSelector, to.pod.namespaceLabels);
  return inNamespace && matches(peer.podSelector ?? {}, to.pod.labels);
}

export function inSubnet(cidr: string, ip: string): boolean {
  const [network = '', prefix] = cidr.split('/');
  const subnet = new BlockList();
  subnet.addSubnet(network, Number(prefix), 'ipv4');
  return subnet.check(ip, 'ipv4');
}

function matches(selector: V1LabelSelector | undefined, labels: Readonly<Record<string, string>>): boolean {
  const equal = Object.entries(selector?.matchLabels ?? {}).every(([key, value]) => labels[key] === value);
  return (
    equal &&
    (selector?.matchExpressions ?? []).every(({ key, operator, values = [] }) => {
      const value = labels[key];
      switch (operator) {
        case 'In':
          return value !== undefined && values.includes(value);
        case 'NotIn':
          return value === undefined || !values.includes(value);
        case 'Exists':
          return value !== undefined;
        case 'DoesNotExist':
          return value === undefined;
        default:
          throw new TypeError(`no such operator: ${operator}`);
      }
    })
  );
}
