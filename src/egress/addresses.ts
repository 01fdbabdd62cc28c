import { forEachConcurrently } from '../lib/concurrency.ts';
import { isoOf } from '../lib/time.ts';
import type { HostRecord } from '../model/host.ts';
import type { DnsAnswer, DnsResolver } from '../ports/dns.ts';
import type { Clock, Log } from '../ports/runtime.ts';
import type { HostStore, Store } from '../ports/store.ts';
import type { Addresses } from './destinations.ts';
import { addressesIn, addressesOf, isDue, isFresh, leased, looked, wanted } from './freshness.ts';

export interface AddressDeps {
  readonly store: HostStore & Pick<Store, 'change'>;
  readonly dns: DnsResolver;
  readonly clock: Clock;
  readonly log: Log;
  /** From 0 up to, but not including, 1. */
  readonly random: () => number;
}

/** The result of a pass, for the log and the caller. */
export interface AddressReport {
  readonly looked: number;
  /** Hosts whose addresses changed. */
  readonly changed: number;
  /** Hosts that DNS did not answer for, or whose record could not be written. */
  readonly failed: number;
}

/** The most hosts per pass, and at once. The rest stays due for the next pass, longest due first. */
const hostsPerPass = 500;
const passAtOnce = 100;

/**
 * The tick waits for the pass, so names that DNS does not answer must not use up its minute: a pass starts lookups for
 * `startMs`, and each takes `hostMs` at most. A name without an answer in that time is a failed lookup and backs off.
 */
const passTimes = { startMs: 7_000, hostMs: 3_000 };
const passDeadlineMs = 20_000;

/** Lookups that a caller waits for. */
const nowAtOnce = 20;
const nowDeadlineMs = 3_000;
const teamsAtOnce = 8;

/** DNS queries per lookup: many names have more addresses than one answer holds. */
const samples = 2;

/** Expired addresses are removed from the teams’ policies in batches. */
const removalsWithinMs = 10 * 60_000;

/** How the addresses of a host changed: new ones are urgent, fewer are not. */
type Change = 'none' | 'shrunk' | 'grown';

/**
 * Resolves every host that is due, and reconciles the teams whose hosts have new addresses. The scheduler calls it
 * every minute. Concurrent passes do not resolve a host twice. Costs one query when nothing is due.
 */
export const refreshHosts = async (
  deps: AddressDeps,
  signal: AbortSignal = AbortSignal.timeout(passDeadlineMs),
  { startMs, hostMs }: typeof passTimes = passTimes,
): Promise<AddressReport> => {
  const due = await deps.store.hostsDue(isoOf(deps.clock.now()), hostsPerPass);
  const { looked, failed, grown, shrunk } = await lookAll(deps, due, {
    atOnce: passAtOnce,
    signal,
    startsUntil: AbortSignal.timeout(startMs),
    hostMs,
    isWanted: isDue,
  });
  await tellTeams(deps, { grown, shrunk });
  return { looked, failed, changed: grown.length + shrunk.length };
};

/**
 * Records that a team lists these hosts (`live`: one of its notebooks is running or starting), and returns what is
 * known of them. Costs one query when nothing has changed.
 */
export const wantHosts = async (
  { store, clock }: Pick<AddressDeps, 'store' | 'clock'>,
  names: readonly string[],
  live: boolean,
): Promise<ReadonlyMap<string, HostRecord>> => {
  if (names.length === 0) return new Map();
  const now = clock.now();
  const known = new Map(await store.hosts(names));
  const news = names.filter((name) => wanted(known.get(name), name, live, now) !== undefined);
  await forEachConcurrently(news, nowAtOnce, async (name) => {
    const written = await store.changeHost(name, (current) => wanted(current, name, live, now));
    if (written !== undefined) known.set(name, written);
  });
  return known;
};

/**
 * Resolves these hosts at once, for a list that was just ordered or a notebook that is starting, and returns what is
 * then known of them. Takes at most 3 seconds, or `deadlineMs`; a host without an answer by then counts as a failed
 * lookup. Skips hosts that were never passed to wantHosts, and those resolved in the last 30 seconds. `except`: the
 * calling team, which is not reconciled.
 */
export const lookNow = async (
  deps: AddressDeps,
  names: readonly string[],
  options: { readonly signal: AbortSignal; readonly except?: string; readonly deadlineMs?: number },
): Promise<ReadonlyMap<string, HostRecord>> => {
  if (names.length === 0) return new Map();
  const { signal, except, deadlineMs = nowDeadlineMs } = options;
  const known = await deps.store.hosts(names);
  const now = deps.clock.now();
  const old = [...known.values()].filter((host) => !isFresh(host, now)).map(({ name }) => name);
  const looks = await lookAll(deps, old, {
    atOnce: nowAtOnce,
    signal,
    deadline: AbortSignal.timeout(deadlineMs),
    isWanted: (host, at) => !isFresh(host, at),
  });
  await tellTeams(deps, looks, except);
  return new Map([...known, ...looks.records]);
};

/**
 * Records that a team lists these hosts, and returns their addresses. Resolves new hosts at once, or all of them when
 * a start is about to rely on them. Otherwise like `wantHosts` and `lookNow`.
 */
export const addressesFor = async (
  deps: AddressDeps,
  names: readonly string[],
  options: {
    readonly isLive: boolean;
    readonly isStarting?: boolean;
    readonly signal: AbortSignal;
    readonly except?: string;
  },
): Promise<Addresses> => {
  const { isLive, isStarting = false, ...how } = options;
  const known = await wantHosts(deps, names, isLive);
  const asked = names.filter((name) => isStarting || (known.get(name)?.lastLookAt ?? null) === null);
  return addressesIn(new Map([...known, ...(await lookNow(deps, asked, how))]));
};

/**
 * The addresses of these names for a preview, which writes nothing: those that are known, and what DNS answers within 3
 * seconds for names that were never looked up. A name without an answer has no addresses.
 */
export const previewAddresses = async (
  { store, dns }: Pick<AddressDeps, 'store' | 'dns'>,
  names: readonly string[],
): Promise<Addresses> => {
  if (names.length === 0) return new Map();
  const known = await store.hosts(names);
  const addresses = new Map(addressesIn(known));
  const never = new AbortController().signal;
  const deadline = AbortSignal.timeout(nowDeadlineMs);
  const news = names.filter((name) => (known.get(name)?.lastLookAt ?? null) === null);
  await forEachConcurrently(news, nowAtOnce, async (name) => {
    if (deadline.aborted) return;
    const found = await ask(dns, name, never, deadline);
    if (found.answer !== 'addresses') return;
    addresses.set(
      name,
      found.addresses.map(({ address }) => address),
    );
  });
  return addresses;
};

/** What is known of these names, without a lookup. */
export const knownAddresses = async (
  store: Pick<HostStore, 'hosts'>,
  names: readonly string[],
): Promise<Addresses> => (names.length === 0 ? new Map() : addressesIn(await store.hosts(names)));

interface Way {
  readonly atOnce: number;
  readonly signal: AbortSignal;
  /** Its end counts as a failed lookup; the signal’s end does not. */
  readonly deadline?: AbortSignal;
  /** After this no lookup starts; those that did still end in their time. */
  readonly startsUntil?: AbortSignal;
  /** The deadline of each lookup, instead of one for all. */
  readonly hostMs?: number;
  readonly isWanted: (host: HostRecord, now: number) => boolean;
}

interface Looks {
  looked: number;
  failed: number;
  readonly grown: string[];
  readonly shrunk: string[];
  readonly records: Map<string, HostRecord>;
}

const lookAll = async (deps: AddressDeps, names: readonly string[], way: Way): Promise<Looks> => {
  const looks: Looks = { looked: 0, failed: 0, grown: [], shrunk: [], records: new Map() };
  await forEachConcurrently(names, way.atOnce, async (name) => {
    if (way.signal.aborted || way.deadline?.aborted || way.startsUntil?.aborted) return;
    try {
      const look = await lookAt(deps, name, way);
      if (look === undefined) return;
      looks.looked += 1;
      looks.records.set(name, look.record);
      if (look.record.failures > 0) looks.failed += 1;
      if (look.change !== 'none') looks[look.change].push(name);
    } catch (error) {
      // Its lease ends within a minute, and the next pass resolves it. Running out of time is not a failure.
      if (way.signal.aborted) return;
      looks.failed += 1;
      deps.log.error({ host: name, err: error }, 'host lookup failed');
    }
  });
  return looks;
};

/** Undefined when another caller holds the lease of the host, or no team lists it any more. */
const lookAt = async (
  { store, dns, clock, log, random }: AddressDeps,
  name: string,
  way: Way,
): Promise<{ readonly record: HostRecord; readonly change: Change } | undefined> => {
  let isOurs = false;
  await store.changeHost(name, (current) => {
    const now = clock.now();
    isOurs = current !== undefined && way.isWanted(current, now);
    return current === undefined || !isOurs ? undefined : leased(current, now);
  });
  if (!isOurs) return undefined;

  const deadline = way.hostMs === undefined ? way.deadline : AbortSignal.timeout(way.hostMs);
  const answers = await Promise.all(
    Array.from({ length: samples }, () => ask(dns, name, way.signal, deadline)),
  );
  const jitter = random();
  let change: Change = 'none';
  let failure: string | undefined;
  const record = await store.changeHost(name, (current) => {
    if (current === undefined) return undefined;
    const next = looked(current, name, answers, clock.now(), jitter);
    change = changeOf(addressesOf(current), addressesOf(next));
    failure = next.failures === 1 ? (next.lastError ?? undefined) : undefined;
    return next;
  });
  // Only the first failure in a row is logged.
  if (failure !== undefined) log.warn({ host: name, message: failure }, 'host not resolved');
  return record && { record, change };
};

const ask = async (
  dns: DnsResolver,
  name: string,
  signal: AbortSignal,
  deadline: AbortSignal | undefined,
): Promise<DnsAnswer> => {
  try {
    return await dns.resolve(name, deadline === undefined ? signal : AbortSignal.any([signal, deadline]));
  } catch (error) {
    if (signal.aborted || !deadline?.aborted) throw error;
    return { answer: 'failed', message: 'DNS did not answer in time.' };
  }
};

const changeOf = (before: readonly string[], after: readonly string[]): Change => {
  const old = new Set(before);
  if (after.some((address) => !old.has(address))) return 'grown';
  return after.length < before.length ? 'shrunk' : 'none';
};

/** Reconciles the teams that list these hosts: at once for new addresses, within ten minutes for expired ones. */
const tellTeams = async (
  { store, clock, log }: AddressDeps,
  { grown, shrunk }: Pick<Looks, 'grown' | 'shrunk'>,
  except?: string,
): Promise<void> => {
  const urgent = new Set(grown.length === 0 ? [] : await store.listing(grown));
  const rest = shrunk.length === 0 ? [] : await store.listing(shrunk);
  const slugs = [...new Set([...urgent, ...rest])].filter((slug) => slug !== except);
  await forEachConcurrently(slugs, teamsAtOnce, async (slug) => {
    const dueAt = isoOf(clock.now() + (urgent.has(slug) ? 0 : removalsWithinMs));
    try {
      await store.change(slug, (team) =>
        team.reconcile.dueAt <= dueAt
          ? undefined
          : { next: { ...team, reconcile: { ...team.reconcile, dueAt } } },
      );
    } catch (error) {
      // The team’s regular reconcile picks up the addresses in any case.
      log.error({ team: slug, err: error }, 'reconcile for new addresses not scheduled');
    }
  });
};
