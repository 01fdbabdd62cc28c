import { readFileSync } from 'node:fs';
import Type from 'typebox';
import { authOf, corsOriginsOf } from './config/auth.ts';
import { admissionSecretsOf, egressOf } from './config/egress.ts';
import { hubOf, type ReadFile } from './config/hub.ts';
import { limitsOf } from './config/limits.ts';
import { clusterOf, googleEndpointsOf, registriesOf, storeOf } from './config/systems.ts';
import { teamsOf } from './config/teams.ts';
import { type ProcessEnv, Variables } from './config/variables.ts';
import { knadaImages } from './environments/standard-images.ts';
import { StandardImage } from './model/environment.ts';
import type { Naming } from './model/names.ts';

const logLevels = ['fatal', 'error', 'warn', 'info', 'debug', 'trace', 'silent'] as const;

/** Objects that the platform puts into every team’s namespace, as `Secret/hub-login` or `ConfigMap/istio-*`. */
const platformObjectsOf = (env: Variables): readonly string[] =>
  env.list('PLATFORM_OBJECTS').map((entry) => {
    if (!/^[A-Z][A-Za-z]+\/[a-z0-9][a-z0-9.-]*\*?$/.test(entry))
      env.fault('PLATFORM_OBJECTS', `"${entry}" must be <Kind>/<name>, where the name may end in *`);
    return entry.replace('/', ' ');
  });

const configOf = (env: Variables, readFile: ReadFile) => ({
  port: env.integer('PORT', 8080, 65_535),
  host: env.text('HOST', '0.0.0.0'),
  logLevel: env.oneOf('LOG_LEVEL', logLevels, 'info'),
  googleProject: env.matching('GOOGLE_CLOUD_PROJECT', /^[a-z][a-z0-9-]{4,28}[a-z0-9]$/, 'a project id'),
  region: env.text('REGION', 'europe-north1'),
  googleEndpoints: googleEndpointsOf(env),
  store: storeOf(env),
  cluster: clusterOf(env),
  workloadPool: env.text('WORKLOAD_POOL', `${env.optional('GOOGLE_CLOUD_PROJECT') ?? ''}.svc.id.goog`),
  auth: authOf(env),
  hub: hubOf(env, readFile),
  standardImages: env.json('STANDARD_IMAGES', Type.Array(StandardImage), [...knadaImages]) ?? [],
  images: registriesOf(env),
  admissionSecrets: admissionSecretsOf(env),
  egress: egressOf(env),
  platformObjects: platformObjectsOf(env),
  rolloutPerTick: env.integer('ROLLOUT_PER_TICK', 5),
  rateLimitPerMinute: env.integer('RATE_LIMIT_PER_MINUTE', 1200),
  streams: {
    perCaller: env.integer('STREAMS_PER_CALLER', 20, 10_000),
    perInstance: env.integer('STREAMS_PER_INSTANCE', 200, 10_000),
  },
  corsOrigins: corsOriginsOf(env),
  limits: limitsOf(env),
  teams: teamsOf(env),
});

export type Config = Readonly<ReturnType<typeof configOf>>;

/** What the names of a new team depend on. */
export const namingOf = ({ hub, googleProject }: Config): Naming => ({
  hubUrlTemplate: hub.urlTemplate,
  googleProject,
});

/** The environment does not make a working configuration; the message names every fault. */
export class ConfigError extends Error {
  override readonly name = 'ConfigError';
  readonly faults: readonly string[];
  constructor(faults: readonly string[]) {
    super(`The configuration is not valid:\n${faults.map((fault) => `  - ${fault}`).join('\n')}`);
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
 * Parses the environment once and freezes the result.
 * Throws ConfigError that names every missing or wrong variable at once; secrets are never in its message.
 */
export const loadConfig = (
  processEnv: ProcessEnv,
  readFile: ReadFile = (path) => readFileSync(path, 'utf8'),
): Config => {
  const env = new Variables(processEnv);
  const config = configOf(env, readFile);
  if (env.faults.length > 0) throw new ConfigError(env.faults);
  return freeze(config);
};
