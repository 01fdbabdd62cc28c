import type { AllowlistEntry } from '../model/allowlist.ts';
import type { EgressSettings } from './policy.ts';
import {
  type Cidr,
  compareCidrs,
  forbiddenRange,
  forbiddenWithin,
  parseCidr,
  parseIpv6,
  printCidr,
} from './ranges.ts';

/** Every answer known for a host, IPv4 and IPv6 in text, in any order. */
export type Addresses = ReadonlyMap<string, readonly string[]>;

export const HostStatus = {
  Resolved: 'resolved',
  /** No answer is known. */
  Unresolved: 'unresolved',
  /** Every IPv4 answer lies in a forbidden range. */
  BlockedPrivateAnswer: 'blocked_private_answer',
  /** Only the lowest addresses are opened, so the selection is stable. */
  TooManyAddresses: 'too_many_addresses',
  /** Every answer is IPv6, which an IPv4 cluster cannot reach. */
  Ipv6Only: 'ipv6_only',
} as const;
export type HostStatus = (typeof HostStatus)[keyof typeof HostStatus];

/** The outcome for one host of the list. */
export interface HostReport {
  readonly host: string;
  readonly status: HostStatus;
  /** What is opened, in numeric order: addresses, or the range of the entry. */
  readonly addresses: readonly string[];
  /** The addresses left out, each with the forbidden range it lies in. */
  readonly filtered: readonly { readonly address: string; readonly range: string }[];
}

export interface Destination {
  readonly report: HostReport;
  readonly cidrs: readonly Cidr[];
}

/**
 * The addresses at which a host may be reached. Forbidden ranges are checked on every call, for literal entries too:
 * settings may have changed since the entry was accepted. Addresses of the operator’s host map count as opened.
 */
export function destinationOf(
  host: string,
  kind: AllowlistEntry['kind'],
  addresses: Addresses,
  settings: EgressSettings,
): Destination {
  if (kind !== 'name') return literal(host, settings);
  const mapped = settings.hostMap.get(host);
  if (mapped === undefined) return fromAnswers(host, addresses.get(host) ?? [], settings);
  const opened = mapped.flatMap((address) => parseCidr(address) ?? []);
  return fromAnswers(host, mapped, { ...settings, privateRanges: [...settings.privateRanges, ...opened] });
}

/** A sentence about the hosts without an open address; undefined when there are none. */
export function closedSentence(hosts: readonly HostReport[]): string | undefined {
  const shut = hosts.filter(({ addresses }) => addresses.length === 0);
  if (shut.length === 0) return undefined;
  const named = shut.map(({ host, status }) => `${host} (${status})`).join(', ');
  return `${shut.length} of ${hosts.length} hosts have no address that can be opened: ${named}.`;
}

function literal(host: string, settings: EgressSettings): Destination {
  const cidr = parseCidr(host);
  const range = cidr === undefined ? 'not an address' : forbiddenWithin(cidr, settings);
  if (cidr === undefined || range !== undefined) {
    const filtered = [{ address: host, range: range ?? 'not an address' }];
    return { report: { host, status: HostStatus.BlockedPrivateAnswer, addresses: [], filtered }, cidrs: [] };
  }
  return { report: { host, status: HostStatus.Resolved, addresses: [host], filtered: [] }, cidrs: [cidr] };
}

function fromAnswers(host: string, answers: readonly string[], settings: EgressSettings): Destination {
  const ipv4 = [...new Set(answers)].filter((answer) => parseIpv6(answer) === undefined).sort();
  const judged = ipv4.map((address) => ({ address, range: forbiddenRange(address, settings) }));
  const filtered = judged.flatMap(({ address, range }) => (range === undefined ? [] : [{ address, range }]));
  const allowed = judged
    .filter(({ range }) => range === undefined)
    .flatMap(({ address }) => parseCidr(address) ?? [])
    .sort(compareCidrs);
  const cidrs = allowed.slice(0, settings.maxAddressesPerHost);
  const addresses = cidrs.map((cidr) => printCidr(cidr).replace('/32', ''));
  return { report: { host, status: statusOf(), addresses, filtered }, cidrs };

  function statusOf(): HostStatus {
    if (allowed.length > cidrs.length) return HostStatus.TooManyAddresses;
    if (cidrs.length > 0) return HostStatus.Resolved;
    if (filtered.length > 0) return HostStatus.BlockedPrivateAnswer;
    return answers.length > 0 ? HostStatus.Ipv6Only : HostStatus.Unresolved;
  }
}
