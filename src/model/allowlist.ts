import Type, { type Static } from 'typebox';
import { valuesOf } from '../lib/keys.ts';
import { answer, closed, known, ref } from '../lib/schema.ts';

const label = '([A-Za-z0-9]|[^\\x00-\\x7f])+(-+([A-Za-z0-9]|[^\\x00-\\x7f])+)*';
const host = `${label}(\\.${label})+\\.?`;
const port = '[1-9][0-9]{0,4}';
const scheme = '([A-Za-z][A-Za-z0-9+.:-]*:)?//';
const tail = '[^\\s,;]*';
const preset = '[Pp][Rr][Ee][Ss][Ee][Tt]:[A-Za-z0-9-]+';

/** What an entry of an allowlist looks like; which hosts and ports may be opened is decided by egress/entry.ts. */
export const entryPattern = `^(${preset}|(${scheme})?${host}(:${port}(-${port})?)?([/?#]${tail})?)$`;

/** The same in a path, where there is no slash. */
export const entryInPathPattern = `^(${preset}|${host}(:${port}(-${port})?)?([?#][^/\\s,;]*)?)$`;

/** A host with at most one port, or a URL. */
export const destinationPattern = `^(${scheme})?${host}(:${port})?([/?#]${tail})?$`;

/** Why an allowlist entry cannot be used. The codes are part of the API. */
export const EntryProblem = {
  EmptyEntry: 'empty_entry',
  OneEntryPerItem: 'one_entry_per_item',
  WhitespaceInHost: 'whitespace_in_host',
  UserinfoNotAllowed: 'userinfo_not_allowed',
  SchemePortMismatch: 'scheme_port_mismatch',
  WildcardNotSupported: 'wildcard_not_supported',
  SingleLabelHost: 'single_label_host',
  InvalidLabel: 'invalid_label',
  EmptyLabel: 'empty_label',
  LabelTooLong: 'label_too_long',
  NameTooLong: 'name_too_long',
  InvalidIdn: 'invalid_idn',
  AmbiguousUnicode: 'ambiguous_unicode',
  InvalidIpv4: 'invalid_ipv4',
  AmbiguousIp: 'ambiguous_ip',
  Ipv6NotSupported: 'ipv6_not_supported',
  CidrNotAllowed: 'cidr_not_allowed',
  CidrHostBits: 'cidr_host_bits',
  ForbiddenRange: 'forbidden_range',
  InternalName: 'internal_name',
  PortMissing: 'port_missing',
  InvalidPort: 'invalid_port',
  PortOutOfRange: 'port_out_of_range',
  PortRangeReversed: 'port_range_reversed',
  PortRangeTooWide: 'port_range_too_wide',
  ProtocolNotSupported: 'protocol_not_supported',
  TooManyEntries: 'too_many_entries',
  UnknownPreset: 'unknown_preset',
} as const;
export type EntryProblem = (typeof EntryProblem)[keyof typeof EntryProblem];

/** Remarks about an entry that can be used. */
export const EntryWarning = {
  Normalized: 'normalized',
  Duplicate: 'duplicate',
  MixedOrNonLatinScript: 'mixed_or_non_latin_script',
} as const;
export type EntryWarning = (typeof EntryWarning)[keyof typeof EntryWarning];

/**
 * A parsed entry, or one host of a preset. Parsing `entry` again gives the same result without the warnings about its
 * text.
 */
export const AllowlistEntry = answer(
  {
    entry: Type.String({
      description: 'The canonical form, always with its port.',
      examples: ['pypi.org:443'],
    }),
    host: Type.String({
      description:
        'A name in lower case without a trailing dot (international ones in their xn-- form), an IPv4 address, or a range such as 198.35.26.0/24.',
      examples: ['pypi.org'],
    }),
    portStart: Type.Integer({ minimum: 1, maximum: 65535, examples: [443] }),
    portEnd: Type.Integer({ minimum: 1, maximum: 65535, examples: [443] }),
    kind: known(['name', 'ipv4', 'cidr']),
    preset: Type.Optional(
      Type.String({ description: 'The preset that the host comes from.', examples: ['pypi'] }),
    ),
    warnings: Type.Array(known(valuesOf(EntryWarning))),
  },
  { $id: 'AllowlistEntry' },
);
export type AllowlistEntry = Static<typeof AllowlistEntry>;

/** An entry that cannot be used, its position in the list, and the reason. */
export const AllowlistError = answer(
  {
    index: Type.Integer({ minimum: 0 }),
    entry: Type.String({ description: 'The entry as it was sent.', examples: ['*.nav.no'] }),
    code: known(valuesOf(EntryProblem), {
      examples: ['wildcard_not_supported'],
    }),
    message: Type.String({
      description: 'What to write instead.',
      examples: [
        '“*.nav.no” has a wildcard, which a network policy cannot express. List each host by its full name.',
      ],
    }),
  },
  { $id: 'AllowlistError' },
);
export type AllowlistError = Static<typeof AllowlistError>;

/** The valid entries and the errors. A list with an error is rejected as a whole. */
export const ParsedAllowlist = answer(
  { entries: Type.Array(ref(AllowlistEntry)), errors: Type.Array(ref(AllowlistError)) },
  { $id: 'ParsedAllowlist' },
);
export type ParsedAllowlist = Static<typeof ParsedAllowlist>;

export const AllowlistEntries = closed(
  {
    entries: Type.Array(
      Type.String({ examples: ['pypi.org', 'informatica.nav.no:6005-6010', 'preset:pypi'] }),
      {
        maxItems: 1000,
      },
    ),
  },
  { $id: 'AllowlistEntries' },
);
