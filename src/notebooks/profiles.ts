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
  /** Display names of its database drivers. */
  readonly drivers: readonly string[];
  readonly default: boolean;
}

/**
 * What a profile sets on the spawner. Every profile has the same keys, including those of its environment, because the
 * spawner keeps a value that an earlier profile set and the next one does not (jupyterhub/kubespawner#691).
 */
export interface KubeSpawnerOverride {
  readonly image: string;
  readonly cpu_guarantee: number;
  readonly cpu_limit: number;
  /** Bytes: KubeSpawner accepts the suffixes K, M, G and T, and rejects Mi and Gi. */
  readonly mem_guarantee: number;
  readonly mem_limit: number;
  readonly storage_capacity: string;
  /** null removes a variable. */
  readonly environment: { readonly PIP_USER: '1' | null };
  readonly extra_annotations: Readonly<Record<string, string>>;
}

/** An item of KubeSpawner’s profile_list. */
export interface Profile {
  /** Stable: members’ last choices and start requests refer to it. */
  readonly slug: string;
  readonly display_name: string;
  readonly description: string;
  readonly default: boolean;
  readonly kubespawner_override: KubeSpawnerOverride;
}

/** The ConfigMap that is mounted into the hub. */
export const profilesConfigMapName = 'notebook-profiles';

/** Annotation of a notebook pod: hash of its profile’s settings. If the current hash differs, a restart is pending. */
export const profileRevisionAnnotation = 'knada.io/profile-revision';

/** Annotation of a notebook pod: the slug of its profile. */
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

/** KubeSpawner puts these texts into HTML unescaped, and JupyterHub then renders the result as a template. */
const escapeHtml = (text: string): string =>
  text.replace(/[&<>"'{}]/g, (character) => entities[character] ?? '');

/** An image with tag and digest: Kubernetes uses the digest, the tag is informative. */
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
  // Without the storage: an existing home volume grows without a restart.
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
 * The profiles that members choose from: first the team’s own image, preselected, if there is one, then the standard
 * environments in the given order. Empty when there is neither; the hub then rejects a start with a message.
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
    display_name: escapeHtml(choice.display_name),
    description: escapeHtml(choice.description),
    default: choice === preselected,
    kubespawner_override: overrideOf(spec, choice.slug, choice.image),
  }));
};

const json = (value: unknown): string => `${JSON.stringify(value, null, 2)}\n`;

/**
 * The ConfigMap `notebook-profiles`: the profiles and their revision for the hub, and the culling settings for people
 * who use kubectl. Throws TypeError for a team without a notebook.
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
