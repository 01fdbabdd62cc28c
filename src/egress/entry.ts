import { type AllowlistEntry, EntryProblem, EntryWarning, type ParsedAllowlist } from '../model/allowlist.ts';
import { type Refusal, refuse, shown } from './entry-problem.ts';
import { isInternalName, isNumericLabel, parseName } from './name.ts';
import { type Parts, parsePort } from './port.ts';
import { defaultPresets, hostsOfPreset, type Presets, presetIn } from './presets.ts';
import {
  type Cidr,
  forbiddenWithin,
  parseIpv4,
  printCidr,
  printIpv4,
  type RangeSettings,
  sizeOf,
} from './ranges.ts';

/** The operator’s settings for entries. */
export interface EntryOptions extends RangeSettings {
  /** Whether a range of addresses (198.35.26.0/24) may be an entry. */
  readonly allowCidr: boolean;
  /** EGRESS_INTERNAL_SUFFIXES, with or without a leading dot; added to the built-in ones. */
  readonly internalSuffixes: readonly string[];
  /** Counts the hosts of presets. */
  readonly maxEntries: number;
  readonly presets: Presets;
  /** The most ports one entry may have. */
  readonly maxPortRangeWidth: number;
  /** Also accepts what may never be opened (forbidden ranges, internal names): for explain, not for a list. */
  readonly takesForbidden?: true;
}

export const defaultEntryOptions: EntryOptions = {
  clusterRanges: [],
  privateRanges: [],
  allowCidr: false,
  internalSuffixes: [],
  maxEntries: 200,
  presets: defaultPresets,
  maxPortRangeWidth: 100,
};

export type EntryResult = { readonly ok: true; readonly entry: AllowlistEntry } | Refusal;

/**
 * Reads `host[:port[-port]]`. When several rules are broken, the first in this order is reported:
 *
 * 1. the text as a whole: empty_entry, one_entry_per_item, whitespace_in_host, userinfo_not_allowed;
 * 2. the host: ipv6_not_supported; of numbers: ambiguous_ip, invalid_ipv4, cidr_not_allowed, cidr_host_bits,
 *    forbidden_range; of names: see parseName, then internal_name;
 * 3. the port: scheme_port_mismatch, port_missing, invalid_port, port_out_of_range, port_range_reversed,
 *    port_range_too_wide, protocol_not_supported.
 *
 * The host comes before the port because the port of a forbidden host does not matter. Commas, semicolons and white
 * space are refused anywhere, even in a part that would be dropped: what follows them may be another destination, and
 * no destination is dropped silently. An explicit port takes precedence over the scheme (`https://host:80` is port 80).
 * Each step reads each character a bounded number of times.
 */
export function parseEntry(text: string, options: EntryOptions): EntryResult {
  const trimmed = trimAscii(text);
  const misshapen = checkShape(trimmed);
  if (misshapen !== undefined) return misshapen;

  const { scheme, rest } = splitScheme(trimmed);
  const { head: authority, tail } = splitAt(rest, /[/?#]/);
  if (authority.includes('@')) return userinfo(authority);
  if (isIpv6Like(authority)) return noIpv6(authority);
  const { head: hostText, tail: portTail } = splitAt(authority, /:/);
  if (hostText === '') return noHost();

  const parts = { scheme, port: portTail === '' ? undefined : portTail.slice(1), tail };
  const host = isNumericHost(hostText)
    ? parseNumericHost(hostText, parts, options)
    : parseNamedHost(hostText, parts, options);
  if (!host.ok) return host;
  const port = parsePort(host.parts, host.host, options.maxPortRangeWidth);
  if (!port.ok) return port;

  const { start: portStart, end: portEnd } = port;
  const normalized = trimmed !== rest || host.parts.tail !== '';
  return {
    ok: true,
    entry: {
      entry: printEntry({ host: host.host, portStart, portEnd }),
      host: host.host,
      portStart,
      portEnd,
      kind: host.kind,
      warnings: [...(normalized ? [EntryWarning.Normalized] : []), ...host.warnings],
    },
  };
}

/** An item of the list: one destination, or the hosts of a preset. */
type Item =
  | { readonly ok: true; readonly canonical: string; readonly entries: readonly AllowlistEntry[] }
  | Refusal;

const parseItem = (text: string, options: EntryOptions): Item => {
  const preset = presetIn(trimAscii(text));
  if (preset === undefined) {
    const parsed = parseEntry(text, options);
    return parsed.ok ? { ok: true, canonical: parsed.entry.entry, entries: [parsed.entry] } : parsed;
  }
  const found = hostsOfPreset(preset, options.presets);
  if (!found.ok) return found;
  const parsed = found.hosts.map((host) => parseEntry(host, options));
  const refused = parsed.find((one) => !one.ok);
  if (refused !== undefined && !refused.ok) return refused;
  const entries = parsed.flatMap((one) => (one.ok ? [{ ...one.entry, preset, warnings: [] }] : []));
  return { ok: true, canonical: `preset:${preset}`, entries };
};

/** The form in which two items of a list are compared: `nav.no` and `https://NAV.no:443/` are the same. */
export const canonicalItem = (
  text: string,
  options: EntryOptions,
): { readonly ok: true; readonly canonical: string } | Refusal => parseItem(text, options);

/**
 * Reads a whole list; a preset is replaced by its hosts. An entry that repeats an earlier one is kept, with the warning
 * `duplicate`. Of a list that is too long, only the items up to `maxEntries` are read; the error is at the first one
 * beyond them.
 */
export function parseAllowlist(entries: readonly string[], options: EntryOptions): ParsedAllowlist {
  const seen = new Set<string>();
  const parsed: ParsedAllowlist = { entries: [], errors: [] };
  let count = 0;
  for (const [index, entry] of entries.entries()) {
    const item = count < options.maxEntries ? parseItem(entry, options) : undefined;
    count += item?.ok ? item.entries.length : 1;
    if (item === undefined || count > options.maxEntries) {
      const limit = options.maxEntries;
      const message = `The list has more than ${limit} entries, those of presets included. Remove what is no longer used; this entry and those after it were not read.`;
      parsed.errors.push({ index, entry, code: EntryProblem.TooManyEntries, message });
      break;
    }
    if (!item.ok) {
      parsed.errors.push({ index, entry, code: item.code, message: item.message });
      continue;
    }
    for (const one of item.entries) {
      const warnings = seen.has(one.entry) ? [...one.warnings, EntryWarning.Duplicate] : one.warnings;
      seen.add(one.entry);
      parsed.entries.push({ ...one, warnings });
    }
  }
  return parsed;
}

/** The canonical form of an entry. */
export function printEntry(entry: Pick<AllowlistEntry, 'host' | 'portStart' | 'portEnd'>): string {
  const { host, portStart, portEnd } = entry;
  return portStart === portEnd ? `${host}:${portStart}` : `${host}:${portStart}-${portEnd}`;
}

type HostResult =
  | {
      readonly ok: true;
      readonly kind: AllowlistEntry['kind'];
      readonly host: string;
      readonly warnings: readonly EntryWarning[];
      readonly parts: Parts;
    }
  | Refusal;

function trimAscii(text: string): string {
  const isSpace = (index: number) => {
    const code = text.charCodeAt(index);
    return code === 0x20 || (code >= 0x09 && code <= 0x0d);
  };
  let start = 0;
  let end = text.length;
  while (start < end && isSpace(start)) start += 1;
  while (end > start && isSpace(end - 1)) end -= 1;
  return text.slice(start, end);
}

function splitAt(text: string, separator: RegExp): { head: string; tail: string } {
  const at = text.search(separator);
  return at === -1 ? { head: text, tail: '' } : { head: text.slice(0, at), tail: text.slice(at) };
}

function checkShape(text: string): Refusal | undefined {
  if (text === '') {
    return refuse(EntryProblem.EmptyEntry, 'The entry is empty. Write host or host:port, or remove it.');
  }
  if (/[,;]/.test(text)) {
    return refuse(
      EntryProblem.OneEntryPerItem,
      `${shown(text)} looks like several destinations. Make each one a separate item of the list.`,
    );
  }
  if (/\p{White_Space}/u.test(text)) {
    return refuse(
      EntryProblem.WhitespaceInHost,
      `${shown(text)} contains white space. Write host:port without any; if these are several destinations, make each one a separate item.`,
    );
  }
  return undefined;
}

/** Also accepts `jdbc:postgresql://`, copied from a connection string, and a bare `//`. */
function splitScheme(text: string): { scheme: string | undefined; rest: string } {
  if (text.startsWith('//')) return { scheme: undefined, rest: text.slice(2) };
  const end = text.slice(0, 64).indexOf('://');
  const scheme = text.slice(0, Math.max(end, 0)).toLowerCase();
  const isScheme = scheme.split(':').every((part) => /^[a-z][a-z0-9+.-]*$/.test(part));
  return isScheme ? { scheme, rest: text.slice(end + 3) } : { scheme: undefined, rest: text };
}

/** Does not repeat the text before the @: it may be a password. */
function userinfo(authority: string): Refusal {
  const rest = authority.slice(authority.lastIndexOf('@') + 1);
  return refuse(
    EntryProblem.UserinfoNotAllowed,
    `The entry has a user name or password before an @. Write ${rest === '' ? 'the host' : shown(rest)} alone, and keep credentials in the team’s secret.`,
  );
}

function noHost(): Refusal {
  return refuse(EntryProblem.EmptyEntry, 'The entry names no host. Write host or host:port.');
}

function noIpv6(authority: string): Refusal {
  return refuse(
    EntryProblem.Ipv6NotSupported,
    `${shown(authority)} is an IPv6 address, but the cluster supports IPv4 only. Write the host’s name or its IPv4 address.`,
  );
}

/** Brackets, or hexadecimal groups with at least three colons or an empty group among them. */
function isIpv6Like(authority: string): boolean {
  if (/[[\]]/.test(authority)) return true;
  const { head: address } = splitAt(authority, /%/);
  if (!/^[0-9a-f]{0,4}:[0-9a-f:.]*$/i.test(address)) return false;
  return address.includes('::') || address.split(':', 4).length === 4;
}

/** Whether common parsers would read a host as an address, in any notation. */
function isNumericHost(host: string): boolean {
  const labels = withoutTrailingDot(host).split('.');
  return labels.every(isNumericLabel);
}

function withoutTrailingDot(host: string): string {
  return host.endsWith('.') ? host.slice(0, -1) : host;
}

function parseNamedHost(text: string, parts: Parts, options: EntryOptions): HostResult {
  const result = parseName(text);
  if (!result.ok) return result;
  if (options.takesForbidden !== true && isInternalName(result.name, options.internalSuffixes)) {
    return refuse(
      EntryProblem.InternalName,
      `${shown(result.name)} is a name inside the cluster, the cloud project or a local network. Write the public name; what the notebook itself needs is always open.`,
    );
  }
  return { ok: true, kind: 'name', host: result.name, warnings: result.warnings, parts };
}

function parseNumericHost(text: string, parts: Parts, options: EntryOptions): HostResult {
  const address = parseIpv4(text);
  if (address === undefined) return checkNumericHost(text);

  // After an address, a slash and digits are a prefix length, never a path: reading 10.0.0.0/8 as one address
  // would silently open a different destination.
  const prefix = /^\/([0-9]{1,3})(?=$|[:/?#])/.exec(parts.tail)?.[1];
  if (prefix === undefined) return withinRange({ first: address, length: 32 }, parts, options);
  if (!options.allowCidr) {
    return refuse(
      EntryProblem.CidrNotAllowed,
      `${shown(`${text}/${prefix}`)} is a range of addresses. List the addresses or host names one by one, or ask the platform team.`,
    );
  }
  if (parts.port !== undefined) {
    return refuse(
      EntryProblem.InvalidPort,
      `The port is before the prefix length. Write ${shown(`${text}/${prefix}:${parts.port}`)}.`,
    );
  }
  const length = Number(prefix);
  if (String(length) !== prefix || length > 32) {
    return refuse(
      EntryProblem.InvalidIpv4,
      `/${prefix} is not a prefix length. Write a number from 0 to 32, such as ${text}/32.`,
    );
  }
  const first = address - (address % sizeOf(length));
  if (first !== address) {
    return refuse(
      EntryProblem.CidrHostBits,
      `${text}/${prefix} has bits set after its prefix. Write ${printCidr({ first, length })} for the whole range, or ${text} for the single address.`,
    );
  }
  const { head: afterPrefix, tail } = splitAt(parts.tail.slice(prefix.length + 1), /[/?#]/);
  const port = afterPrefix === '' ? undefined : afterPrefix.slice(1);
  return withinRange({ first, length }, { scheme: parts.scheme, port, tail }, options);
}

/** Why a host of numbers is not four canonical octets. */
function checkNumericHost(text: string): Refusal {
  const labels = withoutTrailingDot(text).split('.');
  const isDecimal = labels.every((label) => /^(?:0|[1-9][0-9]*)$/.test(label));
  if (labels.length > 4 || (labels.length === 4 && isDecimal)) {
    return refuse(
      EntryProblem.InvalidIpv4,
      `${shown(text)} is not an IPv4 address. Write four numbers from 0 to 255 separated by dots, such as 198.35.26.96.`,
    );
  }
  return refuse(
    EntryProblem.AmbiguousIp,
    `${shown(text)} is ambiguous: programs read it as different addresses. Write four decimal numbers without leading zeros, such as 198.35.26.96.`,
  );
}

function withinRange(cidr: Cidr, parts: Parts, options: EntryOptions): HostResult {
  const isAddress = cidr.length === 32;
  const host = isAddress ? printIpv4(cidr.first) : printCidr(cidr);
  const range = options.takesForbidden === true ? undefined : forbiddenWithin(cidr, options);
  if (range !== undefined) {
    return refuse(
      EntryProblem.ForbiddenRange,
      `${host} lies in a range that notebooks may not reach (${range}). Write a public address or name; for a system on the internal network ask the platform team to open its range.`,
    );
  }
  return { ok: true, kind: isAddress ? 'ipv4' : 'cidr', host, warnings: [], parts };
}
