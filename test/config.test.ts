import assert from 'node:assert/strict';
import { execFile } from 'node:child_process';
import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { describe, it, type TestContext } from 'node:test';
import { fileURLToPath } from 'node:url';
import { type Config, ConfigError, loadConfig } from '../src/config.ts';
import { defaultPresets } from '../src/egress/presets.ts';
import { knadaImages } from '../src/environments/standard-images.ts';
import { defaultLimits } from '../src/model/limits.ts';

import { sharedFile, withoutShared } from './support/shared.ts';

type Environment = Readonly<Record<string, string | undefined>>;

const key = '5ec3e7'.repeat(11);
const issuer = {
  issuer: 'https://login.microsoftonline.com/nav/v2.0',
  audience: 'knada-notebooks',
  algorithms: ['RS256'],
  userClaim: 'preferred_username',
};
const values = `hub:
  config:
    JupyterHub: { authenticator_class: azuread }
    AzureAdOAuthenticator: { username_claim: preferred_username, client_secret: s3cret-of-the-hub }
`;

/** Nothing but what must be given. */
const required = {
  STORE: 'firestore',
  GOOGLE_CLOUD_PROJECT: 'knada-gcp',
  CLUSTER: 'gke:projects/knada-gcp/locations/europe-north1/clusters/knada',
  AUTH_ISSUERS: JSON.stringify([issuer]),
  HUB_URL_TEMPLATE: 'https://{slug}.jupyter.knada.io',
  HUB_API_URL_TEMPLATE: 'http://hub.{namespace}.svc.cluster.local:8081',
  HUB_MASTER_KEYS: `2026-11:${key}`,
  HUB_VALUES_FILE: '/etc/knada/hub-values.yaml',
} as const;

const load = (env: Environment = {}, file = values): Config =>
  loadConfig({ ...required, ...env }, () => file);

const faultsOf = (env: Environment, file?: string): readonly string[] => {
  try {
    load(env, file);
  } catch (error) {
    assert.ok(error instanceof ConfigError, String(error));
    for (const fault of error.faults) assert.ok(error.message.includes(fault));
    return error.faults;
  }
  return [];
};
const namesOf = (faults: readonly string[]) => [...new Set(faults.map((fault) => fault.split(':')[0]))];

describe('a configuration', () => {
  it('of the required variables has the documented defaults for the rest', () => {
    const { auth, hub, teams, ...config } = load();
    assert.deepEqual(config, {
      port: 8080,
      host: '0.0.0.0',
      logLevel: 'info',
      googleProject: 'knada-gcp',
      region: 'europe-north1',
      googleEndpoints: {},
      store: { kind: 'firestore', database: '(default)' },
      cluster: { kind: 'gke', name: 'projects/knada-gcp/locations/europe-north1/clusters/knada' },
      workloadPool: 'knada-gcp.svc.id.goog',
      standardImages: knadaImages,
      images: { origins: {}, garProject: 'nais-management-233d', ghcrOwner: 'navikt' },
      admissionSecrets: [],
      egress: {
        backend: 'ip',
        hostMap: {},
        dnsServiceRanges: [],
        airflowDestinations: [],
        googleApis: 'private',
        googleApiHosts: [],
        privateRanges: [],
        clusterRanges: [],
        internalSuffixes: [],
        allowCidr: false,
        dnsServers: [],
        presets: Object.fromEntries(defaultPresets),
      },
      platformObjects: [],
      rolloutPerTick: 5,
      rateLimitPerMinute: 1200,
      streams: { perCaller: 20, perInstance: 200 },
      corsOrigins: [],
      limits: defaultLimits,
    });
    assert.deepEqual(auth.auditorGroups, []);
    const { reservedSlugs, ...limits } = teams;
    assert.deepEqual(limits, { maxPerPerson: 20, max: 5000, membersMax: 500, memberEmailDomains: [] });
    const needed = ['hub', 'www', 'api', 'admin', 'default', 'jupyter', 'docs', 'status', 'login', 'auth'];
    for (const slug of [...needed, 'kube-system', 'kube-public', 'kube-node-lease']) {
      assert.ok(reservedSlugs.includes(slug), slug);
    }
    assert.equal(hub.chartVersion, '4.4.0');
    assert.deepEqual(hub.helmRepository, { namespace: 'flux-system', name: 'jupyterhub' });
    assert.deepEqual(hub.masterKeys, [{ id: '2026-11', key }]);
  });

  for (const name of Object.keys(required)) {
    for (const [what, value] of [
      ['absent', undefined],
      ['empty', ''],
      ['blank', '  '],
    ] as const) {
      it(`with ${name} ${what} is refused, and named`, () => {
        assert.deepEqual(faultsOf({ [name]: value }), [`${name}: is missing`]);
      });
    }
  }

  it('with every required variable missing names all of them in one error', () => {
    assert.throws(
      () => loadConfig({}, () => values),
      (error) => {
        assert.ok(error instanceof ConfigError);
        assert.deepEqual(namesOf(error.faults).toSorted(), Object.keys(required).toSorted());
        return true;
      },
    );
  });

  const driver = { name: 'Oracle', included: true, source: 'its Dockerfile' };
  const image = { repository: 'ghcr.io/navikt/jupyter', drivers: [driver] };
  const json = JSON.stringify;
  const wrong: readonly (readonly [name: string, value: string])[] = [
    ['PORT', 'http'],
    ['PORT', '-1'],
    ['PORT', '80.5'],
    ['PORT', '0x50'],
    ['PORT', '65536'],
    ['LOG_LEVEL', 'verbose'],
    ['GOOGLE_CLOUD_PROJECT', 'Knada'],
    ['GOOGLE_CLOUD_PROJECT', 'abc'],
    ['STORE', 'postgres'],
    ['STORE', 'sqlite:'],
    ['CLUSTER', 'knada'],
    ['CLUSTER', 'gke:projects/p/clusters/c'],
    ['CLUSTER', 'https://10.0.0.1/path'],
    ['AUTH_ISSUERS', 'https://login.microsoftonline.com'],
    ['AUTH_ISSUERS', '{}'],
    ['AUTH_ISSUERS', '[]'],
    ['AUTH_ISSUERS', json([{ ...issuer, issuer: 'nav' }])],
    ['AUTH_ISSUERS', json([{ ...issuer, algorithms: [] }])],
    ['AUTH_ISSUERS', json([{ ...issuer, algorithms: ['HS256'] }])],
    ['AUTH_ISSUERS', json([{ ...issuer, algorithms: ['none'] }])],
    ['AUTH_ISSUERS', json([{ ...issuer, audience: [] }])],
    ['AUTH_ISSUERS', json([{ ...issuer, audience: '' }])],
    ['AUTH_ISSUERS', json([{ ...issuer, userClaim: undefined }])],
    ['AUTH_ISSUERS', json([{ ...issuer, tenant: 'x' }])],
    ['AUTH_ISSUERS', json([issuer, issuer])],
    ['AUTH_ISSUERS', json([{ ...issuer, issuer: 'https://accounts.google.com' }])],
    ['AUTH_ISSUERS', json([{ ...issuer, issuer: 'https://accounts.google.com', hostedDomains: [] }])],
    ['AUTH_ISSUERS', json([{ ...issuer, hostedDomains: ['nav.no'] }])],
    ['MAX_TEAMS_PER_PERSON', 'many'],
    ['MAX_TEAMS', '-1'],
    ['RESERVED_SLUGS', 'hub,WWW'],
    ['RESERVED_SLUGS', 'a b'],
    ['MEMBER_EMAIL_DOMAINS', '@nav.no'],
    ['MEMBER_EMAIL_DOMAINS', 'nav'],
    ['HUB_URL_TEMPLATE', '{slug}.jupyter.knada.io'],
    ['HUB_URL_TEMPLATE', 'https://jupyter.knada.io'],
    ['HUB_API_URL_TEMPLATE', 'ftp://{slug}'],
    ['HUB_MASTER_KEYS', key],
    ['HUB_MASTER_KEYS', 'a:beef'],
    ['HUB_MASTER_KEYS', `A:${key}`],
    ['HUB_MASTER_KEYS', `a:${key}:b`],
    ['HUB_MASTER_KEYS', `a:${key}0`],
    ['HUB_MASTER_KEYS', `a:${key},a:${key}`],
    ['HUB_CHART_VERSION', '4.x'],
    ['HUB_CHART_VERSION', '^4.4.0'],
    ['HELM_REPOSITORY', 'jupyterhub'],
    ['STANDARD_IMAGES', 'jupyter'],
    ['STANDARD_IMAGES', json([{ ...image, drivers: [{ ...driver, included: 'yes' }] }])],
    ['STANDARD_IMAGES', json([{ drivers: [] }])],
    ['STANDARD_IMAGES', json([{ ...image, python: '3.13' }])],
    ['REGISTRY_ENDPOINTS', json({ 'ghcr.io': 'not an origin' })],
    ['REGISTRY_ENDPOINTS', '[]'],
    ['GOOGLE_ENDPOINTS', 'http://127.0.0.1:8086'],
    ['GOOGLE_ENDPOINTS', json({ 'iam.googleapis.com': 'https://iam.example.com' })],
    ['GOOGLE_ENDPOINTS', json({ 'iam.googleapis.com': 'http://10.0.0.1:8086' })],
    ['GOOGLE_ENDPOINTS', json({ 'storage.googleapis.com': 'http://127.0.0.1:8086' })],
    ['EGRESS_GOOGLE_APIS', 'public'],
    ['EGRESS_PRIVATE_RANGES', '10.0.0.0/8,2001:db8::/32'],
    ['EGRESS_CLUSTER_RANGES', '10.0.0.300/8'],
    ['EGRESS_ALLOW_CIDR', 'true'],
    ['EGRESS_PRESETS', '{"pypi": "pypi.org"}'],
    ['EGRESS_PRESETS', '{"Own Hosts": ["nav.no"]}'],
    ['EGRESS_PRESETS', '{"own": ["*.nav.no"]}'],
    ['EGRESS_PRESETS', '{"own": ["preset:pypi"]}'],
    ['EGRESS_BACKEND', 'cilium'],
    ['EGRESS_DNS_SERVICE_RANGES', '10.96.0.10/33'],
    ['EGRESS_GOOGLE_API_HOSTS', 'bigquery'],
    ['EGRESS_GOOGLE_API_HOSTS', 'BigQuery.googleapis.com'],
    ['EGRESS_AIRFLOW_DESTINATIONS', '10.20.0.0/16'],
    ['EGRESS_AIRFLOW_DESTINATIONS', '10.20.0.1/16:5432'],
    ['EGRESS_AIRFLOW_DESTINATIONS', '10.20.0.0/16:65536'],
    ['EGRESS_AIRFLOW_DESTINATIONS', '10.20.0.0/16:postgres'],
    ['EGRESS_HOST_MAP', '[]'],
    ['EGRESS_HOST_MAP', json({ 'db.adeo.no': [] })],
    ['EGRESS_HOST_MAP', json({ 'db.adeo.no': '10.53.0.1' })],
    ['EGRESS_HOST_MAP', json({ 'db.adeo.no': ['10.53.0.1/32'] })],
    ['EGRESS_HOST_MAP', json({ 'DB.adeo.no': ['10.53.0.1'] })],
    ['EGRESS_HOST_MAP', json({ '*.adeo.no': ['10.53.0.1'] })],
    ['ADMISSION_SECRETS', 'secret'],
    ['ADMISSION_SECRETS', 'AB'.repeat(32)],
    ['ADMISSION_SECRETS', ['a', 'b', 'c'].map((digit) => digit.repeat(64)).join()],
    ['EGRESS_DNS_SERVERS', 'dns.google'],
    ['EGRESS_DNS_SERVERS', '10.0.0.10:0'],
    ['EGRESS_DNS_SERVERS', '10.0.0.10:65536'],
    ['EGRESS_DNS_SERVERS', '10.0.0.10:dns'],
    ['EGRESS_DNS_SERVERS', '10.0.0.256'],
    ['EGRESS_DNS_SERVERS', '2001:4860:4860::8888:53:53:53:53'],
    ['EGRESS_DNS_SERVERS', '[10.0.0.10]:53'],
    ['EGRESS_DNS_SERVERS', 'https://10.0.0.10'],
    ['ALLOW_INSECURE_HUB_AUTH', 'yes'],
    ['ROLLOUT_PER_TICK', 'all'],
    ['PLATFORM_OBJECTS', 'hub-login'],
    ['PLATFORM_OBJECTS', 'Secret/*'],
    ['RATE_LIMIT_PER_MINUTE', '1e3'],
    ['CORS_ORIGINS', '*'],
    ['CORS_ORIGINS', 'https://knorten.knada.io/'],
    ['NOTEBOOK_LIMITS', 'none'],
    ['NOTEBOOK_LIMITS', json({ cpuMaximum: 4 })],
    ['NOTEBOOK_LIMITS', json({ cpuMax: '4' })],
    ['NOTEBOOK_LIMITS', json({ cpuMin: 0 })],
    ['NOTEBOOK_LIMITS', json({ homeMinMi: 0.5 })],
    ['NOTEBOOK_LIMITS', json({ cpuMax: 0.05 })],
    ['NOTEBOOK_LIMITS', json({ timeoutMaxSeconds: 9_999_999 })],
  ];
  for (const [name, value] of wrong) {
    it(`with ${name}=${value.replaceAll(key, '<key>').slice(0, 60)} is refused, and named`, () => {
      const faults = faultsOf({ [name]: value });
      assert.deepEqual(namesOf(faults), [name]);
      for (const fault of faults) assert.match(fault, /^[A-Z_]+: .{5,}/s);
    });
  }

  it('with several invalid variables names each of them', () => {
    const env = { PORT: 'http', CLUSTER: 'x', HUB_MASTER_KEYS: 'a:b', NOTEBOOK_LIMITS: '{"cpuMax":"x"}' };
    assert.deepEqual(namesOf(faultsOf(env)).toSorted(), Object.keys(env).toSorted());
  });

  const right: readonly (readonly [Environment, (config: Config) => unknown, unknown])[] = [
    [{ PORT: '9090' }, ({ port }) => port, 9090],
    [{ PORT: '0' }, ({ port }) => port, 0],
    [{ PORT: ' 9090 ' }, ({ port }) => port, 9090],
    [{ HOST: '127.0.0.1' }, ({ host }) => host, '127.0.0.1'],
    [{ LOG_LEVEL: 'silent' }, ({ logLevel }) => logLevel, 'silent'],
    [{ REGION: 'europe-west1' }, ({ region }) => region, 'europe-west1'],
    [
      { STORE: 'sqlite:/data/store.sqlite' },
      ({ store }) => store,
      { kind: 'sqlite', file: '/data/store.sqlite' },
    ],
    [{ FIRESTORE_DATABASE: 'knada' }, ({ store }) => store, { kind: 'firestore', database: 'knada' }],
    [{ CLUSTER: 'kubeconfig' }, ({ cluster }) => cluster, { kind: 'kubeconfig' }],
    [
      { CLUSTER: 'http://127.0.0.1:8081' },
      ({ cluster }) => cluster,
      { kind: 'url', url: 'http://127.0.0.1:8081' },
    ],
    [{ WORKLOAD_POOL: 'x.svc.id.goog' }, ({ workloadPool }) => workloadPool, 'x.svc.id.goog'],
    [{ PLATFORM_ADMIN_GROUPS: 'a, b,' }, ({ auth }) => auth.platformAdminGroups, ['a', 'b']],
    [{ AUDITOR_GROUPS: 'revisjon' }, ({ auth }) => auth.auditorGroups, ['revisjon']],
    [{ MAX_TEAMS_PER_PERSON: '0' }, ({ teams }) => teams.maxPerPerson, 0],
    [{ MAX_TEAMS: '7' }, ({ teams }) => teams.max, 7],
    [{ RESERVED_SLUGS: 'hub, www' }, ({ teams }) => teams.reservedSlugs, ['hub', 'www']],
    [
      { MEMBER_EMAIL_DOMAINS: 'NAV.no,trygdeetaten.no' },
      ({ teams }) => teams.memberEmailDomains,
      ['nav.no', 'trygdeetaten.no'],
    ],
    [{ TEAM_CREATORS: 'Kari@NAV.no' }, ({ auth }) => auth.teamCreators, ['kari@nav.no']],
    [
      { HUB_MASTER_KEYS: `new:${key},old:${key}` },
      ({ hub }) => hub.masterKeys.map(({ id }) => id),
      ['new', 'old'],
    ],
    [{ HUB_CHART_VERSION: '4.5.0-0.dev.git.1' }, ({ hub }) => hub.chartVersion, '4.5.0-0.dev.git.1'],
    [
      { HELM_REPOSITORY: 'charts/hub' },
      ({ hub }) => hub.helmRepository,
      { namespace: 'charts', name: 'hub' },
    ],
    [{ STANDARD_IMAGES: json([image]) }, ({ standardImages }) => standardImages, [image]],
    [
      { GAR_PROJECT: 'p', GHCR_OWNER: 'o' },
      ({ images }) => images,
      { origins: {}, garProject: 'p', ghcrOwner: 'o' },
    ],
    [
      { REGISTRY_ENDPOINTS: json({ 'ghcr.io': 'http://127.0.0.1:8083' }) },
      ({ images }) => images.origins,
      { 'ghcr.io': 'http://127.0.0.1:8083' },
    ],
    [
      { GOOGLE_ENDPOINTS: json({ 'iam.googleapis.com': 'http://127.0.0.1:8086' }) },
      ({ googleEndpoints }) => googleEndpoints,
      { 'iam.googleapis.com': 'http://127.0.0.1:8086' },
    ],
    [{ EGRESS_GOOGLE_APIS: 'resolve' }, ({ egress }) => egress.googleApis, 'resolve'],
    [{ EGRESS_PRIVATE_RANGES: '10.0.0.0/8, 172.16.0.0/12' }, ({ egress }) => egress.privateRanges.length, 2],
    [{ EGRESS_CLUSTER_RANGES: '10.4.0.0/14' }, ({ egress }) => egress.clusterRanges.length, 1],
    [{ EGRESS_INTERNAL_SUFFIXES: '.adeo.no' }, ({ egress }) => egress.internalSuffixes, ['.adeo.no']],
    [{ EGRESS_BACKEND: 'gke-fqdn' }, ({ egress }) => egress.backend, 'gke-fqdn'],
    [
      { EGRESS_HOST_MAP: json({ 'dm08-scan.adeo.no': ['10.53.0.1', '10.53.0.2'] }) },
      ({ egress }) => egress.hostMap['dm08-scan.adeo.no'],
      ['10.53.0.1', '10.53.0.2'],
    ],
    [{ EGRESS_DNS_SERVICE_RANGES: '10.96.0.10' }, ({ egress }) => egress.dnsServiceRanges.length, 1],
    [
      { EGRESS_AIRFLOW_DESTINATIONS: '10.20.0.0/16:5432, 10.20.3.4:6379' },
      ({ egress }) => egress.airflowDestinations.map(({ cidr, port }) => [cidr.length, port]),
      [
        [16, 5432],
        [32, 6379],
      ],
    ],
    [
      { EGRESS_GOOGLE_API_HOSTS: 'bigquery.googleapis.com' },
      ({ egress }) => egress.googleApiHosts,
      ['bigquery.googleapis.com'],
    ],
    [
      { ADMISSION_SECRETS: `${'a'.repeat(64)}, ${'b'.repeat(64)}` },
      ({ admissionSecrets }) => admissionSecrets,
      ['a'.repeat(64), 'b'.repeat(64)],
    ],
    [{ EGRESS_ALLOW_CIDR: '1' }, ({ egress }) => egress.allowCidr, true],
    [{ EGRESS_ALLOW_CIDR: '0' }, ({ egress }) => egress.allowCidr, false],
    [
      {
        EGRESS_DNS_SERVERS: '169.254.169.254, 10.0.0.10:5353,2001:db8::53,[2001:db8::54]:5353,[2001:db8::55]',
      },
      ({ egress }) => egress.dnsServers,
      ['169.254.169.254', '10.0.0.10:5353', '2001:db8::53', '[2001:db8::54]:5353', '[2001:db8::55]'],
    ],
    [
      { PLATFORM_OBJECTS: 'Secret/pull-secret, ConfigMap/istio-*' },
      ({ platformObjects }) => platformObjects,
      ['Secret pull-secret', 'ConfigMap istio-*'],
    ],
    [{ ROLLOUT_PER_TICK: '0' }, ({ rolloutPerTick }) => rolloutPerTick, 0],
    [{ RATE_LIMIT_PER_MINUTE: '0' }, ({ rateLimitPerMinute }) => rateLimitPerMinute, 0],
    [
      { CORS_ORIGINS: 'https://knorten.knada.io,http://localhost:3000' },
      ({ corsOrigins }) => corsOrigins,
      ['https://knorten.knada.io', 'http://localhost:3000'],
    ],
    [
      { NOTEBOOK_LIMITS: json({ cpuMax: 4, homeMaxMi: 2048 }) },
      ({ limits }) => limits,
      { ...defaultLimits, cpuMax: 4, homeMaxMi: 2048 },
    ],
    [
      { AUTH_ISSUERS: json([{ ...issuer, audience: ['a', 'b'], groupsClaim: 'groups', tenantId: 'nav' }]) },
      ({ auth }) => auth.issuers[0]?.audience,
      ['a', 'b'],
    ],
  ];
  for (const [env, read, expected] of right) {
    const [[name, value] = []] = Object.entries(env);
    it(`accepts ${name}=${value?.replaceAll(key, '<key>').slice(0, 60)}`, () => {
      assert.deepEqual(read(load(env)), expected);
    });
  }

  it('is immutable at any depth', () => {
    const seen = new Set<unknown>();
    const check = (value: unknown, path: string): void => {
      if (typeof value !== 'object' || value === null || seen.has(value)) return;
      seen.add(value);
      assert.ok(Object.isFrozen(value), path);
      for (const [name, inner] of Object.entries(value)) check(inner, `${path}.${name}`);
    };
    check(load({ NOTEBOOK_LIMITS: '{"cpuMax":4}', EGRESS_PRIVATE_RANGES: '10.0.0.0/8' }), 'config');
    assert.ok(seen.size > 10);
    for (const lent of [defaultLimits, knadaImages]) assert.ok(!Object.isFrozen(lent), 'lent only');
  });
});

describe('the platform’s hub values', () => {
  it('are refused if they admit anyone, unless that is allowed', () => {
    const dummy = 'hub: { config: { JupyterHub: { authenticator_class: dummy } } }';
    assert.deepEqual(namesOf(faultsOf({}, dummy)), ['HUB_VALUES_FILE']);
    assert.deepEqual(faultsOf({ ALLOW_INSECURE_HUB_AUTH: '1' }, dummy), []);
  });

  it('must be a mapping', () => {
    for (const file of ['- a\n- b\n', 'text', '7']) {
      assert.deepEqual(faultsOf({}, file), ['HUB_VALUES_FILE: must be a YAML mapping of chart values']);
    }
  });

  it('are named when they cannot be found', () => {
    assert.throws(
      () => loadConfig({ ...required, HUB_VALUES_FILE: '/nowhere/values.yaml' }),
      (error) =>
        error instanceof ConfigError && error.faults.includes('HUB_VALUES_FILE: cannot be read: ENOENT'),
    );
  });
});

describe('an error about the configuration', () => {
  const canary = 'c4nary0f5ecret';
  const broken = [
    `a: {client_secret: ${canary}\nb: [`,
    `client_secret: "${canary}\n`,
    `client_secret: *${canary}\n`,
    `client_secret: @${canary}\n`,
    `${canary}: 1\n${canary}: 2\n`,
    `\tclient_secret: ${canary}\n`,
    `a: !!binary ${canary}: b: c\n`,
  ];
  for (const file of broken) {
    it(`quotes nothing of a values file such as ${JSON.stringify(file)}`, () => {
      const faults = faultsOf({}, file);
      assert.deepEqual(namesOf(faults), ['HUB_VALUES_FILE']);
      assert.ok(!faults.join().includes(canary), faults.join());
    });
  }

  it('gives the position of a syntax error in a values file', () => {
    assert.deepEqual(faultsOf({}, `${values}hub: {}\n`), [
      'HUB_VALUES_FILE: is not YAML: DUPLICATE_KEY in line 5',
    ]);
  });

  it('contains no key, for any fault', () => {
    const badly = [key, `a:${key}x`, `A B:${key}`, `a:${key},a:${key}`, `a:${key.slice(2, 50)}`];
    for (const keys of badly) {
      const message = faultsOf({ HUB_MASTER_KEYS: keys, STORE: 'x', PORT: 'y' }).join('\n');
      assert.ok(!message.includes(key.slice(0, 20)) && !message.includes(key.slice(2, 20)), message);
    }
  });

  it('contains nothing of an issuer’s or an image’s JSON', () => {
    for (const name of ['AUTH_ISSUERS', 'STANDARD_IMAGES', 'NOTEBOOK_LIMITS']) {
      for (const value of [
        canary,
        JSON.stringify([{ issuer: canary }]),
        JSON.stringify({ cpuMax: canary }),
      ]) {
        assert.ok(
          !faultsOf({ [name]: value })
            .join()
            .includes(canary),
        );
      }
    }
  });
});

describe('--check-config', () => {
  const check = (env: Environment) =>
    new Promise<{ code: unknown; stdout: string; stderr: string }>((resolve) => {
      const main = fileURLToPath(new URL('../src/main.ts', import.meta.url));
      const values = fileURLToPath(new URL('../local/hub-values.yaml', import.meta.url));
      execFile(
        process.execPath,
        [main, '--check-config'],
        {
          env: {
            PATH: process.env.PATH,
            ...required,
            HUB_VALUES_FILE: values,
            ALLOW_INSECURE_HUB_AUTH: '1',
            ...env,
          },
        },
        (error, stdout, stderr) => resolve({ code: error === null ? 0 : error.code, stdout, stderr }),
      );
    });

  it('exits with 0 when the configuration is usable, without opening anything', async () => {
    const { code, stdout, stderr } = await check({ CLUSTER: 'http://192.0.2.1:1' });
    assert.deepEqual(
      { code, stdout, stderr },
      { code: 0, stdout: 'The configuration is valid.\n', stderr: '' },
    );
  });

  const schema = sharedFile('data/jupyterhub-4.4.0.values.schema.json');
  const withSchema = async (t: TestContext, file: string) => {
    const folder = await mkdtemp(join(tmpdir(), 'values-'));
    t.after(() => rm(folder, { recursive: true }));
    const path = join(folder, 'values.yaml');
    await writeFile(path, file);
    return check({ HUB_VALUES_FILE: path, HUB_VALUES_SCHEMA_FILE: fileURLToPath(schema) });
  };

  it('accepts values that the chart’s schema accepts', { skip: withoutShared(schema) }, async (t) => {
    const example = await readFile(new URL('../deploy/hub-values.example.yaml', import.meta.url), 'utf8');
    const { code, stderr } = await withSchema(t, example);
    assert.deepEqual({ code, stderr }, { code: 0, stderr: '' });
  });

  it('refuses a value that the chart does not have, with its path', {
    skip: withoutShared(schema),
  }, async (t) => {
    const { code, stderr } = await withSchema(
      t,
      `${values}  resource: { limits: { memory: c4nary0f5ecret } }\n  db: { type: c4nary0f5ecret }\n`,
    );
    assert.equal(code, 1);
    assert.equal(
      stderr.replace(/(hub\.db\.type) .*/, '$1'),
      [
        'The configuration is not valid:',
        '  - HUB_VALUES_FILE: hub.resource is not a value of the chart.',
        '  - HUB_VALUES_FILE: hub.db.type',
        '',
      ].join('\n'),
    );
    assert.doesNotMatch(stderr, /c4nary/);
  });

  it('exits with 1 and one message that names every fault, without a stack or a key', async () => {
    const { code, stdout, stderr } = await check({ STORE: 'x', PORT: 'y', HUB_MASTER_KEYS: `k:${key}q` });
    assert.equal(code, 1);
    assert.equal(stdout, '');
    assert.match(stderr, /^The configuration is not valid:\n( {2}- (STORE|PORT|HUB_MASTER_KEYS): .+\n){3}$/);
    assert.ok(!stderr.includes(key));
  });
});
