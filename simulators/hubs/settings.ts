import { asMap, asText, asTexts, at, isMap, type Json, type JsonMap } from '../kubernetes/json.ts';
import { type KubeObject, labelsOf, namespaceOf } from '../kubernetes/object.ts';
import type { ProfileConvention } from './conventions.ts';

/** The defaults of the chart (4.4.0) that the simulated hub reads. */
const chartDefaults: JsonMap = {
  hub: { concurrentSpawnLimit: 64, config: {}, extraConfig: {} },
  singleuser: {
    image: { name: 'quay.io/jupyterhub/k8s-singleuser-sample', tag: '4.4.0' },
    cmd: 'jupyterhub-singleuser',
    memory: { guarantee: '1G' },
    cpu: {},
    extraEnv: {},
    extraLabels: { 'hub.jupyter.org/network-access-hub': 'true' },
    extraAnnotations: {},
    storage: {
      capacity: '10Gi',
      homeMountPath: '/home/jovyan',
      extraLabels: {},
      extraAnnotations: {},
      dynamic: {
        pvcNameTemplate: 'claim-{user_server}',
        volumeNameTemplate: 'volume-{user_server}',
        storageAccessModes: ['ReadWriteOnce'],
      },
    },
  },
};

const merge = (under: JsonMap, over: JsonMap): JsonMap => {
  const merged: JsonMap = { ...under };
  for (const [key, value] of Object.entries(over)) {
    const below = merged[key];
    merged[key] = isMap(value) && isMap(below) ? merge(below, value) : value;
  }
  return merged;
};

/** Changes a map as kubespawner/utils.py does: maps merge, null removes. */
export const recursiveUpdate = (target: JsonMap, changes: JsonMap): JsonMap => {
  const updated: JsonMap = { ...target };
  for (const [key, value] of Object.entries(changes)) {
    const before = updated[key];
    if (value === null) delete updated[key];
    else updated[key] = isMap(value) && isMap(before) ? recursiveUpdate(before, value) : value;
  }
  return updated;
};

/** KubeSpawner’s configuration as jupyterhub_config.py of the chart makes it. */
export interface SpawnerSettings {
  readonly namespace: string;
  readonly commonLabels: JsonMap;
  /** KubeSpawner’s traits by their names: what a profile can override. */
  readonly traits: JsonMap;
  readonly serviceAccount: string;
  readonly cmd: string;
  readonly storage: {
    readonly claimName: string;
    readonly volumeName: string;
    readonly mountPath: string;
    readonly accessModes: readonly string[];
    readonly labels: JsonMap;
    readonly annotations: JsonMap;
  };
}

export interface HubSettings {
  readonly spawner: SpawnerSettings;
  /** Removing a user also removes the home: KubeSpawner’s default, unless the values switch it off. */
  readonly deleteClaims: boolean;
  readonly concurrentSpawnLimit: number;
  /** 0: no limit. */
  readonly activeServerLimit: number;
  /** How the hub reads profiles; undefined when it reads none. */
  readonly profiles: ProfileConvention | undefined;
}

const numberOf = (value: Json | undefined): number => (typeof value === 'number' ? value : 0);

/** The settings of a hub that was started with these values in this pod. */
export const settingsOf = (values: JsonMap, pod: KubeObject, profiles?: ProfileConvention): HubSettings => {
  const all = merge(chartDefaults, values);
  const user = asMap(all.singleuser);
  const storage = asMap(user.storage);
  const labels = labelsOf(pod);
  const named = ['app', 'release', 'app.kubernetes.io/name', 'app.kubernetes.io/instance', 'helm.sh/chart'];
  return {
    spawner: {
      namespace: namespaceOf(pod),
      commonLabels: {
        ...Object.fromEntries(named.map((label) => [label, labels[label] ?? ''])),
        'app.kubernetes.io/managed-by': 'kubespawner',
      },
      traits: {
        image: `${asText(at(user, 'image', 'name'))}:${asText(at(user, 'image', 'tag'))}`,
        cpu_guarantee: at(user, 'cpu', 'guarantee') ?? null,
        cpu_limit: at(user, 'cpu', 'limit') ?? null,
        mem_guarantee: at(user, 'memory', 'guarantee') ?? null,
        mem_limit: at(user, 'memory', 'limit') ?? null,
        storage_capacity: storage.capacity ?? null,
        environment: asMap(user.extraEnv),
        extra_labels: asMap(user.extraLabels),
        extra_annotations: asMap(user.extraAnnotations),
      },
      serviceAccount: asText(user.serviceAccountName),
      cmd: asText(user.cmd),
      storage: {
        claimName: asText(at(storage, 'dynamic', 'pvcNameTemplate')),
        volumeName: asText(at(storage, 'dynamic', 'volumeNameTemplate')),
        mountPath: asText(storage.homeMountPath),
        accessModes: asTexts(at(storage, 'dynamic', 'storageAccessModes')),
        labels: asMap(storage.extraLabels),
        annotations: asMap(storage.extraAnnotations),
      },
    },
    deleteClaims: at(all, 'hub', 'config', 'KubeSpawner', 'delete_pvc') !== false,
    concurrentSpawnLimit: numberOf(at(all, 'hub', 'concurrentSpawnLimit')),
    activeServerLimit: numberOf(at(all, 'hub', 'activeServerLimit')),
    profiles:
      profiles !== undefined && asText(at(all, 'hub', 'extraConfig', profiles.extraConfig)) !== ''
        ? profiles
        : undefined,
  };
};
