import { at, isObject } from '../lib/json.ts';
import { type NamedTeam, secretVariable } from '../model/names.ts';
import { authenticatorSection, isOAuth } from './authenticator.ts';
import { hubConfig, profilesFolder } from './hub-config.ts';
import { hubSecretName, hubService } from './keys.ts';
import { profilesConfigMapName } from './profiles.ts';

/** Chart values, or a part of them: plain JSON. */
export type Values = Readonly<Record<string, unknown>>;

/** The operator’s settings, the same for every team. */
export interface Platform {
  readonly chartVersion: string;
  readonly helmRepository: { readonly namespace: string; readonly name: string };
  /** Id of the newest master key: a new one restarts the hubs, which then read the new Secret. */
  readonly keyId: string;
  /** HUB_VALUES_FILE; this product’s own values take precedence. */
  readonly values: Values;
  /** The largest a team may choose. Integers: the chart refuses anything else. */
  readonly backstop: { readonly timeoutSeconds: number; readonly maxAgeSeconds: number };
}

/** The scopes of this product’s service at a hub, and no others (JupyterHub RBAC). */
export const hubScopes = [
  'read:hub',
  'list:users',
  'admin:users',
  'servers',
  'delete:servers',
  'read:servers',
  'read:users:activity',
  'users:activity',
  'tokens',
] as const;

/** Merges like Helm: objects by key; anything else is replaced by the upper value. */
const merge = (under: Values, over: Values): Values => {
  const result: Record<string, unknown> = { ...under };
  for (const [key, value] of Object.entries(over)) {
    const below = result[key];
    result[key] = isObject(value) && isObject(below) ? merge(below, value) : value;
  }
  return result;
};

/** A list of the platform’s with our entry added; Helm would replace the list as a whole. */
const withOurs = (list: unknown, ours: Values & { readonly name: string }): readonly unknown[] => [
  ...(Array.isArray(list) ? list.filter((entry) => at(entry, 'name') !== ours.name) : []),
  ours,
];

const authenticator = (values: Values, url: string): Values => {
  const section = authenticatorSection(at(values, 'hub', 'config', 'JupyterHub', 'authenticator_class'));
  if (section === undefined) return {};
  // In the section of the class itself, which overrides those of its base classes: only existing hub users may log in.
  const ours = isOAuth(section)
    ? { allow_existing_users: true, oauth_callback_url: `${url}/hub/oauth_callback` }
    : { allow_existing_users: true };
  return { [section]: ours };
};

/** The team’s host name for the entrance that the platform values enable: Ingress or HTTPRoute. */
const entrance = (values: Values, url: string): Values => {
  const host = new URL(url).hostname;
  const tls = at(values, 'ingress', 'tls');
  return {
    ...(at(values, 'ingress', 'enabled') === true
      ? {
          ingress: {
            hosts: [host],
            // A certificate in the platform values is for this host, unless its entry has hosts of its own.
            ...(Array.isArray(tls)
              ? { tls: tls.map((entry) => (isObject(entry) ? { hosts: [host], ...entry } : entry)) }
              : {}),
          },
        }
      : {}),
    ...(at(values, 'httpRoute', 'enabled') === true ? { httpRoute: { hostnames: [host] } } : {}),
  };
};

/**
 * The chart’s values for a team. They contain nothing that an order can change, because a change restarts the hub.
 * There is no name override: with the chart’s default names, its objects have the same names in every namespace, which
 * network policies rely on.
 */
export const valuesOf = (team: NamedTeam, platform: Platform): Values => {
  const { values } = platform;
  const { hubUrl: url, serviceAccount, secret } = team.names;
  const labels = { 'knada.io/team-id': team.id, 'knada.io/team': team.slug };
  const ours: Values = {
    hub: {
      annotations: { 'knada.io/keys': platform.keyId },
      // Starts of a broken image fail; with the default of 5, consecutive failures would stop the whole hub.
      consecutiveFailureLimit: 0,
      existingSecret: hubSecretName,
      services: { [hubService]: {} },
      // The role of this product’s service; nothing else has these scopes.
      loadRoles: { [hubService]: { services: [hubService], scopes: [...hubScopes] } },
      config: {
        // Deleting a hub user must never delete the home volume.
        KubeSpawner: { delete_pvc: false },
        ...authenticator(values, url),
      },
      extraConfig: { 'knada-notebooks': hubConfig },
      extraVolumes: withOurs(at(values, 'hub', 'extraVolumes'), {
        name: profilesConfigMapName,
        // Optional: without it, a hub still stops servers and reports activity, and rejects starts with a message.
        configMap: { name: profilesConfigMapName, optional: true },
      }),
      extraVolumeMounts: withOurs(at(values, 'hub', 'extraVolumeMounts'), {
        name: profilesConfigMapName,
        mountPath: profilesFolder,
        readOnly: true,
      }),
    },
    singleuser: {
      serviceAccountName: serviceAccount,
      extraEnv: { [secretVariable]: secret.name },
      extraLabels: labels,
      storage: { extraLabels: labels },
      // A notebook gets the credentials of the team’s Google service account from the metadata server.
      cloudMetadata: { blockWithIptables: false },
      // Enabled for its ingress rules (hub and proxy reach the notebook). Policies are additive: any egress allowed here
      // would defeat a team’s allowlist, so egress is left to this product’s policies.
      networkPolicy: {
        enabled: true,
        egress: [],
        egressAllowRules: {
          cloudMetadataServer: false,
          dnsPortsCloudMetadataServer: false,
          dnsPortsKubeSystemNamespace: false,
          dnsPortsPrivateIPs: false,
          nonPrivateIPs: false,
          privateIPs: false,
        },
      },
    },
    proxy: { service: { type: 'ClusterIP' } },
    scheduling: { userScheduler: { enabled: false } },
    prePuller: { hook: { enabled: false }, continuous: { enabled: false } },
    // A backstop in case this product’s culling does not run.
    cull: {
      enabled: true,
      users: false,
      removeNamedServers: false,
      every: 600,
      timeout: platform.backstop.timeoutSeconds,
      maxAge: platform.backstop.maxAgeSeconds,
    },
    ...entrance(values, url),
  };
  return merge(values, ours);
};
