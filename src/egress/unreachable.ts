import type { AllowlistEntry } from '../model/allowlist.ts';
import type { UnreachableEntry } from '../model/unreachable-entry.ts';
import { type Addresses, destinationOf, type HostReport } from './destinations.ts';
import { byText, type EgressSettings } from './policy.ts';

/** How many entries a condition names. */
const namedAtMost = 10;

const messages: Readonly<Record<UnreachableEntry['status'], string>> = {
  blocked_private_answer: 'resolves to a private address',
  unresolved: 'no address is known',
  ipv6_only: 'has only IPv6 addresses',
  too_many_addresses: 'has too many addresses, so only some are open',
};

const messageOf = (status: UnreachableEntry['status'], { host, filtered }: HostReport): string =>
  status === 'blocked_private_answer' && filtered.some(({ address }) => address === host)
    ? 'is in a reserved range'
    : messages[status];

/**
 * The entries that notebooks cannot reach now, or only in part, sorted. No address and no time is in them, so they are
 * the same until an entry can be reached, or can no longer be reached.
 */
export const unreachableEntries = (
  entries: readonly AllowlistEntry[],
  addresses: Addresses,
  settings: EgressSettings,
): readonly UnreachableEntry[] =>
  entries
    .flatMap(({ entry, host, kind }): UnreachableEntry[] => {
      const { report } = destinationOf(host, kind, addresses, settings);
      const { status } = report;
      return status === 'resolved' ? [] : [{ entry, status, message: messageOf(status, report) }];
    })
    .sort((a, b) => byText(a.entry, b.entry));

/** A sentence that names the first ten; undefined without any. */
export const unreachableSentence = (unreachable: readonly UnreachableEntry[]): string | undefined => {
  if (unreachable.length === 0) return undefined;
  const named = unreachable.slice(0, namedAtMost).map(({ entry, message }) => `${entry} (${message})`);
  const more = unreachable.length - named.length;
  return `Not reachable now: ${named.join(', ')}${more === 0 ? '' : `, and ${more} more`}.`;
};
