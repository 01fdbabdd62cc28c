import { createHash } from 'node:crypto';
import { bytesOf, coresOf, printBytes } from '../lib/quantity.ts';
import type { NotebookImage, NotebookSpec } from '../model/notebook.ts';
import type { TeamRecord } from '../model/record.ts';
import type { Manifest } from '../ports/cluster.ts';
import type { Meta } from '../teams/desired.ts';

/** A standard image as a profile needs it. */
export interface ProfileEnvironment {
  readonly python: string;
  /** With its tag. */
  readonly image: string;
  readonly digest: string;
  /** The display names of its drivers. */
  readonly drivers: readonly string[];
  readonly default: boolean;
}

/**
 * What a profile sets on the spawner. Every profile has the same keys, including those of the environment, because the
 * spawner keeps a key that the previous profile set and the next one does not (kubespawner#691).
 */
export interface KubeSpawnerOverride {
  readonly image: string;
  readonly cpu_guarantee: number;
  readonly cpu_limit: number;
  /** Bytes: the spawner accepts K, M, G and T, and rejects Mi and Gi. */
  readonly mem_guarantee: number;
  readonly mem_limit: number;
  readonly storage_capacity: string;
  /** null removes a variable. */
  readonly environment: { readonly PIP_USER: '1' | null };
  readonly extra_annotations: Readonly<Record<string, string>>;
}

/** A choice at login, in the form of KubeSpawner’s profile_list. */
export interface Profile {
  /** Stable: a user’s last choice and start requests refer to it. */
  readonly slug: string;
  readonly display_name: string;
  readonly description: string;
  readonly default: boolean;
  readonly kubespawner_override: KubeSpawnerOverride;
}

/** The ConfigMap that the hub has mounted. */
export const profilesConfigMapName = 'notebook-profiles';

/** On a notebook pod: the hash of its configuration. A different current hash means that a restart is pending. */
export const profileRevisionAnnotation = 'knada.io/profile-revision';

/** On a notebook pod: the slug of its profile. */
export const profileAnnotation = 'knada.io/profile';
export const ownImageSlug = 'own-image';

const entities: Readonly<Record<string, string>> = {
  '&': '&amp;',
  '<': '&lt;',
  '>': '&gt;',
  '"': '&quot;',
  "'": '&#39;',
  '{': '&#123;',
  '}': '&#125;',
};

/** KubeSpawner puts these texts into HTML unescaped, and JupyterHub renders the result as a template again. */
const harmless = (text: string): string =>
  text.replace(/[&<>"'{}]/g, (character) => entities[character] ?? '');

/** Kubernetes accepts a tag with a digest: the digest decides, the tag is for people who read the pod. */
const pinned = (reference: string, digest: string): string => `${reference.replace(/@.*$/, '')}@${digest}`;

const overrideOf = (spec: NotebookSpec, slug: string, image: string): KubeSpawnerOverride => {
  const { cpu, memory } = spec.resources;
  const pod = {
    image,
    cpu_guarantee: coresOf(cpu.guarantee),
    cpu_limit: coresOf(cpu.limit),
    mem_guarantee: bytesOf(memory.guarantee),
    mem_limit: bytesOf(memory.limit),
    environment: { PIP_USER: spec.pip.userInstallByDefault ? '1' : null },
  } as const;
  // Without the storage: a home grows on the existing volume, no restart needed.
  const revision = createHash('sha256').update(JSON.stringify(pod)).digest('hex').slice(0, 16);
  return {
    ...pod,
    storage_capacity: printBytes(bytesOf(spec.storage.home)),
    extra_annotations: { [profileRevisionAnnotation]: revision, [profileAnnotation]: slug },
  };
};

const listed = (drivers: readonly string[]): string =>
  drivers.length === 0 ? 'No database drivers.' : `Drivers: ${drivers.join(', ')}.`;

/**
 * The choices at login: the team’s own image first and preselected if there is one, then the standard environments in
 * the given order. Empty when there is neither; the hub then refuses a start with a reason.
 */
export const profilesOf = (
  spec: NotebookSpec,
  image: NotebookImage | null,
  environments: readonly ProfileEnvironment[],
): readonly Profile[] => {
  const choices = [
    ...(spec.image === null || image === null
      ? []
      : [
          {
            slug: ownImageSlug,
            display_name: 'Own image',
            description: image.reference,
            image: pinned(image.reference, image.digest),
          },
        ]),
    ...environments.map((environment) => ({
      slug: `python-${environment.python.replaceAll('.', '-')}`,
      display_name: `Python ${environment.python}`,
      description: listed(environment.drivers),
      image: pinned(environment.image, environment.digest),
      preferred: environment.default,
    })),
  ];
  const preselected =
    choices.find(({ slug }) => slug === ownImageSlug) ??
    choices.find((choice) => 'preferred' in choice && choice.preferred) ??
    choices[0];
  return choices.map((choice) => ({
    slug: choice.slug,
    display_name: harmless(choice.display_name),
    description: harmless(choice.description),
    default: choice === preselected,
    kubespawner_override: overrideOf(spec, choice.slug, choice.image),
  }));
};

const json = (value: unknown): string => `${JSON.stringify(value, null, 2)}\n`;

/**
 * The ConfigMap `notebook-profiles`: the profiles and their revision for the hub, the culling as it holds for people
 * with kubectl. Throws TypeError for a team without a notebook.
 */
export const profilesConfigMap = (
  record: TeamRecord,
  environments: readonly ProfileEnvironment[],
  meta: Meta,
): Manifest => {
  const { notebook } = record;
  if (notebook === null) throw new TypeError(`${record.slug} has no notebook`);
  return {
    apiVersion: 'v1',
    kind: 'ConfigMap',
    metadata: { name: profilesConfigMapName, ...meta },
    data: {
      'profiles.json': json(profilesOf(notebook.spec, notebook.image, environments)),
      'culling.json': json(notebook.spec.culling),
      revision: String(record.generation),
    },
  };
};
