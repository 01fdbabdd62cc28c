import { asMap, asText, type Json, type JsonMap } from '../kubernetes/json.ts';
import { escapePath } from './answer.ts';
import { recursiveUpdate, type SpawnerSettings } from './settings.ts';
import { labelSlug, objectSlug } from './slugs.ts';

export const kubeSpawnerVersion = '7.0.0';
const notebookPort = 8888;

/** Whose server, and at which hub. */
export interface Spawn {
  readonly settings: SpawnerSettings;
  readonly user: string;
  readonly hubVersion: string;
}

const expanded = (template: string, user: string): string =>
  template.replace(/\{(?:user_server|username)\}/g, objectSlug(user));

export const podNameOf = (user: string): string => `jupyter-${objectSlug(user)}`;
export const claimNameOf = ({ settings, user }: Spawn): string => expanded(settings.storage.claimName, user);

const commonLabels = ({ settings, user }: Spawn, extra: JsonMap): JsonMap => ({
  'hub.jupyter.org/username': labelSlug(user),
  ...extra,
  ...settings.commonLabels,
});

const commonAnnotations = ({ user, hubVersion }: Spawn, extra: JsonMap): JsonMap => ({
  'hub.jupyter.org/username': user,
  'hub.jupyter.org/kubespawner-version': kubeSpawnerVersion,
  'hub.jupyter.org/jupyterhub-version': hubVersion,
  ...extra,
});

const component = 'singleuser-server';

/** JupyterHub’s ByteSpecification: bytes, or a number with K, M, G or T, which count in 1024s. */
const bytes = (value: Json | undefined): number | undefined => {
  if (typeof value === 'number') return value;
  if (value === null || value === undefined) return undefined;
  const [, digits, suffix = ''] = /^([0-9.]+)([KMGT]?)$/.exec(asText(value)) ?? [];
  if (digits === undefined) {
    throw new Error(
      `${JSON.stringify(value)} is not a valid memory specification. Must be an int or a string with suffix K, M, G, T`,
    );
  }
  return Number(digits) * 1024 ** ['', 'K', 'M', 'G', 'T'].indexOf(suffix);
};

/** As Python prints a float. */
const pythonFloat = (value: number): string => (Number.isInteger(value) ? `${value}.0` : String(value));

/** The environment variables with the size of a notebook. */
const sizes = (traits: JsonMap): JsonMap => {
  const cpu = (['guarantee', 'limit'] as const).flatMap((what) => {
    const value = traits[`cpu_${what}`];
    return typeof value === 'number' ? [[`CPU_${what.toUpperCase()}`, pythonFloat(value)] as const] : [];
  });
  const memory = (['guarantee', 'limit'] as const).flatMap((what) => {
    const value = bytes(traits[`mem_${what}`]);
    return value === undefined ? [] : [[`MEM_${what.toUpperCase()}`, String(value)] as const];
  });
  return Object.fromEntries([...cpu, ...memory]);
};

const amounts = (cpu: Json | undefined, memory: Json | undefined): JsonMap => {
  const size = bytes(memory);
  return {
    ...(typeof cpu === 'number' && cpu > 0 ? { cpu } : {}),
    ...(size === undefined || size === 0 ? {} : { memory: size }),
  };
};

/** The environment that JupyterHub gives a notebook server. */
const environmentOf = ({ user }: Spawn, traits: JsonMap, token: string): JsonMap => {
  const prefix = `/user/${escapePath(user)}/`;
  const hubApi = 'http://hub:8081/hub/api';
  return {
    JPY_API_TOKEN: token,
    JUPYTERHUB_ACTIVITY_URL: `${hubApi}/users/${escapePath(user)}/activity`,
    JUPYTERHUB_API_TOKEN: token,
    JUPYTERHUB_API_URL: hubApi,
    JUPYTERHUB_BASE_URL: '/',
    JUPYTERHUB_CLIENT_ID: `jupyterhub-user-${encodeURIComponent(user)}`,
    JUPYTERHUB_HOST: '',
    JUPYTERHUB_OAUTH_CALLBACK_URL: `${prefix}oauth_callback`,
    JUPYTERHUB_SERVER_NAME: '',
    JUPYTERHUB_SERVICE_PREFIX: prefix,
    JUPYTERHUB_SERVICE_URL: `http://0.0.0.0:${notebookPort}${prefix}`,
    JUPYTERHUB_USER: user,
    JUPYTER_IMAGE: traits.image ?? '',
    JUPYTER_IMAGE_SPEC: traits.image ?? '',
    ...sizes(traits),
    ...asMap(traits.environment),
  };
};

/** The traits with a profile’s overrides applied. */
export const withProfile = ({ settings }: Spawn, override: JsonMap): JsonMap => {
  const traits: JsonMap = { ...settings.traits };
  for (const [name, value] of Object.entries(override)) {
    const before = traits[name];
    const isMerged = typeof value === 'object' && typeof before === 'object';
    traits[name] = isMerged ? recursiveUpdate(asMap(before), asMap(value)) : value;
  }
  return traits;
};

/** The volume claim of a user’s home. */
export const claimOf = (spawn: Spawn, traits: JsonMap): JsonMap => {
  const { storage, namespace } = spawn.settings;
  return {
    apiVersion: 'v1',
    kind: 'PersistentVolumeClaim',
    metadata: {
      name: claimNameOf(spawn),
      namespace,
      labels: {
        ...commonLabels(spawn, storage.labels),
        'app.kubernetes.io/component': component,
        component: 'singleuser-storage',
      },
      annotations: commonAnnotations(spawn, storage.annotations),
    },
    spec: {
      accessModes: [...storage.accessModes],
      resources: { requests: { storage: traits.storage_capacity ?? '10Gi' } },
    },
  };
};

/** The pod of a user’s server, with the token by which it reports to the hub. */
export const podOf = (spawn: Spawn, traits: JsonMap, token: string): JsonMap => {
  const { settings, user } = spawn;
  const { storage } = settings;
  const volume = expanded(storage.volumeName, user);
  const env = Object.entries(environmentOf(spawn, traits, token))
    .toSorted(([a], [b]) => (a < b ? -1 : 1))
    .map(([name, value]) => ({ name, value }));
  return {
    apiVersion: 'v1',
    kind: 'Pod',
    metadata: {
      name: podNameOf(user),
      namespace: settings.namespace,
      labels: {
        ...commonLabels(spawn, asMap(traits.extra_labels)),
        'app.kubernetes.io/component': component,
        component,
        'hub.jupyter.org/servername': '',
      },
      annotations: commonAnnotations(spawn, asMap(traits.extra_annotations)),
    },
    spec: {
      restartPolicy: 'OnFailure',
      ...(settings.serviceAccount === ''
        ? { automountServiceAccountToken: false }
        : { serviceAccountName: settings.serviceAccount }),
      containers: [
        {
          name: 'notebook',
          image: traits.image ?? '',
          args: [settings.cmd],
          ports: [{ name: 'notebook-port', containerPort: notebookPort }],
          env,
          resources: {
            requests: amounts(traits.cpu_guarantee, traits.mem_guarantee),
            limits: amounts(traits.cpu_limit, traits.mem_limit),
          },
          securityContext: { allowPrivilegeEscalation: false },
          volumeMounts: [{ name: volume, mountPath: storage.mountPath }],
        },
      ],
      volumes: [{ name: volume, persistentVolumeClaim: { claimName: claimNameOf(spawn) } }],
    },
  };
};
