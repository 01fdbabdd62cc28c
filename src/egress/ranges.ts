import { isIPv6 } from 'node:net';

/**
 * IPv4 arithmetic and the forbidden address ranges. Addresses are unsigned numbers, never the signed results of
 * bitwise operators.
 */

/** `first` is the lowest address, an unsigned 32-bit number; `length` the prefix length, 0 to 32. */
export interface Cidr {
  readonly first: number;
  readonly length: number;
}

/** The operator’s settings for the network; both lists are parsed once, from the configuration. */
export interface RangeSettings {
  /** Pod, Service, node and control-plane ranges of the cluster: always forbidden. */
  readonly clusterRanges: readonly Cidr[];
  /** EGRESS_PRIVATE_RANGES: ranges that the operator opens. Only ranges marked `openable` below can be opened. */
  readonly privateRanges: readonly Cidr[];
}

const decimalOctet = /^(?:0|[1-9][0-9]{0,2})$/;

/** Four canonical decimal octets only: no leading zeros, no hexadecimal, no short forms. */
export function parseIpv4(text: string): number | undefined {
  if (text.length > 15) return undefined;
  const octets = text.split('.');
  if (octets.length !== 4) return undefined;
  let address = 0;
  for (const octet of octets) {
    const value = Number(octet);
    if (!decimalOctet.test(octet) || value > 255) return undefined;
    address = address * 256 + value;
  }
  return address;
}

export function printIpv4(address: number): string {
  return [2 ** 24, 2 ** 16, 2 ** 8, 1].map((unit) => Math.floor(address / unit) % 256).join('.');
}

/** How many addresses a prefix of this length has. */
export function sizeOf(length: number): number {
  return 2 ** (32 - length);
}

export function lastOf(cidr: Cidr): number {
  return cidr.first + sizeOf(cidr.length) - 1;
}

/** The canonical forms `a.b.c.d/n` and `a.b.c.d` (a /32). Undefined if host bits are set: Kubernetes refuses them. */
export function parseCidr(text: string): Cidr | undefined {
  const [host = '', prefix = '32', ...rest] = text.split('/', 3);
  const first = parseIpv4(host);
  if (first === undefined || rest.length > 0 || !/^(?:[0-9]|[12][0-9]|3[0-2])$/.test(prefix))
    return undefined;
  const length = Number(prefix);
  return first % sizeOf(length) === 0 ? { first, length } : undefined;
}

/** Always with its prefix length, the only form an ipBlock takes. */
export function printCidr(cidr: Cidr): string {
  return `${printIpv4(cidr.first)}/${cidr.length}`;
}

export function contains(outer: Cidr, inner: Cidr): boolean {
  return outer.first <= inner.first && lastOf(inner) <= lastOf(outer);
}

function overlaps(a: Cidr, b: Cidr): boolean {
  return contains(a, b) || contains(b, a);
}

/** Orders by address, then the wider prefix first. */
export function compareCidrs(a: Cidr, b: Cidr): number {
  return a.first - b.first || a.length - b.length;
}

/** Whether these ranges together cover every address of `cidr`. */
function covered(cidr: Cidr, ranges: readonly Cidr[]): boolean {
  let next = cidr.first;
  for (const range of ranges.toSorted(compareCidrs)) {
    if (range.first > next) break;
    next = Math.max(next, lastOf(range) + 1);
  }
  return next > lastOf(cidr);
}

interface ForbiddenRange {
  readonly name: string;
  readonly cidr: Cidr;
  /** Whether EGRESS_PRIVATE_RANGES may open it. The metadata server and loopback never are. */
  readonly openable: boolean;
}

const forbid = (name: string, openable: boolean, ...texts: readonly string[]): readonly ForbiddenRange[] =>
  texts.map((text) => {
    const cidr = parseCidr(text);
    if (cidr === undefined) throw new TypeError(`${text} is not an IPv4 range`);
    return { name, cidr, openable };
  });

/** The IANA special-purpose registry (RFC 6890), and the range from which GKE numbers Services by default. */
const forbiddenIpv4: readonly ForbiddenRange[] = [
  ...forbid('this network', false, '0.0.0.0/8'),
  ...forbid('private', true, '10.0.0.0/8', '172.16.0.0/12', '192.168.0.0/16'),
  ...forbid('shared address space', true, '100.64.0.0/10'),
  ...forbid('loopback', false, '127.0.0.0/8'),
  ...forbid('link-local / metadata', false, '169.254.0.0/16'),
  ...forbid('protocol assignments', true, '192.0.0.0/24'),
  ...forbid('documentation', true, '192.0.2.0/24', '198.51.100.0/24', '203.0.113.0/24'),
  ...forbid('benchmarking', true, '198.18.0.0/15'),
  ...forbid('GKE Services', false, '34.118.224.0/20'),
  ...forbid('multicast', false, '224.0.0.0/4'),
  ...forbid('reserved', false, '240.0.0.0/4'),
];

interface ForbiddenIpv6 {
  readonly name: string;
  readonly first: bigint;
  readonly length: number;
}

const forbidIpv6 = (name: string, address: string, length: number): ForbiddenIpv6 => {
  const first = parseIpv6(address);
  if (first === undefined) throw new TypeError(`${address} is not an IPv6 address`);
  return { name, first, length };
};

/**
 * Mapped and NAT64 addresses are all forbidden: they embed an IPv4 address, which an IPv4 filter does not match.
 */
const forbiddenIpv6: readonly ForbiddenIpv6[] = [
  forbidIpv6('unspecified', '::', 128),
  forbidIpv6('loopback', '::1', 128),
  forbidIpv6('IPv4-mapped', '::ffff:0:0', 96),
  forbidIpv6('NAT64', '64:ff9b::', 96),
  forbidIpv6('NAT64', '64:ff9b:1::', 48),
  forbidIpv6('discard-only', '100::', 64),
  forbidIpv6('documentation', '2001:db8::', 32),
  forbidIpv6('6to4', '2002::', 16),
  forbidIpv6('unique local', 'fc00::', 7),
  forbidIpv6('link-local', 'fe80::', 10),
  forbidIpv6('multicast', 'ff00::', 8),
];

/**
 * Names the forbidden range that any address of `cidr` lies in; undefined when all of it is allowed. The
 * cluster’s own ranges are named first: they lie inside private ones, and no setting opens them.
 */
export function forbiddenWithin(cidr: Cidr, settings: RangeSettings): string | undefined {
  if (settings.clusterRanges.some((range) => overlaps(range, cidr))) return 'cluster';
  for (const range of forbiddenIpv4) {
    if (!overlaps(range.cidr, cidr)) continue;
    const shared = contains(range.cidr, cidr) ? cidr : range.cidr;
    if (!range.openable || !covered(shared, settings.privateRanges)) return range.name;
  }
  return undefined;
}

/**
 * Names the forbidden range of an address in text, IPv4 or IPv6; undefined when it is allowed. Text that cannot be
 * parsed is forbidden too.
 */
export function forbiddenRange(address: string, settings: RangeSettings): string | undefined {
  const ipv4 = parseIpv4(address);
  if (ipv4 !== undefined) return forbiddenWithin({ first: ipv4, length: 32 }, settings);
  const ipv6 = parseIpv6(address);
  if (ipv6 === undefined) return 'not an address';
  return forbiddenIpv6.find(
    (range) => ipv6 >> BigInt(128 - range.length) === range.first >> BigInt(128 - range.length),
  )?.name;
}

/** An IPv6 address as an unsigned 128-bit number; a zone (`%eth0`) is ignored. */
export function parseIpv6(text: string): bigint | undefined {
  if (text.length > 64 || !isIPv6(text)) return undefined;
  const [address = ''] = text.split('%', 1);
  const [head = '', tail] = address.split('::', 2);
  const before = groupsOf(head);
  const after = tail === undefined ? [] : groupsOf(tail);
  const zeros = Array.from({ length: 8 - before.length - after.length }, () => 0);
  return [...before, ...zeros, ...after].reduce((sum, group) => sum * 65_536n + BigInt(group), 0n);
}

/** The 16-bit groups of a part without `::`; a dotted end counts as two. */
function groupsOf(part: string): readonly number[] {
  if (part === '') return [];
  return part.split(':').flatMap((group) => {
    const ipv4 = parseIpv4(group);
    return ipv4 === undefined ? [Number.parseInt(group, 16)] : [Math.floor(ipv4 / 65_536), ipv4 % 65_536];
  });
}
