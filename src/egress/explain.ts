import { isObject } from '../lib/json.ts';
import { type AllowlistEntry, EntryProblem } from '../model/allowlist.ts';
import type { Manifest } from '../ports/cluster.ts';
import { allowPolicy } from './allow.ts';
import { baselinePolicy } from './baseline.ts';
import { type Addresses, destinationOf, type HostReport, HostStatus } from './destinations.ts';
import { type EntryOptions, parseEntry } from './entry.ts';
import { type Refusal, refuse, shown } from './entry-problem.ts';
import { maySelectNotebooks } from './foreign-policies.ts';
import { isFqdnEntry } from './fqdn.ts';
import { isInternalName } from './name.ts';
import type { EgressSettings } from './policy.ts';
import { opensAddress, opensEveryAddress, opensName } from './policy-reach.ts';
import { contains, forbiddenWithin, parseIpv4 } from './ranges.ts';
import type { EgressVerdict } from './verdict.ts';

/** A destination to connect to, over TCP. */
export interface Destination {
  readonly host: string;
  readonly kind: 'name' | 'ipv4';
  readonly port: number;
}

/** Everything that decides what a running notebook of a team may reach. */
export interface EgressFacts {
  readonly enabled: boolean;
  readonly entries: readonly AllowlistEntry[];
  readonly addresses: Addresses;
  readonly settings: EgressSettings;
  readonly internalSuffixes: readonly string[];
  /** Policies of other owners in the team’s namespace; what they open is added. */
  readonly foreign: readonly Manifest[];
  /** Whether the restriction holds. */
  readonly verdict: Pick<EgressVerdict, 'boundless' | 'isIsolated'>;
}

export interface Explanation {
  readonly allowed: boolean;
  /** One or two sentences. */
  readonly because: string;
  /** The entry that opens it. */
  readonly entry?: string;
}

/** Parses a destination like an entry, with one port: 443 by default. Forbidden destinations are accepted. */
export function parseDestination(
  text: string,
  options: EntryOptions,
): { readonly ok: true; readonly destination: Destination } | Refusal {
  const parsed = parseEntry(text, { ...options, allowCidr: false, takesForbidden: true });
  if (!parsed.ok) return parsed;
  const { host, kind, portStart, portEnd } = parsed.entry;
  if (portStart !== portEnd) {
    return refuse(EntryProblem.InvalidPort, `${shown(text)} has several ports. Give one.`);
  }
  return { ok: true, destination: { host, kind: kind === 'name' ? 'name' : 'ipv4', port: portStart } };
}

/** Whether a running notebook may connect there, and which entry allows it; or what would have to be added. */
export function explain(destination: Destination, facts: EgressFacts): Explanation {
  if (!facts.enabled) {
    return yes('The team has not opted in to an allowlist: its notebooks may connect anywhere.');
  }
  const { boundless, isIsolated } = facts.verdict;
  if (!isIsolated)
    return yes('The restriction is not applied yet, and no other policy restricts the notebooks.');
  const { problem } = compiled(facts);
  const opening = problem === undefined ? facts.entries : [];
  // Until a reconcile restores it, a policy of ours that opens everything adds to the list as a foreign one does.
  const all = { ...facts, foreign: [...boundless, ...facts.foreign] };
  return destination.kind === 'ipv4'
    ? explainAddress(destination, all, opening, problem)
    : explainName(destination, all, opening, problem);
}

const yes = (because: string, entry?: AllowlistEntry): Explanation => ({
  allowed: true,
  because,
  ...(entry === undefined ? {} : { entry: entry.entry }),
});

const no = (because: string): Explanation => ({ allowed: false, because });

/** The name by which Google’s clients reach the metadata server; it is the same on every node. */
const metadataName = 'metadata.google.internal';
const metadataAddress = '169.254.169.254';

const alwaysOpen = 'It is always open: every notebook may reach DNS, the metadata server and Google APIs.';

/** What is opened as addresses; a list with too many is not opened at all. */
function compiled({ entries, addresses, settings }: EgressFacts): { readonly problem: string | undefined } {
  const literal =
    settings.backend === 'ip' ? entries : entries.filter((entry) => !isFqdnEntry(entry, settings));
  return { problem: allowPolicy(nobody, literal, addresses, settings).problem?.message };
}

const nobody = { namespace: '', labels: {}, annotations: {} };

function explainAddress(
  { host, port }: Destination,
  facts: EgressFacts,
  opening: readonly AllowlistEntry[],
  problem: string | undefined,
): Explanation {
  const address = parseIpv4(host) ?? 0;
  const way = wayTo(address, port, facts, opening);
  if (way !== undefined) return sentenceOf(way);
  const listed = facts.entries.find((entry) => entry.host === host && hasPort(entry, port));
  if (listed !== undefined && problem !== undefined) return no(problem);
  const range = forbiddenWithin({ first: address, length: 32 }, facts.settings);
  if (range !== undefined) return no(`${host} lies in a range that notebooks may not reach (${range}).`);
  return no(`Nothing on the list opens it. Add ${host}:${port}.${otherPorts(host, facts)}`);
}

function explainName(
  { host, port }: Destination,
  facts: EgressFacts,
  opening: readonly AllowlistEntry[],
  problem: string | undefined,
): Explanation {
  const { settings, addresses, entries } = facts;
  const { report } = destinationOf(host, 'name', addresses, settings);
  const onList = entries.find((entry) => entry.host === host && hasPort(entry, port));
  const own = opening.find((entry) => entry.host === host && hasPort(entry, port));
  if (own !== undefined && isFqdn(own, settings)) {
    return report.filtered.length === 0
      ? yes(`${own.entry} opens it, at all of its addresses.`, own)
      : no(closedBy(host, report));
  }
  if (own !== undefined && report.addresses.length > 0) return yes(openedBy(own, report), own);

  const known =
    host === metadataName ? [metadataAddress] : (settings.hostMap.get(host) ?? addresses.get(host));
  const answers = (known ?? []).flatMap((answer) => parseIpv4(answer) ?? []);
  for (const answer of answers) {
    const way = wayTo(answer, port, facts, opening);
    if (way === undefined) continue;
    return 'entry' in way && onList === undefined
      ? yes(
          `It is not on the list, but ${way.entry.entry} opens an address that it currently shares. That may change at any time: add ${host}:${port}.`,
          way.entry,
        )
      : sentenceOf(way);
  }
  if (answers.length === 0 && isGoogleApi(host, port, settings)) return yes(alwaysOpen);
  // A name without known addresses is known to be public: no list opens an internal one.
  const where = isInternalName(host, facts.internalSuffixes) ? 'all' : 'public';
  const foreign = facts.foreign.find(
    (policy) =>
      opensName(policy, host, port) || (answers.length === 0 && opensEveryAddress(policy, port, where)),
  );
  if (foreign !== undefined) return sentenceOf({ foreign });

  if (onList !== undefined) return no(problem ?? closedBy(host, report));
  if (isInternalName(host, facts.internalSuffixes)) {
    return no(
      `${shown(host)} is a name inside the cluster, the cloud project or a local network, which no list can open.`,
    );
  }
  return no(`Nothing on the list opens it. Add ${host}:${port}.${otherPorts(host, facts)}`);
}

/** What allows a connection to an address. */
type Way = { readonly baseline: true } | { readonly entry: AllowlistEntry } | { readonly foreign: Manifest };

function wayTo(
  address: number,
  port: number,
  facts: EgressFacts,
  opening: readonly AllowlistEntry[],
): Way | undefined {
  const { settings, addresses } = facts;
  if (opensAddress(baselinePolicy(nobody, settings, addresses).spec, address, port))
    return { baseline: true };
  const entry = opening.find(
    (each) =>
      hasPort(each, port) &&
      !isFqdn(each, settings) &&
      destinationOf(each.host, each.kind, addresses, settings).cidrs.some((cidr) =>
        contains(cidr, { first: address, length: 32 }),
      ),
  );
  if (entry !== undefined) return { entry };
  const foreign = facts.foreign.find(
    ({ spec }) => isObject(spec) && maySelectNotebooks(spec.podSelector) && opensAddress(spec, address, port),
  );
  return foreign && { foreign };
}

function sentenceOf(way: Way): Explanation {
  if ('baseline' in way) return yes(alwaysOpen);
  if ('entry' in way) return yes(`${way.entry.entry} opens it.`, way.entry);
  const { kind, metadata } = way.foreign;
  return yes(
    `${kind} ${metadata.name} opens it and is not part of the list. Remove it, or its egress rules, to enforce the list.`,
  );
}

const hasPort = ({ portStart, portEnd }: AllowlistEntry, port: number): boolean =>
  portStart <= port && port <= portEnd;

const isFqdn = (entry: AllowlistEntry, settings: EgressSettings): boolean =>
  settings.backend === 'gke-fqdn' && isFqdnEntry(entry, settings);

/** Names that DNS maps to Google’s virtual addresses. */
function isGoogleApi(host: string, port: number, settings: EgressSettings): boolean {
  return port === 443 && settings.googleApis !== 'resolve' && host.endsWith('.googleapis.com');
}

function openedBy({ entry }: AllowlistEntry, { addresses, filtered }: HostReport): string {
  const shownAddresses = addresses.length > 3 ? `${addresses.length} addresses` : addresses.join(', ');
  const kept =
    filtered.length === 0
      ? ''
      : ` Not at ${filtered.map(({ address, range }) => `${address} (${range})`).join(', ')}, which notebooks may not reach.`;
  return `${entry} opens it, at ${shownAddresses}.${kept}`;
}

/** Why a host that is on the list is not open. */
function closedBy(host: string, { status, filtered }: HostReport): string {
  const answered = filtered.map(({ address, range }) => `${address} (${range})`).join(', ');
  if (filtered.length > 0) {
    return `It is on the list, but DNS answers ${answered}, which notebooks may not reach.`;
  }
  return status === HostStatus.Ipv6Only
    ? 'It is on the list, but has only IPv6 addresses, and the cluster supports IPv4 only.'
    : `It is on the list, but no address of ${host} is known yet; it is opened as soon as DNS answers.`;
}

function otherPorts(host: string, { entries }: EgressFacts): string {
  const others = entries.filter((entry) => entry.host === host).map(({ entry }) => entry);
  return others.length === 0 ? '' : ` Ports of this host on the list: ${others.join(', ')}.`;
}
