import { isIP } from 'node:net';
import Type from 'typebox';
import { defaultEntryOptions, type EntryOptions, parseEntry } from '../egress/entry.ts';
import { parseName } from '../egress/name.ts';
import { defaultPresets, presetNamePattern } from '../egress/presets.ts';
import { type Cidr, parseCidr, parseIpv4 } from '../egress/ranges.ts';
import type { Variables } from './variables.ts';

const backends = ['ip', 'gke-fqdn'] as const;
const apiAlternatives = ['private', 'restricted', 'resolve'] as const;

/** Addresses by host name. */
const HostMap = Type.Record(Type.String(), Type.Array(Type.String(), { minItems: 1 }));

const rangesOf = (env: Variables, name: string): readonly Cidr[] =>
  env.list(name).flatMap((text) => {
    const range = parseCidr(text);
    if (range === undefined) env.fault(name, `"${text}" is not an IPv4 range such as 10.0.0.0/8`);
    return range ?? [];
  });

/** `address` or `address:port`, an IPv6 address with a port in brackets. An empty list means the system’s resolvers. */
const resolversOf = (env: Variables, name: string): readonly string[] => {
  const servers = env.list(name);
  for (const server of servers) {
    const [, bracketed, plain, port = '53'] = /^(?:\[(.+)\]|([0-9.]+))(?::([0-9]{1,5}))?$/.exec(server) ?? [];
    const isAddress = isIP(server) === 6 || isIP(bracketed ?? '') === 6 || isIP(plain ?? '') === 4;
    if (isAddress && Number(port) >= 1 && Number(port) <= 65_535) continue;
    env.fault(name, `"${server}" is not an address with or without a port, such as 10.0.0.10:53`);
  }
  return servers;
};

const isName = (name: string): boolean => {
  const parsed = parseName(name);
  return parsed.ok && parsed.name === name;
};

const namesOf = (env: Variables, name: string): readonly string[] =>
  env.list(name).filter((text) => {
    if (!isName(text)) env.fault(name, `"${text}" is not a full host name in lower case`);
    return isName(text);
  });

/** Names by their static addresses, which replace DNS: `{"dm08-scan.adeo.no": ["10.53.0.1"]}`. */
const hostMapOf = (env: Variables): Readonly<Record<string, readonly string[]>> => {
  const name = 'EGRESS_HOST_MAP';
  const map = env.json(name, HostMap, {}) ?? {};
  for (const [host, addresses] of Object.entries(map)) {
    if (!isName(host)) env.fault(name, `"${host}" is not a full host name in lower case`);
    for (const address of addresses) {
      if (parseIpv4(address) === undefined) env.fault(name, `"${address}" is not an IPv4 address`);
    }
  }
  return map;
};

/** A comma list of `range:port`. */
const destinationsOf = (
  env: Variables,
  name: string,
): readonly { readonly cidr: Cidr; readonly port: number }[] =>
  env.list(name).flatMap((text) => {
    const [, range = '', port = ''] = /^([0-9./]+):([1-9][0-9]{0,4})$/.exec(text) ?? [];
    const cidr = parseCidr(range);
    if (cidr === undefined || Number(port) > 65_535) {
      env.fault(name, `"${text}" is not a range with a port such as 10.20.0.0/16:5432`);
      return [];
    }
    return { cidr, port: Number(port) };
  });

/** One secret, or two during a rotation. Without any, the admission function refuses every call. */
export const admissionSecretsOf = (env: Variables): readonly string[] => {
  const name = 'ADMISSION_SECRETS';
  const secrets = env.list(name);
  if (secrets.length > 2) env.fault(name, 'takes two secrets at most');
  if (secrets.some((secret) => !/^[0-9a-f]{64}$/.test(secret))) {
    env.fault(name, 'each secret is 64 hexadecimal digits in lower case');
  }
  return secrets;
};

const Presets = Type.Record(
  Type.String({ pattern: presetNamePattern }),
  Type.Array(Type.String(), { maxItems: 200 }),
  { additionalProperties: false },
);

/** The presets of allowlists: the built-in ones, and those of the variable; an empty list takes a preset away. */
const presetsOf = (
  env: Variables,
  ranges: Pick<EntryOptions, 'clusterRanges' | 'privateRanges' | 'internalSuffixes' | 'allowCidr'>,
): Readonly<Record<string, readonly string[]>> => {
  const name = 'EGRESS_PRESETS';
  const given = env.json(name, Presets, {}) ?? {};
  for (const [preset, hosts] of Object.entries(given)) {
    for (const host of hosts) {
      const parsed = parseEntry(host, { ...defaultEntryOptions, ...ranges });
      if (!parsed.ok) env.fault(name, `${preset}: ${parsed.message}`);
    }
  }
  const all = { ...Object.fromEntries(defaultPresets), ...given };
  return Object.fromEntries(Object.entries(all).filter(([, hosts]) => hosts.length > 0));
};

/** What notebooks may reach. */
export const egressOf = (env: Variables) => {
  const ranges = {
    privateRanges: rangesOf(env, 'EGRESS_PRIVATE_RANGES'),
    clusterRanges: rangesOf(env, 'EGRESS_CLUSTER_RANGES'),
    internalSuffixes: env.list('EGRESS_INTERNAL_SUFFIXES'),
    allowCidr: env.flag('EGRESS_ALLOW_CIDR'),
  };
  return {
    ...ranges,
    presets: presetsOf(env, ranges),
    backend: env.oneOf('EGRESS_BACKEND', backends, 'ip'),
    hostMap: hostMapOf(env),
    dnsServiceRanges: rangesOf(env, 'EGRESS_DNS_SERVICE_RANGES'),
    airflowDestinations: destinationsOf(env, 'EGRESS_AIRFLOW_DESTINATIONS'),
    googleApis: env.oneOf('EGRESS_GOOGLE_APIS', apiAlternatives, 'private'),
    googleApiHosts: namesOf(env, 'EGRESS_GOOGLE_API_HOSTS'),
    dnsServers: resolversOf(env, 'EGRESS_DNS_SERVERS'),
  };
};
