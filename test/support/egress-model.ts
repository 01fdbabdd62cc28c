import assert from 'node:assert/strict';
import type { V1NetworkPolicy } from '@kubernetes/client-node';
import { type Connection, egressAllowed, type Pod } from './network-policy.ts';

/**
 * What a team may reach, told without the code that decides it: from what people asked for, what DNS answered when it
 * was asked, and which pods there are. Time is told by whoever uses the model, in minutes that really passed; it knows
 * nothing of any clock.
 */

/** What was asked for; `hosts` are keys of `entries`. */
export interface Wish {
  readonly enabled: boolean;
  readonly hosts: readonly Listed[];
}

interface Entry {
  readonly host: string;
  readonly isLiteral?: true;
  readonly from: number;
  readonly to: number;
}

/** Every entry that a list may have: two of one host, a range of ports, a literal, and ports shared between hosts. */
export const entries = {
  'pypi.org': { host: 'pypi.org', from: 443, to: 443 },
  'api.github.com:443': { host: 'api.github.com', from: 443, to: 443 },
  'api.github.com:22': { host: 'api.github.com', from: 22, to: 22 },
  'db.example.com:1521-1523': { host: 'db.example.com', from: 1521, to: 1523 },
  '140.82.112.3:9418': { host: '140.82.112.3', isLiteral: true, from: 9418, to: 9418 },
} as const satisfies Record<string, Entry>;
export type Listed = keyof typeof entries;

/** Every address that a host may resolve to. One is shared, and some must never be opened. */
export const pools = {
  'pypi.org': ['151.101.0.223', '151.101.64.223', '151.101.128.223', '10.1.2.3'],
  'api.github.com': ['140.82.121.6', '140.82.121.5', '151.101.0.223', '169.254.169.254'],
  'db.example.com': ['198.35.26.96', '198.35.26.97', '198.35.26.98', '192.168.7.7'],
} as const;
export type Host = keyof typeof pools;

const isPublic = (ip: string): boolean => !/^(?:10|127|169\.254|192\.168)\./.test(ip);

const notebook: Omit<Pod, 'namespace'> = {
  namespaceLabels: {},
  labels: { app: 'jupyterhub', component: 'singleuser-server' },
};
const podAt = (namespace: string, labels: Readonly<Record<string, string>>): Pod => ({
  namespace,
  namespaceLabels: { 'kubernetes.io/metadata.name': namespace },
  labels,
});

/** A destination that no list has and DNS never returns: reachable only without a restriction. */
const canary = '8.8.8.8:12345 TCP';

const ports = [22, 53, 80, 443, 444, 988, 1520, 1521, 1523, 1524, 8081, 9418, 12345];
const strangers = [
  '8.8.8.8',
  '140.82.112.4',
  '169.254.169.252',
  '169.254.20.10',
  '199.36.153.7',
  '199.36.153.8',
  '199.36.153.11',
  '199.36.153.12',
];
const probed = [...new Set([...Object.values(pools).flat(), ...strangers, '140.82.112.3'])];

/** What a restricted notebook needs to be one, by the table of where Google and the chart put it. */
const baseline: ReadonlySet<string> = new Set([
  ...['169.254.20.10', '169.254.169.254'].flatMap((ip) => [`${ip}:53 UDP`, `${ip}:53 TCP`]),
  '169.254.169.254:80 TCP',
  '169.254.169.252:988 TCP',
  '199.36.153.8:443 TCP',
  '199.36.153.11:443 TCP',
  'kube-dns:53 TCP',
  'kube-dns:53 UDP',
  'hub:8081 TCP',
]);

/** The ends of every range in these policies, so each range is probed. */
const endsOf = (policies: readonly V1NetworkPolicy[]): readonly string[] =>
  policies.flatMap(({ spec }) =>
    (spec?.egress ?? []).flatMap(({ to = [] }) =>
      to.flatMap(({ ipBlock }) => {
        if (ipBlock === undefined) return [];
        const [network = '', length = ''] = ipBlock.cidr.split('/');
        const first = network.split('.').reduce((sum, octet) => sum * 256 + Number(octet), 0);
        const last = first + 2 ** (32 - Number(length)) - 1;
        return [network, [24, 16, 8, 0].map((bits) => Math.floor(last / 2 ** bits) % 256).join('.')];
      }),
    ),
  );

/** Every probed destination that a notebook of the namespace can reach, as `<where>:<port> <protocol>`. */
const reached = (policies: readonly V1NetworkPolicy[], namespace: string): ReadonlySet<string> => {
  const places = [
    ...[...new Set([...probed, ...endsOf(policies)])].map((ip) => ({ name: ip, ip })),
    { name: 'hub', ip: '10.8.0.7', pod: podAt(namespace, { component: 'hub' }) },
    { name: 'other', ip: '10.8.0.8', pod: podAt(namespace, { app: 'other' }) },
    { name: 'stranger’s hub', ip: '10.8.0.9', pod: podAt('team-stranger-1a2b', { component: 'hub' }) },
    { name: 'kube-dns', ip: '10.8.0.10', pod: podAt('kube-system', { 'k8s-app': 'kube-dns' }) },
  ];
  const from: Pod = { ...notebook, namespace };
  const allows = (to: Connection) => egressAllowed(policies, from, to);
  return new Set(
    places.flatMap(({ name, ...place }) =>
      ports.flatMap((port) => [
        ...(allows({ ...place, port, protocol: 'TCP' }) ? [`${name}:${port} TCP`] : []),
        ...((port === 53 || port === 443) && allows({ ...place, port, protocol: 'UDP' })
          ? [`${name}:${port} UDP`]
          : []),
      ]),
    ),
  );
};

/** Policies with a rule for every destination, by name. */
const boundless = (policies: readonly V1NetworkPolicy[]): readonly string[] =>
  policies
    .filter(({ spec }) => spec?.egress?.some(({ to = [] }) => to.length === 0))
    .map(({ metadata }) => metadata?.name ?? '');

/** The probed destinations that an entry opens with these addresses of its host. */
const connectionsOf = (entry: Entry, addressesOf: (host: string) => readonly string[]): readonly string[] => {
  const ips = entry.isLiteral ? [entry.host] : addressesOf(entry.host).filter(isPublic);
  const within = ports.filter((port) => entry.from <= port && port <= entry.to);
  return ips.flatMap((ip) => within.map((port) => `${ip}:${port} TCP`));
};

const without = (some: Iterable<string>, ...others: readonly ReadonlySet<string>[]): readonly string[] =>
  [...some].filter((one) => others.every((other) => !other.has(one)));

interface Sighting {
  /** Minutes since DNS last answered it, as far as they count. */
  age: number;
  /** Whether DNS would have answered it at any time since. */
  isConstant: boolean;
}

/** How long an address stays after it was last answered. */
const graceMinutes = 60;
/** How long what was known stays while DNS says nothing. */
const deafMinutes = 23 * 60;
/** What passes while nobody looks counts up to the next look that was due, at most 5 minutes, and 10 of delay. */
const unwatchedMinutes = 20;

export type EgressModel = ReturnType<typeof egressModel>;

export const egressModel = () => {
  /** The states allowed now: from the result of the last full reconcile to the last request. */
  let wishes: readonly Wish[] = [{ enabled: false, hosts: [] }];
  const sightings = new Map<string, Map<string, Sighting>>();
  /** What the running notebooks could reach at the end of the last full reconcile. */
  let had: ReadonlySet<string> = new Set();
  /** Hosts that were looked at as often as those of a running notebook are, at the end of a tick in full. */
  let watched: ReadonlySet<string> = new Set();

  const known = new Map<string, ReadonlySet<string>>();
  const reachedNow = (policies: readonly V1NetworkPolicy[], namespace: string): ReadonlySet<string> => {
    const key = JSON.stringify(policies.map(({ spec }) => spec));
    const open = known.get(key) ?? reached(policies, namespace);
    known.set(key, open);
    return open;
  };

  const seenOf = (host: string) => sightings.get(host) ?? new Map<string, Sighting>();
  const age = (host: string, minutes: number): void => {
    for (const seen of seenOf(host).values()) seen.age += minutes;
  };
  const last = () => wishes.at(-1) ?? assert.fail();

  const opened = ({ hosts }: Wish): ReadonlySet<string> =>
    new Set(hosts.flatMap((text) => connectionsOf(entries[text], (host) => [...seenOf(host).keys()])));

  /** What of a wish has to be open while a notebook runs. */
  const due = ({ hosts }: Wish): ReadonlySet<string> =>
    new Set(
      hosts.flatMap((text) => {
        const seen = seenOf(entries[text].host);
        const [recent, constant] = [
          [...seen].filter(([, { age }]) => age <= graceMinutes),
          [...seen].filter(([, { age, isConstant }]) => isConstant && age <= deafMinutes),
        ].map((some) => connectionsOf(entries[text], () => some.map(([ip]) => ip)));
        return [...(recent ?? []), ...(constant ?? []).filter((connection) => had.has(connection))];
      }),
    );

  /** Whether this is no wider than the wish. A wish for no restriction is met by no restriction alone. */
  const fits = (open: ReadonlySet<string>, wish: Wish): boolean =>
    wish.enabled ? without(open, baseline, opened(wish)).length === 0 : open.has(canary);

  const tooWide = (open: ReadonlySet<string>): string =>
    open.has(canary) ? 'no restriction at all' : without(open, baseline, opened(last())).join(', ');

  return {
    asked(wish: Wish): void {
      wishes = [...wishes, wish];
    },

    /** Records an answer of DNS. */
    answered(host: string, ips: readonly string[]): void {
      const seen = seenOf(host);
      for (const ip of ips) seen.set(ip, { age: 0, isConstant: true });
      sightings.set(host, seen);
    },

    /** From now on DNS answers these and no other, in turns if there are many. */
    changed(host: string, ips: readonly string[], isWhole: boolean): void {
      for (const [ip, seen] of seenOf(host)) seen.isConstant &&= isWhole && ips.includes(ip);
    },

    /** Minutes in which every due lookup was made. */
    passed(minutes: number): void {
      for (const host of sightings.keys()) age(host, minutes);
    },

    /** Minutes without lookups, or a jump of the clock. */
    leapt(minutes: number): void {
      for (const host of sightings.keys())
        age(host, watched.has(host) ? Math.min(minutes, unwatchedMinutes) : minutes);
    },

    /** What is there, after any change: what is wrong with it. */
    faultOf(policies: readonly V1NetworkPolicy[], namespace: string): string | undefined {
      const wrong = boundless(policies).filter((name) => name !== 'notebook-egress-open');
      if (wrong.length > 0) return `${wrong.join()} has a rule for every destination`;
      const open = reachedNow(policies, namespace);
      const index = wishes.findIndex((wish) => fits(open, wish));
      if (index < 0) return `wider than asked: ${tooWide(open)}`;
      // What was left behind does not come back.
      wishes = wishes.slice(index);
      return undefined;
    },

    /** `open` is deleted: a team that has opted in must stay restricted. */
    closed(): void {
      if (last().enabled) wishes = wishes.filter(({ enabled }) => enabled);
    },

    /** An undisturbed reconcile has ended: the last request is in effect. */
    looked(): void {
      wishes = wishes.slice(-1);
    },

    /** A disturbed reconcile or tick has ended. */
    disturbed(): void {
      watched = new Set();
    },

    /**
     * A tick has ended that nothing came in the way of; answers what is missing. `isBehind`: the look before went wrong,
     * and this tick has not looked again. Then what is new may come later, but what the notebooks had is there.
     */
    ticked(
      policies: readonly V1NetworkPolicy[],
      namespace: string,
      { isRunning, isBehind }: { readonly isRunning: boolean; readonly isBehind: boolean },
    ): readonly string[] {
      const open = reachedNow(policies, namespace);
      const [wish, ...older] = wishes.toReversed();
      watched = new Set(isRunning && older.length === 0 ? wish?.hosts.map((text) => entries[text].host) : []);
      if (!isRunning) had = new Set();
      if (!last().enabled) return wishes.length > 1 || open.has(canary) ? [] : [canary];
      const isRestricted = wishes.every(({ enabled }) => enabled);
      const [first = new Set<string>(), ...rest] = isRunning ? wishes.map(due) : [];
      const listed = [...first].filter(
        (connection) => rest.every((one) => one.has(connection)) && (!isBehind || had.has(connection)),
      );
      const missing = isRestricted ? without([...baseline, ...listed], open) : [];
      if (isRunning) had = open;
      return missing;
    },

    /** What is open beyond the baseline; nothing for a team that is not restricted. */
    allowed(policies: readonly V1NetworkPolicy[], namespace: string): readonly string[] {
      const isRestricted = wishes.every(({ enabled }) => enabled);
      return isRestricted ? without(reachedNow(policies, namespace), baseline).toSorted() : [];
    },

    /** No notebook is running, so there is no access to lose. */
    stopped(): void {
      had = new Set();
      watched = new Set();
    },

    /** All that the list opens when these are the addresses of its hosts, and no others. */
    exactly(answers: (host: string) => readonly string[]): readonly string[] {
      return [...new Set(last().hosts.flatMap((text) => connectionsOf(entries[text], answers)))].toSorted();
    },
  };
};
