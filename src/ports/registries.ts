/** A repository of images in one of the registries that we ask: ghcr.io or Google Artifact Registry. */
export interface ImageRepository {
  readonly host: string;
  /** What the registry calls the repository’s name. */
  readonly path: string;
}

/**
 * What a registry says. `absent`: it said so itself, in its own form. `unknown`: it gave no answer that can be
 * believed, which says nothing about the image and is never to be shown as absent.
 */
export type RegistryAnswer<T> =
  | { readonly answer: 'found'; readonly value: T }
  | { readonly answer: 'absent'; readonly missing: Missing }
  | { readonly answer: 'unknown'; readonly message: string; readonly retryAfterSeconds?: number };

/**
 * What is not there. `repository`: it does not exist or is not ours to read; registries do not tell which.
 * `manifest`: no such tag or digest. `part`: the image is listed, but something that it consists of is gone.
 */
export type Missing = 'repository' | 'manifest' | 'part';

export interface ImageTag {
  readonly tag: string;
  readonly digest?: string;
  /** ISO 8601. */
  readonly pushedAt?: string;
  /** Its place in a list that runs from old to new; absent where a registry’s order means nothing. */
  readonly index?: number;
}

export interface TagList {
  readonly tags: readonly ImageTag[];
  /** The list was cut short, by a cap or by a failure on a later page: what is not in it may still exist. */
  readonly partial: boolean;
  /** When the registry said so (ISO 8601). */
  readonly asOf: string;
}

export interface ImageDetails {
  /** `os/architecture`, sorted. */
  readonly platforms: readonly string[];
  /** The image for linux/amd64; null when there is none. `createdAt` is null when its build hides it. */
  readonly amd64: { readonly sizeBytes: number; readonly createdAt: string | null } | null;
}

/** An image in a team’s repository of Google Artifact Registry. */
export interface GarImage extends ImageRepository {
  /** ISO 8601. */
  readonly updatedAt?: string;
}

/**
 * The registries. Every call has the signal’s deadline and its own of 8 seconds. Answers may be minutes old
 * (a tag may have moved since) unless `fresh` is asked for.
 */
export interface Registries {
  /** What a tag points to. */
  digest(
    image: ImageRepository & { readonly tag: string },
    signal: AbortSignal,
    options?: { readonly fresh?: boolean },
  ): Promise<RegistryAnswer<string>>;
  /** What a digest is: its platforms, and the size and age of what would run. `fresh`: whether it is still there. */
  inspect(
    image: ImageRepository & { readonly digest: string },
    signal: AbortSignal,
    options?: { readonly fresh?: boolean },
  ): Promise<RegistryAnswer<ImageDetails>>;
  tags(
    repository: ImageRepository,
    signal: AbortSignal,
    options?: { readonly fresh?: boolean },
  ): Promise<RegistryAnswer<TagList>>;
  /** Every image in a team’s repository of Google Artifact Registry. */
  garImages(garTeam: string, signal: AbortSignal): Promise<RegistryAnswer<readonly GarImage[]>>;
}

/** Where Python’s versions are published. */
export interface PythonReleases {
  /** The document of https://peps.python.org/api/release-cycle.json, not checked. Throws Unavailable. */
  releaseCycle(signal: AbortSignal): Promise<unknown>;
  /** The tags python-* of quay.io/jupyter/base-notebook. Throws Unavailable. */
  jupyterTags(
    signal: AbortSignal,
  ): Promise<readonly { readonly name: string; readonly lastModified?: string }[]>;
}
