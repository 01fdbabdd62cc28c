import { domainToASCII, domainToUnicode } from 'node:url';
import { EntryProblem, EntryWarning } from '../model/allowlist.ts';
import { type Refusal, refuse, shown } from './entry-problem.ts';

/** Lengths of RFC 1035, in characters of the ASCII form without the trailing dot. */
const maxNameLength = 253;
const maxLabelLength = 63;

/** A longer Unicode name cannot have an ASCII form of 253 characters; the bound keeps the conversion cheap. */
const maxUnicodeNameLength = 1024;

/** Names that have a meaning only inside a cluster, a cloud project or a home (RFC 6761, 6762, 8375). */
const internalSuffixes = ['local', 'internal', 'localhost', 'cluster.local', 'svc', 'home.arpa'];

const ldhLabel = /^[a-z0-9](?:[a-z0-9-]*[a-z0-9])?$/;
const numericLabel = /^(?:[0-9]+|0x[0-9a-f]*)$/i;
const ascii = /^\p{ASCII}*$/u;

export type NameResult =
  | { readonly ok: true; readonly name: string; readonly warnings: readonly EntryWarning[] }
  | Refusal;

/**
 * A DNS name in the form that is looked up: lower case, ASCII, without the trailing dot. When several rules are
 * broken, the first of these is reported: name_too_long, wildcard_not_supported, ambiguous_unicode and invalid_idn
 * (of a name with characters beyond ASCII), empty_label, single_label_host, label_too_long, invalid_label,
 * invalid_idn (of an `xn--` label).
 */
export function parseName(text: string): NameResult {
  const isAscii = text.length <= maxUnicodeNameLength && ascii.test(text);
  const withoutDot = text.endsWith('.') ? text.slice(0, -1) : text;
  if (withoutDot.length > (isAscii ? maxNameLength : maxUnicodeNameLength)) return tooLong(text);
  if (text.includes('*')) {
    return refuse(
      EntryProblem.WildcardNotSupported,
      `${shown(text)} has a wildcard, which a network policy cannot express. List each host by its full name.`,
    );
  }
  const converted = isAscii ? withoutDot.toLowerCase() : toAscii(withoutDot);
  if (typeof converted !== 'string') return converted;
  if (converted.length > maxNameLength) return tooLong(text);
  return checkLabels(converted);
}

/** Whether a name ends in an internal suffix; those of the operator may have a leading dot. */
export function isInternalName(name: string, operatorSuffixes: readonly string[]): boolean {
  return [...internalSuffixes, ...operatorSuffixes].some((suffix) => {
    const bare = (suffix.startsWith('.') ? suffix.slice(1) : suffix).toLowerCase();
    return name === bare || name.endsWith(`.${bare}`);
  });
}

/** A label as common IPv4 parsers read it: decimal, octal or hexadecimal. */
export function isNumericLabel(label: string): boolean {
  return numericLabel.test(label);
}

function tooLong(text: string): Refusal {
  return refuse(
    EntryProblem.NameTooLong,
    `${shown(text)} is longer than ${maxNameLength} characters, the limit for a host name. Write the host name alone.`,
  );
}

function checkLabels(name: string): NameResult {
  const labels = name.split('.');
  if (labels.includes('')) {
    return refuse(
      EntryProblem.EmptyLabel,
      `${shown(name)} has a dot with nothing before or after it. Write names such as example.com.`,
    );
  }
  if (labels.length === 1) {
    return refuse(
      EntryProblem.SingleLabelHost,
      `${shown(name)} has no domain, so it resolves differently in different networks. Write the full name, such as ${name.slice(0, 40)}.example.com.`,
    );
  }
  const warnings = new Set<EntryWarning>();
  for (const label of labels) {
    const refusal = checkLabel(label);
    if (refusal !== undefined) return refusal;
  }
  const last = labels.at(-1) ?? '';
  if (isNumericLabel(last)) {
    return refuse(
      EntryProblem.InvalidLabel,
      `${shown(name)} ends in a number, which no public domain does. Write the full name, or an address of four numbers such as 198.35.26.96.`,
    );
  }
  for (const label of labels) {
    if (!label.startsWith('xn--')) continue;
    const unicode = decodeLabel(label);
    if (unicode === undefined) {
      return refuse(
        EntryProblem.InvalidIdn,
        `${shown(label)} is not the encoded form of an international name. Write the decoded name, such as blåbær.no.`,
      );
    }
    // Anything but Latin letters is flagged: раураl and paypal look alike.
    if (!/^[\p{Script=Latin}\p{Script=Inherited}0-9-]*$/u.test(unicode)) {
      warnings.add(EntryWarning.MixedOrNonLatinScript);
    }
  }
  return { ok: true, name, warnings: [...warnings] };
}

function checkLabel(label: string): Refusal | undefined {
  if (label.length > maxLabelLength) {
    return refuse(
      EntryProblem.LabelTooLong,
      `${shown(label)} is longer than ${maxLabelLength} characters, the limit for a label. Check the name.`,
    );
  }
  // Decoding an encoded label shows whether it is well formed.
  const isEncoded = /^xn--[a-z0-9-]*$/.test(label);
  if (!isEncoded && !ldhLabel.test(label)) {
    return refuse(
      EntryProblem.InvalidLabel,
      `${shown(label)} cannot be part of a host name: only letters, digits and hyphens can, with no hyphen first or last. Write host, host:port or host:port-port.`,
    );
  }
  return undefined;
}

/** The decoded form of an `xn--` label. Node leaves a label unchanged unless it is the canonical encoding of a name. */
function decodeLabel(label: string): string | undefined {
  const unicode = domainToUnicode(label);
  return ascii.test(unicode) ? undefined : unicode;
}

/**
 * The ASCII form of a name with other characters, in lower case. A name that the conversion would rewrite into
 * something that looks different (full-width digits, ideographic dots, invisible characters) is ambiguous, even if the
 * conversion itself accepts it.
 */
function toAscii(text: string): string | Refusal {
  if (/[\p{Cf}\p{Default_Ignorable_Code_Point}]/u.test(text)) {
    return ambiguous(text, 'has an invisible character. Type the name instead of pasting it.');
  }
  // Character by character: at the end of a word Σ would become ς, which is a different name.
  const lower = Array.from(text, (character) => character.toLowerCase()).join('');
  const name = lower.normalize('NFC');
  if (/[。．｡]/.test(name) || name.normalize('NFKC') !== name) {
    return ambiguous(
      text,
      'has compatibility characters, such as full-width letters or dots. Write the plain ones.',
    );
  }
  // The conversion also decodes %41 and cuts at a slash, so it gets only letters, digits, hyphens and dots.
  if (!/^[a-z0-9.\-\u0080-\u{10ffff}]*$/u.test(name)) {
    const label = name.split('.').find((part) => !/^[a-z0-9\-\u0080-\u{10ffff}]*$/u.test(part)) ?? name;
    return (
      checkLabel(label) ?? refuse(EntryProblem.InvalidLabel, `${shown(label)} cannot be part of a host name.`)
    );
  }
  const converted = domainToASCII(name);
  if (converted === '') {
    return refuse(
      EntryProblem.InvalidIdn,
      `${shown(text)} is not a valid international name. Check each character, or write its encoded form (xn--…).`,
    );
  }
  if (domainToUnicode(converted) !== name) {
    return ambiguous(
      text,
      `would be read as ${shown(domainToUnicode(converted))}. If you mean that, write it.`,
    );
  }
  return converted;
}

const ambiguous = (text: string, what: string): Refusal =>
  refuse(EntryProblem.AmbiguousUnicode, `${shown(text)} ${what}`);
