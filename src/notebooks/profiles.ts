import { createHash } from 'node:crypto';
import { bytesOf, coresOf, printBytes } from '../lib/quantity.ts';
import type { NotebookImage, NotebookSpec } from '../model/notebook.ts';
import type { ProfileKind } from '../model/profile.ts';
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

/** A profile that members can choose. */
export interface ProfileChoice {
  /** Stable: members’ last choices and start requests refer to it. */
  readonly slug: string;
  readonly displayName: string;
  readonly kind: ProfileKind;
  /** null for the own image, which need not have Python. */
  readonly python: string | null;
  /** With its tag. */
  readonly image: string;
  readonly digest: string;
  /** Display names of its database drivers, as far as they are known. */
  readonly drivers: readonly string[];
  /** What a member starts with who has chosen nothing. */
  readonly isDefault: boolean;
  readonly override: KubeSpawnerOverride;
}

/** An item of KubeSpawner’s profile_list. */
export interface Profile {
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

const standardSlug = (python: string): string => `python-${python.replaceAll('.', '-')}`;

/** The Python version of a standard environment’s profile, offered or not; undefined for another slug. */
export const pythonOf = (slug: string): string | undefined =>
  /^python-([0-9]+(?:-[0-9]+)*)$/.exec(slug)?.[1]?.replaceAll('-', '.');

/** A profile’s name for people; the slug when no version of this product gave it one. */
export const displayNameOf = (slug: string): string => {
  if (slug === ownImageSlug) return 'Own image';
  const python = pythonOf(slug);
  return python === undefined ? slug : `Python ${python}`;
};

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
 * environments in the given order, unless the team has switched them off. Empty when there is neither.
 */
export const choicesOf = (
  spec: NotebookSpec,
  image: NotebookImage | null,
  environments: readonly ProfileEnvironment[],
): readonly ProfileChoice[] => {
  const own = spec.image === null ? null : image;
  const offered = spec.standardEnvironments ? environments : [];
  const preferred = offered.find((environment) => environment.default) ?? offered[0];
  const choice = (
    slug: string,
    rest: Omit<ProfileChoice, 'slug' | 'displayName' | 'override'>,
  ): ProfileChoice => ({
    slug,
    displayName: displayNameOf(slug),
    ...rest,
    override: overrideOf(spec, slug, pinned(rest.image, rest.digest)),
  });
  return [
    ...(own === null
      ? []
      : [
          choice(ownImageSlug, {
            kind: 'own',
            python: null,
            image: own.reference,
            digest: own.digest,
            drivers: [],
            isDefault: true,
          }),
        ]),
    ...offered.map((environment) =>
      choice(standardSlug(environment.python), {
        kind: 'standard',
        python: environment.python,
        image: environment.image,
        digest: environment.digest,
        drivers: environment.drivers,
        isDefault: own === null && environment === preferred,
      }),
    ),
  ];
};

/** The same as KubeSpawner’s profile_list; the hub rejects a start from an empty one with a message. */
export const profilesOf = (
  spec: NotebookSpec,
  image: NotebookImage | null,
  environments: readonly ProfileEnvironment[],
): readonly Profile[] =>
  choicesOf(spec, image, environments).map((choice) => ({
    slug: choice.slug,
    display_name: escapeHtml(choice.displayName),
    description: escapeHtml(choice.kind === 'own' ? choice.image : listed(choice.drivers)),
    default: choice.isDefault,
    kubespawner_override: choice.override,
  }));

const json = (value: unknown): string => `${JSON.stringify(value, null, 2)}\n`;

/**
 * The ConfigMap `notebook-profiles`: the profiles, their revision and that of the team’s image for the hub, and the culling
 * settings for people who use kubectl. Throws TypeError for a team without a notebook.
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
      'image-revision': String(notebook.imageGeneration),
    },
  };
};
