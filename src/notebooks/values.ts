import { at, isObject } from '../lib/json.ts';
import { hubUrl, secretName, secretVariable, serviceAccountOf, type TeamName } from '../model/names.ts';
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
  /** Where members log in; placeholders {slug} {id} {namespace}. */
  readonly hubUrlTemplate: string;
  readonly googleProject: string;
  /** Id of the newest master key: a new one restarts the hubs, so they read the new Secret. */
  readonly keyId: string;
  /** HUB_VALUES_FILE; this product’s own values take precedence. */
  readonly values: Values;
  /** The largest a team may choose. Integers: the chart refuses anything else. */
  readonly backstop: { readonly timeoutSeconds: number; readonly maxAgeSeconds: number };
}

/** The scopes of this service at a hub. */
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
  // In the class’s own section, which overrides those of its base classes: only hub users, the members, may log in.
  const ours = isOAuth(section)
    ? { allow_existing_users: true, oauth_callback_url: `${url}/hub/oauth_callback` }
    : { allow_existing_users: true };
  return { [section]: ours };
};

/** The team’s host at the Ingress or the HTTPRoute, whichever the platform has enabled. */
const entrance = (values: Values, url: string): Values => {
  const host = new URL(url).hostname;
  const tls = at(values, 'ingress', 'tls');
  return {
    ...(at(values, 'ingress', 'enabled') === true
      ? {
          ingress: {
            hosts: [host],
            // A certificate of the platform covers this host, unless it names other hosts.
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
 * The chart’s values for a team: only what no order can change, since any change restarts the hub. No name override:
 * with the chart’s default names its parts have the same names in every namespace, which the policies rely on.
 */
export const valuesOf = (team: TeamName, platform: Platform): Values => {
  const { values } = platform;
  const url = hubUrl(platform.hubUrlTemplate, team);
  const labels = { 'knada.io/team-id': team.id, 'knada.io/team': team.slug };
  const ours: Values = {
    hub: {
      annotations: { 'knada.io/keys': platform.keyId },
      // A team’s broken image fails its starts; the default of 5 would stop the whole hub.
      consecutiveFailureLimit: 0,
      existingSecret: hubSecretName,
      services: { [hubService]: {} },
      // The role of this service, the only one with these scopes.
      loadRoles: { [hubService]: { services: [hubService], scopes: [...hubScopes] } },
      config: {
        // Removing a hub user must never remove the home volume.
        KubeSpawner: { delete_pvc: false },
        ...authenticator(values, url),
      },
      extraConfig: { 'knada-notebooks': hubConfig },
      extraVolumes: withOurs(at(values, 'hub', 'extraVolumes'), {
        name: profilesConfigMapName,
        // Optional: without it a hub still stops servers and reports activity; it refuses starts with a reason.
        configMap: { name: profilesConfigMapName, optional: true },
      }),
      extraVolumeMounts: withOurs(at(values, 'hub', 'extraVolumeMounts'), {
        name: profilesConfigMapName,
        mountPath: profilesFolder,
        readOnly: true,
      }),
    },
    singleuser: {
      serviceAccountName: serviceAccountOf(team.id),
      extraEnv: { [secretVariable]: secretName(team.id, platform.googleProject) },
      extraLabels: labels,
      storage: { extraLabels: labels },
      // The metadata server is how a notebook becomes the team’s Google account.
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
    // A fallback for when this product’s culling is not running.
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
