import type { EntryProblem, EntryWarning } from './allowlist.ts';
import type { CodeText } from './code-text.ts';

/** What the codes of allowlist entries mean: why an entry is refused, and what a warning says of one that is accepted. */
export const entryCodes = {
  empty_entry: ['Empty entry', 'Write a host name, or remove the entry.'],
  one_entry_per_item: ['Several hosts in one entry', 'Write one host per entry.'],
  whitespace_in_host: ['White space in the host', 'Remove spaces and invisible characters from the host.'],
  userinfo_not_allowed: ['User name in the entry', 'Remove the user name and password before the host.'],
  scheme_port_mismatch: ['Port needed', 'Only https means port 443. Write the port after the host.'],
  wildcard_not_supported: [
    'Wildcard not supported',
    'A network policy cannot express a wildcard. List each host by its full name.',
  ],
  single_label_host: ['Incomplete host name', 'Write the full name of the host, with its domain.'],
  invalid_label: [
    'Invalid host name',
    'The parts of a host name have letters, digits and hyphens, and no hyphen at the ends.',
  ],
  empty_label: ['Empty part in the host name', 'Remove the extra dot.'],
  label_too_long: ['Part of the host name too long', 'Each part between two dots has at most 63 characters.'],
  name_too_long: ['Host name too long', 'A host name has at most 253 characters.'],
  invalid_idn: ['Invalid international name', 'The name is not a valid internationalized host name.'],
  ambiguous_unicode: [
    'Ambiguous characters',
    'The host has characters that look like others. Write its xn-- form.',
  ],
  invalid_ipv4: ['Invalid IPv4 address', 'An IPv4 address has four numbers from 0 to 255.'],
  ambiguous_ip: [
    'Ambiguous IP address',
    'Write the IPv4 address as four decimal numbers without leading zeros.',
  ],
  ipv6_not_supported: [
    'IPv6 not supported',
    'The cluster has no IPv6. Write a host name or an IPv4 address.',
  ],
  cidr_not_allowed: ['Address range not allowed', 'List single hosts or addresses instead of a range.'],
  cidr_host_bits: ['Address range not aligned', 'Write the range with its first address.'],
  forbidden_range: ['Reserved address', 'The address is in a reserved range that notebooks may not reach.'],
  internal_name: ['Internal name', 'The name is internal, and notebooks may reach public hosts only.'],
  port_missing: ['Port missing', 'Write a port after the colon, or remove the colon.'],
  invalid_port: ['Invalid port', 'Write the port as a number.'],
  port_out_of_range: ['Port out of range', 'A port is a number from 1 to 65535.'],
  port_range_reversed: ['Port range reversed', 'Write the lower port first.'],
  port_range_too_wide: ['Port range too wide', 'Narrow the port range, or list the ports one by one.'],
  protocol_not_supported: ['Protocol not supported', 'Only TCP can be opened.'],
  too_many_entries: ['Too many entries', 'The list is longer than allowed. Remove entries.'],
  unknown_preset: ['Unknown preset', 'There is no preset with this name. getLimits lists the presets.'],
  normalized: ['Normalized', 'The entry is stored in another spelling than the one that was sent.'],
  duplicate: ['Duplicate', 'Another entry of the list opens the same host and ports.'],
  mixed_or_non_latin_script: [
    'Unusual characters',
    'The host has characters that are not Latin letters. Check that it is the host that you mean.',
  ],
} as const satisfies Record<EntryProblem | EntryWarning, CodeText>;
