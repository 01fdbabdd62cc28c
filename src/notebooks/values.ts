import { at, isObject } from '../lib/json.ts';
import { hubUrl, secretName, secretVariable, serviceAccountOf, type TeamName } from '../model/names.ts';
import { authenticatorSection, isOAuth } from './authenticator.ts';
import { hubConfig, profilesFolder } from './hub-config.ts';
import { hubSecretName, hubService } from './keys.ts';
import { profilesConfigMapName } from './profiles.ts';

/** Chart values, or a part of them: plain JSON. */
export type Values = Readonly<Record<string, unknown>>;

/** What is the same for every team until the operator changes it. */
export interface Platform {
  readonly chartVersion: string;
  readonly helmRepository: { readonly namespace: string; readonly name: string };
  /** Where members log in; placeholders {slug} {id} {namespace}. */
  readonly hubUrlTemplate: string;
  readonly googleProject: string;
  /** Id of the newest master key: a new one restarts the hubs, so that they read the new Secret. */
  readonly keyId: string;
  /** HUB_VALUES_FILE; ours win. */
  readonly values: Values;
  /** The largest a team may choose. Integers: the chart refuses anything else. */
  readonly backstop: { readonly timeoutSeconds: number; readonly maxAgeSeconds: number };
}

/** What our service may do at a hub, and nothing more. */
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

/** Merges as Helm does: objects by key, anything else is replaced by what lies on top. */
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
  // In the class’s own section, which beats those of its base classes: members are hub users, nobody else comes in.
  const ours = isOAuth(section)
    ? { allow_existing_users: true, oauth_callback_url: `${url}/hub/oauth_callback` }
    : { allow_existing_users: true };
  return { [section]: ours };
};

/** The team’s address at whichever entrance the platform has opened; the chart knows both. */
const entrance = (values: Values, url: string): Values => {
  const host = new URL(url).hostname;
  const tls = at(values, 'ingress', 'tls');
  return {
    ...(at(values, 'ingress', 'enabled') === true
      ? {
          ingress: {
            hosts: [host],
            // A certificate that the platform names is this host’s, unless it says otherwise.
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
 * The chart’s values for a team: they hold only what no order can change, since any change restarts the hub.
 * No name override: with the chart’s default names its parts are called the same in every namespace, which is what
 * policies and the reader of `kubectl get pods` rely on.
 */
export const valuesOf = (team: TeamName, platform: Platform): Values => {
  const { values } = platform;
  const url = hubUrl(platform.hubUrlTemplate, team);
  const labels = { 'knada.io/team-id': team.id, 'knada.io/team': team.slug };
  const ours: Values = {
    hub: {
      annotations: { 'knada.io/keys': platform.keyId },
      // A team’s broken image fails its starts; the default of 5 would take the whole hub down with them.
      consecutiveFailureLimit: 0,
      existingSecret: hubSecretName,
      services: { [hubService]: {} },
      // The role of our service, the one holder of these scopes.
      loadRoles: { [hubService]: { services: [hubService], scopes: [...hubScopes] } },
      config: {
        // Removing a hub user must never remove the home volume.
        KubeSpawner: { delete_pvc: false },
        ...authenticator(values, url),
      },
      extraConfig: { 'knada-notebooks': hubConfig },
      extraVolumes: withOurs(at(values, 'hub', 'extraVolumes'), {
        name: profilesConfigMapName,
        // Optional: without it a hub still stops servers and reports activity; it refuses starts with a sentence.
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
      // Enabled for its ingress half (hub and proxy reach the notebook). Policies add up: any egress granted here
      // would undo a team’s allowlist, so all of it is left to our own.
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
    // Only for when our own culling is away.
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
