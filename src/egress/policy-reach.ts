import { at, isObject, type JsonObject, listAt } from '../lib/json.ts';
import type { Manifest } from '../ports/cluster.ts';
import { maySelectNotebooks } from './foreign-policies.ts';
import { parseIpv4, sizeOf } from './ranges.ts';

/** Whether a NetworkPolicy’s egress lets TCP through to an address outside of the cluster (its API reference). */
export function opensAddress(spec: unknown, address: number, port: number): boolean {
  if (!isObject(spec)) return false;
  if (spec.policyTypes !== undefined && !listAt(spec, 'policyTypes').includes('Egress')) return false;
  return listAt(spec, 'egress')
    .filter(isObject)
    .some((rule) => {
      // GKE’s FQDNNetworkPolicy: by name, not by address.
      if (rule.matches !== undefined) return false;
      const peers = listAt(rule, 'to');
      return opensPort(rule, port) && (peers.length === 0 || peers.some((peer) => isPeer(peer, address)));
    });
}

function opensPort(rule: JsonObject, port: number): boolean {
  const ports = listAt(rule, 'ports');
  return (
    ports.length === 0 ||
    ports.filter(isObject).some((item) => {
      if ((item.protocol ?? 'TCP') !== 'TCP' && item.protocol !== 'ALL') return false;
      if (item.port === undefined) return true;
      // A port by name is a pod’s.
      if (typeof item.port !== 'number') return false;
      const end = typeof item.endPort === 'number' ? item.endPort : item.port;
      return item.port <= port && port <= end;
    })
  );
}

function isPeer(peer: unknown, address: number): boolean {
  const cidr = at(peer, 'ipBlock', 'cidr');
  return (
    isWithin(cidr, address) && !listAt(peer, 'ipBlock', 'except').some((part) => isWithin(part, address))
  );
}

/** Others write ranges with bits set after the prefix, too. */
function isWithin(cidr: unknown, address: number): boolean {
  if (typeof cidr !== 'string') return false;
  const [host = '', length = ''] = cidr.split('/', 2);
  const first = parseIpv4(host);
  if (first === undefined || !/^[0-9]{1,2}$/.test(length) || Number(length) > 32) return false;
  const size = sizeOf(Number(length));
  return Math.floor(first / size) === Math.floor(address / size);
}

/** Whether an FQDNNetworkPolicy names the host; its wildcards stay within a label. */
export function opensName({ kind, spec }: Manifest, host: string, port: number): boolean {
  if (kind !== 'FQDNNetworkPolicy' || !isObject(spec) || !maySelectNotebooks(spec.podSelector)) return false;
  return listAt(spec, 'egress')
    .filter(isObject)
    .some((rule) => {
      const isNamed = listAt(rule, 'matches').some((match) => {
        const pattern = at(match, 'pattern');
        if (pattern === '*') return true;
        return typeof pattern === 'string' ? fits(host, pattern) : at(match, 'name') === host;
      });
      return isNamed && opensPort(rule, port);
    });
}

function fits(host: string, pattern: string): boolean {
  const [labels, patterns] = [host.split('.'), pattern.toLowerCase().split('.')];
  return (
    labels.length === patterns.length &&
    labels.every((label, index) => fitsLabel(label, patterns[index] ?? ''))
  );
}

/** `*` matches any number of characters; the parts around it must follow in order. */
function fitsLabel(label: string, pattern: string): boolean {
  const parts = pattern.split('*');
  const [first = '', last = ''] = [parts[0], parts.at(-1)];
  if (parts.length === 1) return label === pattern;
  if (!label.startsWith(first) || !label.endsWith(last) || label.length < first.length + last.length)
    return false;
  let from = first.length;
  for (const part of parts.slice(1, -1)) {
    const found = label.indexOf(part, from);
    if (found < 0 || found + part.length > label.length - last.length) return false;
    from = found + part.length;
  }
  return true;
}

/** Whether a policy may isolate notebooks: they then reach only what a policy opens. */
export function mayIsolateNotebooks({ kind, spec }: Manifest): boolean {
  if (!isObject(spec) || !maySelectNotebooks(spec.podSelector)) return false;
  return kind === 'FQDNNetworkPolicy' || limitsEgress(spec);
}

/**
 * Whether a policy opens this port at every address, whatever a host resolves to. `public`: or at every address but
 * some ranges, as the chart does for addresses that are not private.
 */
export function opensEveryAddress(
  { spec }: Manifest,
  port: number,
  where: 'all' | 'public' = 'all',
): boolean {
  if (!isObject(spec) || !maySelectNotebooks(spec.podSelector) || !limitsEgress(spec)) return false;
  return listAt(spec, 'egress')
    .filter(isObject)
    .filter((rule) => rule.matches === undefined && opensPort(rule, port))
    .some((rule) => {
      const peers = listAt(rule, 'to');
      const isEvery = (peer: unknown) =>
        String(at(peer, 'ipBlock', 'cidr')).endsWith('/0') &&
        (where === 'public' || listAt(peer, 'ipBlock', 'except').length === 0);
      return peers.length === 0 || peers.some(isEvery);
    });
}

/** Without policyTypes a policy limits egress where it has rules for it. */
const limitsEgress = (spec: JsonObject): boolean =>
  spec.policyTypes === undefined
    ? listAt(spec, 'egress').length > 0
    : listAt(spec, 'policyTypes').includes('Egress');
