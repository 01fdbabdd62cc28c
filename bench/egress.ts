// The cost of an allowlist: compiling it, checking a destination, and keeping its addresses up to date.
import { openSqliteStore } from '../src/adapters/sqlite.ts';
import { refreshHosts, wantHosts } from '../src/egress/addresses.ts';
import { allowPolicy } from '../src/egress/allow.ts';
import type { Addresses } from '../src/egress/destinations.ts';
import { defaultEntryOptions, parseAllowlist } from '../src/egress/entry.ts';
import { explain, parseDestination } from '../src/egress/explain.ts';
import { defaultEgressSettings } from '../src/egress/policy.ts';
import type { HostRecord } from '../src/model/host.ts';
import { defaultLimits } from '../src/model/limits.ts';
import { aNaming } from '../test/support/records.ts';
import { counting } from './counting.ts';
import { each, interleaved, printRatios, printTable, ratiosTo } from './measure.ts';
import { created, readyTeam, silent } from './product.ts';
import { addressOf, standInNames } from './stand-ins.ts';

const hosts = 200;
const addressesEach = 8;
const listingTeams = 10;
const rounds = Number(process.env.ROUNDS ?? 15);

const names = Array.from({ length: hosts }, (_, index) => `host-${index}.example.com`);
const meta = { namespace: 'team-bench', labels: {}, annotations: {} };

/** Addresses for every host, with this many distinct ones in all. */
const addressesOf = (different: number): Addresses =>
  new Map(
    names.map((name, host) => [
      name,
      Array.from({ length: addressesEach }, (_, index) =>
        addressOf((host * addressesEach + index) % different),
      ),
    ]),
  );

/** The rules only, in microseconds. */
const ruling = async (): Promise<void> => {
  const { entries } = parseAllowlist(names, defaultEntryOptions);
  const settings = defaultEgressSettings;
  const all = hosts * addressesEach;
  const [shared, own] = [addressesOf(all / 2), addressesOf(all)];
  const { policy } = allowPolicy(meta, entries, shared, settings);
  if (policy === undefined) throw new TypeError('What is shared fits');
  if (allowPolicy(meta, entries, own, settings).problem === undefined) throw new TypeError('It is too large');
  const facts = {
    enabled: true,
    entries,
    addresses: shared,
    settings,
    internalSuffixes: defaultEntryOptions.internalSuffixes,
    foreign: [],
    verdict: { boundless: [], isIsolated: true },
  };
  const check = (text: string, isAllowed: boolean) => () => {
    const asked = parseDestination(text, defaultEntryOptions);
    if (!asked.ok || explain(asked.destination, facts).allowed !== isAllowed) throw new Error(text);
  };
  const size = `${hosts} hosts × ${addressesEach} addresses`;
  const subjects = {
    'print the policy as JSON': each(() => JSON.stringify(policy)),
    [`compile ${size}, each address twice`]: each(() => allowPolicy(meta, entries, shared, settings)),
    [`the same, ${all} different ones: refused as too large`]: each(() =>
      allowPolicy(meta, entries, own, settings),
    ),
    'checkEgress, a host on the list': each(check(`${names.at(-1)}:443`, true)),
    'checkEgress, a host not on the list': each(check('not-listed.example.org:443', false)),
    'checkEgress, an address of a listed host': each(check(`${addressOf(all / 2 - 1)}:443`, true)),
  };
  for (const warmUp of Object.values(subjects)) await warmUp();
  const measured = await interleaved(subjects, rounds);
  printTable(
    `An allowlist of ${hosts} hosts (${rounds} slices each)`,
    ['', 'to printing the policy as JSON'],
    Object.entries(measured).map(([name, values]) => [
      name,
      printRatios(ratiosTo(measured['print the policy as JSON'] ?? [], values)),
    ]),
  );
};

/** Due, and reset to the addresses seen last; otherwise they would accumulate from round to round. */
const dueNow = (host: HostRecord): HostRecord => {
  const seen = Object.entries(host.addresses).filter(([, { lastSeenAt }]) => lastSeenAt === host.lastLookAt);
  return { ...host, addresses: Object.fromEntries(seen), dueAt: new Date().toISOString() };
};

/** Resolves the hosts that are due, which some teams list. */
const refreshing = async (): Promise<void> => {
  const counted = counting(openSqliteStore({ file: ':memory:', naming: aNaming }));
  const dns = standInNames(addressesEach);
  const resolving = counting(dns);
  const store = counted.port;
  const clock = { now: () => Date.now() };
  const deps = { store, dns: resolving.port, clock, log: silent, random: Math.random };
  const newRelease = () => ({ platformHash: 'p1', spec: {} });
  for (let n = 0; n < listingTeams; n++) {
    const team = readyTeam(`team-${n}`, { limits: defaultLimits, newRelease }, names);
    await store.create({ ...team, egressHosts: names }, created);
  }
  await wantHosts(deps, names, true);
  await refreshHosts(deps);

  const asked: Record<string, { storeCalls: number; questions: number }> = {};
  const pass = (name: string, due: number, isRenumbered: boolean) => async () => {
    const repeats = due === 0 ? 200 : 1;
    let ms = 0;
    for (let repeat = 0; repeat < repeats; repeat++) {
      for (const host of names.slice(0, due)) await store.changeHost(host, (known) => known && dueNow(known));
      if (isRenumbered) dns.renumber();
      counted.calls = 0;
      resolving.calls = 0;
      const from = performance.now();
      const { looked, changed, failed } = await refreshHosts(deps);
      ms += performance.now() - from;
      asked[name] = { storeCalls: counted.calls, questions: resolving.calls };
      if (looked !== due || failed > 0 || changed !== (isRenumbered ? due : 0))
        throw new Error(`${looked} hosts were looked at, ${changed} changed and ${failed} failed`);
    }
    return ms / repeats;
  };
  const same = `${hosts} hosts due, nothing new`;
  const rows: readonly (readonly [string, number, boolean])[] = [
    [`${hosts} hosts, none due`, 0, false],
    ['1 host due, nothing new', 1, false],
    [same, hosts, false],
    [`${hosts} hosts due, each with new addresses`, hosts, true],
  ];
  try {
    const subjects = Object.fromEntries(
      rows.map(([name, due, isRenumbered]) => [name, pass(name, due, isRenumbered)]),
    );
    for (const warmUp of Object.values(subjects)) await warmUp();
    const measured = await interleaved(subjects, rounds);
    printTable(
      `A look at the hosts that are due (${rounds} rounds; ${listingTeams} teams list them)`,
      ['', 'store calls', 'DNS queries', `to ${same}`],
      Object.entries(measured).map(([name, values]) => [
        name,
        String(asked[name]?.storeCalls),
        String(asked[name]?.questions),
        printRatios(ratiosTo(measured[same] ?? [], values)),
      ]),
    );
  } finally {
    await store.close();
  }
};

export const egress = async (): Promise<void> => {
  await ruling();
  await refreshing();
};
