/** Why an entry of an allowlist cannot be used. The codes are part of the API. */
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
} as const;
export type EntryProblem = (typeof EntryProblem)[keyof typeof EntryProblem];

/** What was changed or is worth a look in an entry that can be used. */
export const EntryWarning = {
  Normalized: 'normalized',
  Duplicate: 'duplicate',
  MixedOrNonLatinScript: 'mixed_or_non_latin_script',
} as const;
export type EntryWarning = (typeof EntryWarning)[keyof typeof EntryWarning];

/** An expected answer, not an exception: the sentence tells the reader what to write instead. */
export interface Refusal {
  readonly ok: false;
  readonly code: EntryProblem;
  readonly message: string;
}

export const refuse = (code: EntryProblem, message: string): Refusal => ({ ok: false, code, message });

/**
 * The reader’s text for use inside a sentence: quoted, cut to a readable length, and with what cannot be seen
 * spelled out, since that is often what is wrong with it.
 */
export function shown(text: string): string {
  const visible = text
    .slice(0, 64)
    .replace(/[\p{C}\p{Z}]/gu, (character) =>
      character === ' '
        ? character
        : `<U+${(character.codePointAt(0) ?? 0).toString(16).toUpperCase().padStart(4, '0')}>`,
    );
  return `"${visible}${text.length > 64 ? '…' : ''}"`;
}
