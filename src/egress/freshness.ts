import { isoOf } from '../lib/time.ts';
import type { HostRecord } from '../model/host.ts';
import type { DnsAnswer } from '../ports/dns.ts';
import type { Addresses } from './destinations.ts';
import { byText, defaultEgressSettings } from './policy.ts';

/**
 * How long a DNS answer about a host is used. `now` is in epoch milliseconds everywhere.
 *
 * Addresses accumulate, since names rotate and programs cache. An address is dropped once a lookup has not returned it
 * and it was last seen longer ago than its grace period. Time in which a due lookup was missed (the service was down,
 * or the clock jumped) does not count, so a running notebook keeps its addresses.
 */
const seconds = 1000;
const minutes = 60 * seconds;
const hours = 60 * minutes;

/** How long an address stays after it was last seen, unless its TTL is longer. */
export const graceMs = 60 * minutes;

/** The upper bound of a TTL: no address is kept for years. */
export const maxTtlSeconds = 24 * 3600;

/** After this long without an answer, the known addresses expire. */
const deafMs = 24 * hours;

/** NXDOMAIN counts once it is confirmed this much later. */
const absenceMs = minutes;

const soonestSeconds = 30;
const latestSeconds = 300;
const idleSeconds = 3600;
const jitterShare = 0.1;

/** A team with a running notebook is reconciled at least every 30 minutes and renews its interest each time. */
const liveMs = 45 * minutes;
const wantedMs = 2 * hours;

/** An unchanged interest (wanted, live) is written again only after this long. */
const wantedAgainMs = 10 * minutes;
const liveAgainMs = minutes;

/** A lookup later than this was missed; the time beyond it does not count. */
const missedMs = 10 * minutes;

/** A lookup scheduled further ahead than this was scheduled by a wrong clock. */
const tooFarMs = idleSeconds * seconds * (1 + jitterShare) + minutes;

/** The lease of a lookup: no other caller resolves the host before it ends. */
const leaseMs = minutes;

/** The most addresses of a host that are used, newest first. */
const servedAtMost = defaultEgressSettings.maxAddressesPerHost;

/** More are kept than are used, to detect that there are too many. */
const keptAtMost = 2 * servedAtMost;

type Known = HostRecord['addresses'];
type Sighting = Known[string];

/**
 * The record after a lookup: `answers` are its samples, in any order; `jitter` from 0 up to 1 spreads the next
 * lookups. The addresses of all samples count; without any, the name is absent only if every sample says so.
 */
export const looked = (
  record: HostRecord | undefined,
  name: string,
  answers: readonly DnsAnswer[],
  now: number,
  jitter: number,
): HostRecord => {
  const before = notLater(caughtUp(record ?? newHost(name, now), now), now);
  const after = { ...before, ...outcomeOf(before, answers, now), lastLookAt: isoOf(now) };
  if (after.wantedAt === null || !isWithin(after.wantedAt, wantedMs, now)) return { ...after, dueAt: null };
  const waitMs = nextLookSeconds(after, answers, now) * seconds * (1 + jitterShare * jitter);
  return { ...after, dueAt: isoOf(now + Math.round(waitMs)) };
};

/**
 * The record after a team has listed this host; `live`: one of its notebooks is running or starting. Undefined when
 * there is nothing to write. A host that is new, or that no team has wanted for long, is due at once.
 */
export const wanted = (
  record: HostRecord | undefined,
  name: string,
  live: boolean,
  now: number,
): HostRecord | undefined => {
  if (record === undefined) return { ...newHost(name, now), liveAt: live ? isoOf(now) : null };
  const dueAt = dueWhenWanted(record, live, now);
  const isNews = (at: string | null, againMs: number) =>
    at === null || at > isoOf(now) || !isWithin(at, againMs, now);
  const wantedAt = isNews(record.wantedAt, wantedAgainMs) ? isoOf(now) : record.wantedAt;
  const liveAt = live && isNews(record.liveAt, liveAgainMs) ? isoOf(now) : record.liveAt;
  if (dueAt === record.dueAt && wantedAt === record.wantedAt && liveAt === record.liveAt) return undefined;
  if (record.dueAt !== null) return { ...record, wantedAt, liveAt, dueAt };
  // No notebook relied on the addresses of an unwanted host, so it is treated as new.
  const addresses = kept(record.addresses, (seen) => now - Date.parse(seen.lastSeenAt) <= keepMs(seen));
  return { ...record, addresses, lastLookAt: null, wantedAt, liveAt, dueAt };
};

/** Whether a lookup is due. */
export const isDue = ({ dueAt }: HostRecord, now: number): boolean =>
  dueAt !== null && Date.parse(dueAt) <= now;

/** The record with a lease: not due for a minute, so no other caller resolves it meanwhile. */
export const leased = (record: HostRecord, now: number): HostRecord => ({
  ...caughtUp(record, now),
  dueAt: isoOf(now + leaseMs),
});

/** Whether it was resolved within the shortest interval between two lookups. */
export const isFresh = ({ lastLookAt }: HostRecord, now: number): boolean =>
  lastLookAt !== null && Math.abs(now - Date.parse(lastLookAt)) < soonestSeconds * seconds;

/** The addresses to allow, sorted. Compiling the policy leaves out forbidden ones. */
export const addressesOf = ({ addresses }: HostRecord): readonly string[] =>
  newestFirst(addresses)
    .slice(0, servedAtMost)
    .map(([address]) => address)
    .sort(byText);

/** The addresses to allow, by host. */
export const addressesIn = (hosts: ReadonlyMap<string, HostRecord>): Addresses =>
  new Map([...hosts].map(([name, host]) => [name, addressesOf(host)]));

/** What is known of a host, for display. */
export type HostState =
  /** It has not been looked up yet. */
  | { readonly state: 'pending' }
  | { readonly state: 'resolved' }
  /** Only the newest addresses are allowed. */
  | { readonly state: 'too_many_addresses' }
  /** No address is known; `message` says why. */
  | { readonly state: 'unresolved'; readonly message: string }
  /** The addresses are old: they were last confirmed at `since`. */
  | { readonly state: 'stale'; readonly since: string; readonly message: string };

export const hostState = (record: HostRecord | undefined, now: number): HostState => {
  if (record === undefined || record.lastLookAt === null) return { state: 'pending' };
  const { addresses, absent, lastError, lastSuccessAt } = record;
  const count = Object.keys(addresses).length;
  if (count === 0 || lastSuccessAt === null) {
    return { state: 'unresolved', message: lastError ?? 'The name does not exist, or has no address.' };
  }
  if (isConfirmed(absent)) {
    return { state: 'stale', since: lastSuccessAt, message: 'The name no longer exists.' };
  }
  const everySeconds = isLive(record, now) ? latestSeconds : idleSeconds;
  if (now - Date.parse(lastSuccessAt) > 2 * everySeconds * seconds + missedMs) {
    return {
      state: 'stale',
      since: lastSuccessAt,
      message: lastError ?? 'It has not been looked up since.',
    };
  }
  return { state: count > servedAtMost ? 'too_many_addresses' : 'resolved' };
};

const isWithin = (at: string, ms: number, now: number): boolean => now - Date.parse(at) <= ms;

const isLive = ({ liveAt }: HostRecord, now: number): boolean =>
  liveAt !== null && isWithin(liveAt, liveMs, now);

const newHost = (name: string, now: number): HostRecord => ({
  name,
  addresses: {},
  lastLookAt: null,
  lastSuccessAt: null,
  failures: 0,
  lastError: null,
  absent: null,
  wantedAt: isoOf(now),
  liveAt: null,
  dueAt: isoOf(now),
});

const kept = (addresses: Known, stays: (seen: Sighting) => boolean): Known =>
  Object.fromEntries(Object.entries(addresses).filter(([, seen]) => stays(seen)));

const newestFirst = (addresses: Known): [string, Sighting][] =>
  Object.entries(addresses).sort(
    ([a, { lastSeenAt: seenA }], [b, { lastSeenAt: seenB }]) => byText(seenB, seenA) || byText(a, b),
  );

const keepMs = ({ ttlSeconds }: Sighting): number => Math.max(ttlSeconds * seconds, graceMs);

const isConfirmed = (absent: HostRecord['absent']): boolean => absent !== null && absent.seen >= 2;

type Outcome = Pick<HostRecord, 'addresses' | 'lastSuccessAt' | 'failures' | 'lastError' | 'absent'>;

const outcomeOf = (before: HostRecord, answers: readonly DnsAnswer[], now: number): Outcome => {
  const { addresses } = before;
  const found = ttlsOf(answers);
  const hasAged = (seen: Sighting, from: number) =>
    now - Math.max(Date.parse(seen.lastSeenAt), from) > keepMs(seen);
  if (found.size > 0) {
    const old = kept(addresses, (seen) => !hasAged(seen, 0));
    const fresh = [...found].map(([address, ttlSeconds]): [string, Sighting] => [
      address,
      { firstSeenAt: addresses[address]?.firstSeenAt ?? isoOf(now), lastSeenAt: isoOf(now), ttlSeconds },
    ]);
    const union = newestFirst({ ...old, ...Object.fromEntries(fresh) }).slice(0, keptAtMost);
    const known = Object.fromEntries(union);
    return { addresses: known, lastSuccessAt: isoOf(now), failures: 0, lastError: null, absent: null };
  }
  const failed = answers.flatMap((answer) => (answer.answer === 'failed' ? [answer.message] : []));
  if (failed.length > 0 || answers.length === 0) {
    const isDeaf = before.lastSuccessAt === null || !isWithin(before.lastSuccessAt, deafMs, now);
    return {
      addresses: kept(addresses, (seen) => !isDeaf || isWithin(seen.lastSeenAt, deafMs, now)),
      lastSuccessAt: before.lastSuccessAt,
      failures: before.failures + 1,
      lastError: failed.toSorted(byText)[0] ?? 'It was not looked up.',
      absent: before.absent,
    };
  }
  const absent = stillAbsent(before.absent, now);
  const since = Date.parse(absent.since);
  return {
    addresses: isConfirmed(absent) ? kept(addresses, (seen) => !hasAged(seen, since)) : addresses,
    lastSuccessAt: before.lastSuccessAt,
    failures: 0,
    lastError: null,
    absent,
  };
};

/** The longest TTL of every address in any sample. */
const ttlsOf = (answers: readonly DnsAnswer[]): ReadonlyMap<string, number> => {
  const found = new Map<string, number>();
  for (const answer of answers) {
    if (answer.answer !== 'addresses') continue;
    for (const { address, ttlSeconds } of answer.addresses) {
      found.set(address, Math.max(found.get(address) ?? 0, Math.min(ttlSeconds, maxTtlSeconds)));
    }
  }
  return found;
};

const stillAbsent = (absent: HostRecord['absent'], now: number): NonNullable<HostRecord['absent']> => {
  if (absent === null) return { since: isoOf(now), seen: 1 };
  return now - Date.parse(absent.since) < absenceMs ? absent : { ...absent, seen: absent.seen + 1 };
};

const nextLookSeconds = (after: HostRecord, answers: readonly DnsAnswer[], now: number): number => {
  const live = isLive(after, now);
  if (after.failures > 0) {
    // Beyond 2^10 every delay is at its bound.
    const backoff = soonestSeconds * 2 ** Math.min(after.failures - 1, 10);
    return Math.min(backoff, live ? latestSeconds : idleSeconds);
  }
  if (after.absent !== null && !isConfirmed(after.absent)) return absenceMs / seconds;
  if (!live) return idleSeconds;
  if (after.absent !== null) return latestSeconds;
  const ttls = answers.flatMap((answer) =>
    answer.answer === 'addresses' ? answer.addresses.map(({ ttlSeconds }) => ttlSeconds) : [],
  );
  return Math.min(Math.max(Math.min(...ttls), soonestSeconds), latestSeconds);
};

const dueWhenWanted = (record: HostRecord, live: boolean, now: number): string => {
  const { dueAt, lastLookAt } = record;
  if (dueAt === null || Date.parse(dueAt) > now + tooFarMs) return isoOf(now);
  if (!live || isLive(record, now)) return dueAt;
  const soonest = lastLookAt === null ? now : Date.parse(lastLookAt) + soonestSeconds * seconds;
  return isoOf(Math.min(Date.parse(dueAt), Math.max(now, soonest)));
};

/** Shifts every timestamp that ages by the time in which a lookup was missed. */
const caughtUp = (record: HostRecord, now: number): HostRecord => {
  const lostMs = record.dueAt === null ? 0 : now - Date.parse(record.dueAt) - missedMs;
  return lostMs <= 0 ? record : instantsOf(record, (at) => isoOf(Date.parse(at) + lostMs));
};

/** A timestamp in the future was written by a wrong clock, so `now` is the upper bound. */
const notLater = (record: HostRecord, now: number): HostRecord => {
  const healed = (at: string) => (Date.parse(at) > now ? isoOf(now) : at);
  return {
    ...instantsOf(record, healed),
    lastSuccessAt: record.lastSuccessAt && healed(record.lastSuccessAt),
  };
};

const instantsOf = (record: HostRecord, moved: (at: string) => string): HostRecord => {
  const { addresses, absent, wantedAt, liveAt } = record;
  return {
    ...record,
    addresses: Object.fromEntries(
      Object.entries(addresses).map(([address, seen]) => [
        address,
        { ...seen, lastSeenAt: moved(seen.lastSeenAt) },
      ]),
    ),
    absent: absent && { ...absent, since: moved(absent.since) },
    wantedAt: wantedAt && moved(wantedAt),
    liveAt: liveAt && moved(liveAt),
  };
};
