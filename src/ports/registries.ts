/** A repository of images in one of the supported registries: ghcr.io or Google Artifact Registry. */
export interface ImageRepository {
  readonly host: string;
  /** The repository name. */
  readonly path: string;
}

/**
 * The answer of a registry. `absent`: the registry said so itself, in its own form. `unknown`: there was no valid
 * answer, which says nothing about the image and is never shown as absent.
 */
export type RegistryAnswer<T> =
  | { readonly answer: 'found'; readonly value: T }
  | { readonly answer: 'absent'; readonly missing: Missing }
  | { readonly answer: 'unknown'; readonly message: string; readonly retryAfterSeconds?: number };

/**
 * What is missing. `repository`: it does not exist or is private; registries do not say which. `manifest`: no such tag
 * or digest. `part`: the manifest exists, but something that it refers to was deleted.
 */
export type Missing = 'repository' | 'manifest' | 'part';

export interface ImageTag {
  readonly tag: string;
  readonly digest?: string;
  /** ISO 8601. */
  readonly pushedAt?: string;
  /** Its position in a list from old to new; absent where a registry’s order means nothing. */
  readonly index?: number;
}

export interface TagList {
  readonly tags: readonly ImageTag[];
  /** The list is incomplete, because of a limit or a failure on a later page: other tags may exist. */
  readonly partial: boolean;
  /** When the registry answered (ISO 8601). */
  readonly asOf: string;
}

export interface ImageDetails {
  /** `os/architecture`, sorted. */
  readonly platforms: readonly string[];
  /** The image for linux/amd64; null when there is none. `createdAt` is null when the image does not say. */
  readonly amd64: { readonly sizeBytes: number; readonly createdAt: string | null } | null;
}

/** An image in a team’s repository of Google Artifact Registry. */
export interface GarImage extends ImageRepository {
  /** ISO 8601. */
  readonly updatedAt?: string;
}

/**
 * The registries. Every call has the signal’s deadline and its own of 8 seconds. Answers may be
 * minutes old (a tag may have moved since) unless `fresh` is set.
 */
export interface Registries {
  /** The digest that a tag points to. */
  digest(
    image: ImageRepository & { readonly tag: string },
    signal: AbortSignal,
    options?: { readonly fresh?: boolean },
  ): Promise<RegistryAnswer<string>>;
  /** The platforms of a digest, and size and age of the image that would run. `fresh`: checks that it still exists. */
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

/** The sources of Python’s release cycle and Jupyter’s images. */
export interface PythonReleases {
  /** The document of https://peps.python.org/api/release-cycle.json, not validated. Throws Unavailable. */
  releaseCycle(signal: AbortSignal): Promise<unknown>;
  /** The tags python-* of quay.io/jupyter/base-notebook. Throws Unavailable. */
  jupyterTags(
    signal: AbortSignal,
  ): Promise<readonly { readonly name: string; readonly lastModified?: string }[]>;
}
