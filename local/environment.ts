import { fileURLToPath } from 'node:url';
import { googleEndpoints } from '@knada/simulators/google/server.ts';
import { tenantId } from '@knada/simulators/issuer/server.ts';
import { registryEndpoints } from '@knada/simulators/registries/server.ts';
import { audience } from './conventions.ts';
import { portOf, urlOf } from './ports.ts';

/** Variables of the product (deploy/README.md) that may be set for a sandbox; the sandbox sets all others itself. */
const tunable = [
  'LOG_LEVEL',
  'HUB_VALUES_FILE',
  'HUB_CHART_VERSION',
  'HUB_URL_TEMPLATE',
  'HUB_API_URL_TEMPLATE',
  'STANDARD_IMAGES',
  'NOTEBOOK_LIMITS',
  'AUDITOR_GROUPS',
  'MEMBER_EMAIL_DOMAINS',
  'RESERVED_SLUGS',
  'MAX_TEAMS_PER_PERSON',
  'MAX_TEAMS',
  'EGRESS_GOOGLE_APIS',
  'EGRESS_PRIVATE_RANGES',
  'EGRESS_CLUSTER_RANGES',
  'EGRESS_INTERNAL_SUFFIXES',
  'EGRESS_ALLOW_CIDR',
  'EGRESS_BACKEND',
  'EGRESS_HOST_MAP',
  'EGRESS_PRESETS',
  'EGRESS_AIRFLOW_DESTINATIONS',
  'ROLLOUT_PER_TICK',
] as const;

/** The group whose members are platform admins in the sandbox. */
export const adminGroup = 'knada-admins';

/** The Google Cloud project that is simulated. */
export const googleProject = 'knada-local';

/** AUTH_ISSUERS of an API that trusts the simulated issuer and no other. */
export const authIssuers = (url: string): string =>
  JSON.stringify([
    {
      issuer: url,
      audience,
      jwksUri: `${url}/jwks`,
      algorithms: ['RS256'],
      tenantId,
      userClaim: 'preferred_username',
      groupsClaim: 'groups',
    },
  ]);

/** The environment of the API and the functions: production’s variables, with the simulators’ addresses. */
export const environmentOf = (options: {
  readonly port: number;
  readonly storeFile: string;
  readonly hubMasterKeys: string;
  readonly admissionSecret?: string;
  readonly issuer: string;
  readonly kubeconfig: boolean;
  readonly given: Readonly<Record<string, string | undefined>>;
}): Record<string, string> => {
  const own = {
    HOST: '127.0.0.1',
    STORE: `sqlite:${options.storeFile}`,
    GOOGLE_CLOUD_PROJECT: googleProject,
    CLUSTER: options.kubeconfig ? 'kubeconfig' : `http://127.0.0.1:${portOf('kubernetes', options.port)}`,
    AUTH_ISSUERS: authIssuers(options.issuer),
    PLATFORM_ADMIN_GROUPS: adminGroup,
    HUB_URL_TEMPLATE: `${urlOf('hubs', options.port)}/{slug}`,
    HUB_API_URL_TEMPLATE: `http://127.0.0.1:${portOf('hubs', options.port)}/{slug}`,
    HUB_MASTER_KEYS: options.hubMasterKeys,
    ...(options.admissionSecret === undefined ? {} : { ADMISSION_SECRETS: options.admissionSecret }),
    HUB_VALUES_FILE: fileURLToPath(new URL('hub-values.yaml', import.meta.url)),
    ALLOW_INSECURE_HUB_AUTH: '1',
    REGISTRY_ENDPOINTS: registryEndpoints(`http://127.0.0.1:${portOf('registries', options.port)}`),
    GOOGLE_ENDPOINTS: googleEndpoints(`http://127.0.0.1:${portOf('google', options.port)}`),
    RATE_LIMIT_PER_MINUTE: '0',
    // Notebooks in a real cluster use a real DNS.
    ...(options.kubeconfig ? {} : { EGRESS_DNS_SERVERS: `127.0.0.1:${portOf('dns', options.port)}` }),
    // Without it, Google’s clients look for a metadata server and wait.
    METADATA_SERVER_DETECTION: 'none',
  };
  const chosen = tunable.flatMap((name) => {
    const value = options.given[name];
    return value === undefined ? [] : [[name, value] as const];
  });
  // A frontend of your own is served beside the page of examples/web.
  const origins = [urlOf('page', options.port), options.given.CORS_ORIGINS ?? ''];
  return { ...own, ...Object.fromEntries(chosen), CORS_ORIGINS: origins.join(',') };
};
