import { readFileSync } from 'node:fs';
import { isIP } from 'node:net';
import Type, { type Static, type TSchema } from 'typebox';
import { Value } from 'typebox/value';
import { parse as parseYaml, YAMLParseError } from 'yaml';
import { parseName } from './egress/name.ts';
import { type Cidr, parseCidr, parseIpv4 } from './egress/ranges.ts';
import { knadaImages } from './environments/standard-images.ts';
import { closed, oneOf } from './lib/schema.ts';
import { StandardImage } from './model/environment.ts';
import { defaultLimits, Limits } from './model/limits.ts';
import { platformFaults } from './notebooks/platform-faults.ts';

type Variables = Readonly<Record<string, string | undefined>>;

const Issuer = closed({
  issuer: Type.String({ format: 'uri' }),
  audience: Type.Union([
    Type.String({ minLength: 1 }),
    Type.Array(Type.String({ minLength: 1 }), { minItems: 1 }),
  ]),
  jwksUri: Type.Optional(Type.String({ format: 'uri' })),
  algorithms: Type.Array(
    oneOf(['RS256', 'RS384', 'RS512', 'PS256', 'PS384', 'PS512', 'ES256', 'ES384', 'ES512', 'EdDSA']),
    { minItems: 1 },
  ),
  tenantId: Type.Optional(Type.String({ minLength: 1 })),
  userClaim: Type.String({ minLength: 1 }),
  groupsClaim: Type.Optional(Type.String({ minLength: 1 })),
});

/** Other origins for the hosts that images and Python’s versions come from; for the sandbox and tests. */
const Origins = Type.Record(Type.String(), Type.String({ pattern: '^https?://[a-zA-Z0-9.-]+(:[0-9]+)?$' }));

/** Simulators of Google’s APIs, on this machine only: nothing of ours is shown to them. */
const LocalOrigin = Type.Optional(
  Type.String({ pattern: '^http://(127\\.0\\.0\\.1|localhost):[0-9]{1,5}$' }),
);

const GoogleEndpoints = closed({
  'secretmanager.googleapis.com': LocalOrigin,
  'iam.googleapis.com': LocalOrigin,
});

const logLevels = ['fatal', 'error', 'warn', 'info', 'debug', 'trace', 'silent'] as const;

/** Addresses by host name. */
const HostMap = Type.Record(Type.String(), Type.Array(Type.String(), { minItems: 1 }));

const backends = ['ip', 'gke-fqdn'] as const;
const apiAlternatives = ['private', 'restricted', 'resolve'] as const;

/** Collects every fault before it gives up, so that an operator fixes the environment in one go. */
class Reader {
  readonly faults: string[] = [];
  readonly #env: Variables;
  constructor(env: Variables) {
    this.#env = env;
  }

  fault(name: string, message: string): undefined {
    this.faults.push(`${name}: ${message}`);
  }

  optional(name: string): string | undefined {
    const value = this.#env[name]?.trim();
    return value === '' ? undefined : value;
  }

  text(name: string, fallback?: string): string {
    const value = this.optional(name) ?? fallback;
    if (value === undefined) this.fault(name, 'is missing');
    return value ?? '';
  }

  matching(name: string, pattern: RegExp, form: string, fallback?: string): string {
    const value = this.text(name, fallback);
    if (value !== '' && !pattern.test(value)) this.fault(name, `must be ${form}, not "${value}"`);
    return value;
  }

  integer(name: string, fallback: number, most = Number.MAX_SAFE_INTEGER): number {
    const text = this.optional(name) ?? String(fallback);
    const value = Number(text);
    if (!/^[0-9]+$/.test(text) || value > most) {
      const bounds = most === Number.MAX_SAFE_INTEGER ? '0 or more' : `0 to ${most}`;
      this.fault(name, `must be a whole number, ${bounds}`);
    }
    return value;
  }

  /** Off unless it says 1; a misunderstanding stops the start, so that nobody believes that it is on. */
  flag(name: string): boolean {
    const value = this.optional(name) ?? '0';
    if (value !== '0' && value !== '1') this.fault(name, 'must be 1 or 0');
    return value === '1';
  }

  list(name: string): readonly string[] {
    return (this.optional(name) ?? '')
      .split(',')
      .map((item) => item.trim())
      .filter((item) => item !== '');
  }

  oneOf<const T extends readonly string[]>(name: string, values: T, fallback: T[number]): T[number] {
    const value = this.optional(name) ?? fallback;
    const found = values.find((candidate) => candidate === value);
    if (found === undefined) this.fault(name, `must be one of ${values.join(', ')}`);
    return found ?? fallback;
  }

  /** A JSON document in a variable, checked against its schema. */
  json<T extends TSchema>(name: string, schema: T, fallback?: Static<T>): Static<T> | undefined {
    const text = this.optional(name);
    if (text === undefined) {
      if (fallback === undefined) this.fault(name, 'is missing');
      return fallback;
    }
    let value: unknown;
    try {
      value = JSON.parse(text);
    } catch {
      return this.fault(name, 'is not JSON');
    }
    if (Value.Check(schema, value)) return value;
    for (const error of Value.Errors(schema, value)) {
      this.fault(name, `${error.instancePath === '' ? '' : `${error.instancePath} `}${error.message}`);
    }
    return undefined;
  }
}

const storeOf = (read: Reader) => {
  const store = read.text('STORE');
  if (store === 'firestore')
    return { kind: 'firestore', database: read.text('FIRESTORE_DATABASE', '(default)') } as const;
  if (store.startsWith('sqlite:') && store.length > 'sqlite:'.length) {
    return { kind: 'sqlite', file: store.slice('sqlite:'.length) } as const;
  }
  if (store !== '') read.fault('STORE', 'must be firestore or sqlite:<file>');
  return { kind: 'sqlite', file: '' } as const;
};

const clusterOf = (read: Reader) => {
  const cluster = read.text('CLUSTER');
  const gke = /^gke:(projects\/[^/]+\/locations\/[^/]+\/clusters\/[^/]+)$/.exec(cluster);
  if (gke?.[1] !== undefined) return { kind: 'gke', name: gke[1] } as const;
  if (cluster === 'kubeconfig') return { kind: 'kubeconfig' } as const;
  if (/^https?:\/\/[^/]+$/.test(cluster)) return { kind: 'url', url: cluster } as const;
  if (cluster !== '') {
    read.fault(
      'CLUSTER',
      'must be gke:projects/…/locations/…/clusters/…, kubeconfig, or a URL without a path',
    );
  }
  return { kind: 'kubeconfig' } as const;
};

const masterKeysOf = (read: Reader) => {
  const keys = read.list('HUB_MASTER_KEYS').map((item) => {
    const [, id = '', key = ''] = /^([a-z0-9-]{1,32}):((?:[0-9a-fA-F]{2}){32,})$/.exec(item) ?? [];
    if (id === '') {
      read.fault('HUB_MASTER_KEYS', 'each key is id:key, the key at least 64 hexadecimal digits');
    }
    return { id, key };
  });
  if (keys.length === 0) read.fault('HUB_MASTER_KEYS', 'is missing');
  const ids = keys.map(({ id }) => id).filter((id) => id !== '');
  if (new Set(ids).size !== ids.length) read.fault('HUB_MASTER_KEYS', 'names a key id twice');
  return keys;
};

/** A template’s placeholders: the team’s slug, id and namespace. */
const templateOf = (read: Reader, name: string): string => {
  const template = read.text(name);
  if (template === '') return template;
  if (!/^https?:\/\//.test(template)) read.fault(name, 'must start with https:// or http://');
  if (!/\{(slug|id|namespace)\}/.test(template))
    read.fault(name, 'must name the team by {slug}, {id} or {namespace}');
  return template;
};

/** In our own words: the parser’s would quote the file, which may hold secrets. */
const unreadable = (error: unknown): string => {
  if (error instanceof YAMLParseError) {
    return `is not YAML: ${error.code}${error.linePos ? ` in line ${error.linePos[0].line}` : ''}`;
  }
  if (error instanceof Error && 'code' in error && typeof error.code === 'string') {
    return `cannot be read: ${error.code}`;
  }
  return 'is not YAML';
};

const valuesOf = (read: Reader, readFile: (path: string) => string, allowInsecureAuth: boolean) => {
  const file = read.text('HUB_VALUES_FILE');
  if (file === '') return {};
  let values: unknown;
  try {
    values = parseYaml(readFile(file)) ?? {};
  } catch (error) {
    read.fault('HUB_VALUES_FILE', unreadable(error));
    return {};
  }
  if (typeof values !== 'object' || values === null || Array.isArray(values)) {
    read.fault('HUB_VALUES_FILE', 'must be a YAML mapping of chart values');
    return {};
  }
  const record = Object.fromEntries(Object.entries(values));
  for (const fault of platformFaults(record, { allowInsecureAuth })) read.fault('HUB_VALUES_FILE', fault);
  return record;
};

const rangesOf = (read: Reader, name: string): readonly Cidr[] =>
  read.list(name).flatMap((text) => {
    const range = parseCidr(text);
    if (range === undefined) read.fault(name, `"${text}" is not an IPv4 range such as 10.0.0.0/8`);
    return range ?? [];
  });

/** `address` or `address:port`, an IPv6 address with a port in brackets; none: the system’s resolvers. */
const resolversOf = (read: Reader, name: string): readonly string[] => {
  const servers = read.list(name);
  for (const server of servers) {
    const [, bracketed, plain, port = '53'] = /^(?:\[(.+)\]|([0-9.]+))(?::([0-9]{1,5}))?$/.exec(server) ?? [];
    const isAddress = isIP(server) === 6 || isIP(bracketed ?? '') === 6 || isIP(plain ?? '') === 4;
    if (isAddress && Number(port) >= 1 && Number(port) <= 65_535) continue;
    read.fault(name, `"${server}" is not an address with or without a port, such as 10.0.0.10:53`);
  }
  return servers;
};

const isName = (name: string): boolean => {
  const parsed = parseName(name);
  return parsed.ok && parsed.name === name;
};

const namesOf = (read: Reader, name: string): readonly string[] =>
  read.list(name).filter((text) => {
    if (!isName(text)) read.fault(name, `"${text}" is not a full host name in lower case`);
    return isName(text);
  });

/** Names by their static addresses, which replace DNS: `{"dm08-scan.adeo.no": ["10.53.0.1"]}`. */
const hostMapOf = (read: Reader): Readonly<Record<string, readonly string[]>> => {
  const name = 'EGRESS_HOST_MAP';
  const map = read.json(name, HostMap, {}) ?? {};
  for (const [host, addresses] of Object.entries(map)) {
    if (!isName(host)) read.fault(name, `"${host}" is not a full host name in lower case`);
    for (const address of addresses) {
      if (parseIpv4(address) === undefined) read.fault(name, `"${address}" is not an IPv4 address`);
    }
  }
  return map;
};

/** A comma list of `range:port`. */
const destinationsOf = (
  read: Reader,
  name: string,
): readonly { readonly cidr: Cidr; readonly port: number }[] =>
  read.list(name).flatMap((text) => {
    const [, range = '', port = ''] = /^([0-9./]+):([1-9][0-9]{0,4})$/.exec(text) ?? [];
    const cidr = parseCidr(range);
    if (cidr === undefined || Number(port) > 65_535) {
      read.fault(name, `"${text}" is not a range with a port such as 10.20.0.0/16:5432`);
      return [];
    }
    return { cidr, port: Number(port) };
  });

/** Two while they are being replaced. Without any, the admission function answers nobody. */
const admissionSecretsOf = (read: Reader): readonly string[] => {
  const name = 'ADMISSION_SECRETS';
  const secrets = read.list(name);
  if (secrets.length > 2) read.fault(name, 'takes two secrets at most');
  if (secrets.some((secret) => !/^[0-9a-f]{64}$/.test(secret))) {
    read.fault(name, 'each secret is 64 hexadecimal digits in lower case');
  }
  return secrets;
};

const issuersOf = (read: Reader) => {
  const issuers = read.json('AUTH_ISSUERS', Type.Array(Issuer, { minItems: 1 })) ?? [];
  if (new Set(issuers.map(({ issuer }) => issuer)).size !== issuers.length) {
    read.fault('AUTH_ISSUERS', 'names an issuer twice');
  }
  return issuers;
};

const originsOf = (read: Reader): readonly string[] => {
  const origins = read.list('CORS_ORIGINS');
  for (const origin of origins) {
    // As a browser sends it: no path, no default port, lower case.
    if (URL.parse(origin)?.origin !== origin) {
      read.fault('CORS_ORIGINS', `"${origin}" is not an origin such as https://knorten.knada.io`);
    }
  }
  return origins;
};

const limitsOf = (read: Reader): Limits => {
  const limits = {
    ...defaultLimits,
    ...read.json('NOTEBOOK_LIMITS', Type.Partial(Limits, { additionalProperties: false }), {}),
  };
  const ordered: readonly (readonly [keyof Limits, keyof Limits])[] = [
    ['cpuMin', 'cpuMax'],
    ['memoryMinMi', 'memoryMaxMi'],
    ['timeoutMinSeconds', 'timeoutMaxSeconds'],
    ['timeoutMaxSeconds', 'maxAgeMaxSeconds'],
    ['homeMinMi', 'homeMaxMi'],
  ];
  for (const [low, high] of ordered) {
    if (limits[low] > limits[high]) read.fault('NOTEBOOK_LIMITS', `${low} is above ${high}`);
  }
  return limits;
};

const parse = (env: Variables, readFile: (path: string) => string) => {
  const read = new Reader(env);
  const allowInsecureAuth = read.flag('ALLOW_INSECURE_HUB_AUTH');
  const helm = read.matching(
    'HELM_REPOSITORY',
    /^[a-z0-9-]+\/[a-z0-9.-]+$/,
    '<namespace>/<name>',
    'flux-system/jupyterhub',
  );
  const [helmNamespace = '', helmName = ''] = helm.split('/');
  const config = {
    port: read.integer('PORT', 8080, 65_535),
    host: read.text('HOST', '0.0.0.0'),
    logLevel: read.oneOf('LOG_LEVEL', logLevels, 'info'),
    googleProject: read.matching('GOOGLE_CLOUD_PROJECT', /^[a-z][a-z0-9-]{4,28}[a-z0-9]$/, 'a project id'),
    region: read.text('REGION', 'europe-north1'),
    googleEndpoints: read.json('GOOGLE_ENDPOINTS', GoogleEndpoints, {}) ?? {},
    store: storeOf(read),
    cluster: clusterOf(read),
    workloadPool: read.text('WORKLOAD_POOL', `${read.optional('GOOGLE_CLOUD_PROJECT') ?? ''}.svc.id.goog`),
    auth: {
      issuers: issuersOf(read),
      platformAdminGroups: read.list('PLATFORM_ADMIN_GROUPS'),
      teamCreators: read.list('TEAM_CREATORS').map((email) => email.toLowerCase()),
    },
    hub: {
      urlTemplate: templateOf(read, 'HUB_URL_TEMPLATE'),
      apiUrlTemplate: templateOf(read, 'HUB_API_URL_TEMPLATE'),
      masterKeys: masterKeysOf(read),
      chartVersion: read.matching(
        'HUB_CHART_VERSION',
        /^[0-9]+\.[0-9]+\.[0-9]+(-[0-9A-Za-z.-]+)?$/,
        'an exact version',
        '4.4.0',
      ),
      helmRepository: { namespace: helmNamespace, name: helmName },
      values: valuesOf(read, readFile, allowInsecureAuth),
    },
    standardImages: read.json('STANDARD_IMAGES', Type.Array(StandardImage), [...knadaImages]) ?? [],
    images: {
      origins: read.json('REGISTRY_ENDPOINTS', Origins, {}) ?? {},
      garProject: read.text('GAR_PROJECT', 'nais-management-233d'),
      ghcrOwner: read.text('GHCR_OWNER', 'navikt'),
    },
    admissionSecrets: admissionSecretsOf(read),
    egress: {
      backend: read.oneOf('EGRESS_BACKEND', backends, 'ip'),
      hostMap: hostMapOf(read),
      dnsServiceRanges: rangesOf(read, 'EGRESS_DNS_SERVICE_RANGES'),
      airflowDestinations: destinationsOf(read, 'EGRESS_AIRFLOW_DESTINATIONS'),
      googleApis: read.oneOf('EGRESS_GOOGLE_APIS', apiAlternatives, 'private'),
      googleApiHosts: namesOf(read, 'EGRESS_GOOGLE_API_HOSTS'),
      privateRanges: rangesOf(read, 'EGRESS_PRIVATE_RANGES'),
      clusterRanges: rangesOf(read, 'EGRESS_CLUSTER_RANGES'),
      internalSuffixes: read.list('EGRESS_INTERNAL_SUFFIXES'),
      allowCidr: read.flag('EGRESS_ALLOW_CIDR'),
      dnsServers: resolversOf(read, 'EGRESS_DNS_SERVERS'),
    },
    rolloutPerTick: read.integer('ROLLOUT_PER_TICK', 5),
    rateLimitPerMinute: read.integer('RATE_LIMIT_PER_MINUTE', 1200),
    corsOrigins: originsOf(read),
    limits: limitsOf(read),
  } as const;
  return { config, faults: read.faults };
};

export type Config = Readonly<ReturnType<typeof parse>['config']>;

/** The environment does not make a working configuration; the message names every fault. */
export class ConfigError extends Error {
  override readonly name = 'ConfigError';
  readonly faults: readonly string[];
  constructor(faults: readonly string[]) {
    super(`The configuration is not usable:\n${faults.map((fault) => `  - ${fault}`).join('\n')}`);
    this.faults = faults;
  }
}

const freeze = <T>(value: T): T => {
  if (typeof value === 'object' && value !== null && !Object.isFrozen(value)) {
    for (const inner of Object.values(value)) freeze(inner);
    Object.freeze(value);
  }
  return value;
};

/**
 * Parses the environment once (DESIGN 8) and freezes the outcome.
 * Throws ConfigError that names every missing or wrong variable at once; secrets are never in its message.
 */
export const loadConfig = (
  env: Variables,
  readFile: (path: string) => string = (path) => readFileSync(path, 'utf8'),
): Config => {
  const { config, faults } = parse(env, readFile);
  if (faults.length > 0) throw new ConfigError(faults);
  return freeze(config);
};
