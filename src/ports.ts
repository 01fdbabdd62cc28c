import type { Catalogue } from './environments/catalogue.ts';
import type { HistoryItem } from './notebooks/notebook.ts';
import type { HistoryEvent, TeamRecord } from './record.ts';

/**
 * The outside world on one page. Expected answers are values; an adapter throws `Unavailable` when its system
 * gives none, and another error only for what nobody expected.
 */

/** The system did not answer in time, refused us for now, or answered nonsense. Safe to try again later. */
export class Unavailable extends Error {
  override readonly name = 'Unavailable';
  readonly system: string;
  constructor(system: string, message: string, options?: ErrorOptions) {
    super(message, options);
    this.system = system;
  }
}

/** What a decision about a team came to: the record as it shall be, and what to write into its history. */
export interface Decision {
  readonly next: TeamRecord;
  readonly event?: HistoryEvent;
}

/**
 * Pure and synchronous: it may be asked again with a newer record. Returning undefined writes nothing. What it
 * throws leaves `change` unchanged.
 */
export type Decide = (current: TeamRecord) => Decision | undefined;

export interface Page<T> {
  readonly items: readonly T[];
  /** Where the next page starts; absent on the last one. */
  readonly next?: string;
}

/** Where the truth is kept. Every write is atomic with its history entry; a lost race is decided again. */
export interface Store {
  /** Creates the team with its first history entry and reserves its id for ever. */
  create(record: TeamRecord, event: HistoryEvent): Promise<'created' | 'slug_taken' | 'id_taken'>;
  team(slug: string): Promise<TeamRecord | undefined>;
  /**
   * The one way to change a team: read, decide, write if nobody wrote in between, else again with short jitter.
   * Answers the record as it stands afterwards, undefined when there is no such team.
   * Throws Problem `busy` (with Retry-After) when the cap of tries is reached.
   */
  change(slug: string, decide: Decide): Promise<TeamRecord | undefined>;
  /** Removes the team and its history if it still is this one, at this generation; its id stays taken. */
  remove(slug: string, team: Pick<TeamRecord, 'id' | 'generation'>): Promise<'removed' | 'moved' | 'absent'>;
  /** Whether this id was ever given to a team that is gone. */
  isTombstone(id: string): Promise<boolean>;
  /** By slug, ascending. `member`: an e-mail in lower case; only teams of that person. `after`: exclusive slug. */
  teams(query: {
    readonly member?: string;
    readonly limit: number;
    readonly after?: string;
  }): Promise<Page<TeamRecord>>;
  /** Slugs whose `reconcile.dueAt` has passed, the longest due first. Answered by an index. */
  due(now: string, limit: number): Promise<readonly string[]>;
  /** Slugs, by platform, whose release was rendered from another one than this. Answered by an index. */
  outdated(platformHash: string, limit: number): Promise<readonly string[]>;
  /** Slugs of teams that are Degraded with a release from this platform. Answered by an index. */
  degraded(platformHash: string, limit: number): Promise<readonly string[]>;
  /** Newest first; `before`: exclusive entry number. */
  history(
    slug: string,
    query: { readonly limit: number; readonly before?: number },
  ): Promise<Page<HistoryItem>>;
  /** The newest history entry that led to this notebook revision and carries its spec. */
  notebookRevision(slug: string, revision: number): Promise<HistoryItem | undefined>;
  /** The catalogue of environments as it was last refreshed; undefined before the first time. */
  catalogue(): Promise<Catalogue | undefined>;
  /** As `change`, for the catalogue: read, decide, write unless somebody wrote in between, else again. */
  changeCatalogue(
    decide: (current: Catalogue | undefined) => Catalogue | undefined,
  ): Promise<Catalogue | undefined>;
  /** Throws Unavailable when the store does not answer. */
  ping(): Promise<void>;
  close(): Promise<void>;
}

/** A Kubernetes object as we write and read it: plain JSON. */
export interface Manifest {
  readonly apiVersion: string;
  readonly kind: string;
  readonly metadata: {
    readonly name: string;
    readonly namespace?: string;
    readonly labels?: Readonly<Record<string, string>>;
    readonly annotations?: Readonly<Record<string, string>>;
    readonly ownerReferences?: readonly OwnerReference[];
    readonly uid?: string;
    readonly resourceVersion?: string;
    readonly generation?: number;
    readonly deletionTimestamp?: string;
    readonly creationTimestamp?: string;
  };
  readonly spec?: unknown;
  readonly data?: Readonly<Record<string, string>>;
  readonly type?: string;
  readonly status?: unknown;
}

export interface OwnerReference {
  readonly apiVersion: string;
  readonly kind: string;
  readonly name: string;
  readonly uid: string;
  readonly controller?: boolean;
  readonly blockOwnerDeletion?: boolean;
}

/** Which object: the kinds that this product reads or writes, and no other. */
export interface ObjectRef {
  readonly apiVersion: string;
  readonly kind: string;
  readonly name: string;
  readonly namespace?: string;
}

/**
 * GKE. Every call has the signal’s deadline. `conflict`: the object is not the one that was read (uid or
 * resourceVersion moved on, or it is gone, or exists already). `refused`: an admission policy or the API server
 * said no for good; `message` is its sentence.
 */
export interface Cluster {
  read(ref: ObjectRef, signal: AbortSignal): Promise<Manifest | undefined>;
  /** Every object of a kind in a namespace, all pages; `labels` are equality selectors. */
  list(
    query: {
      readonly apiVersion: string;
      readonly kind: string;
      readonly namespace?: string;
      readonly labels?: Readonly<Record<string, string>>;
    },
    signal: AbortSignal,
  ): Promise<readonly Manifest[]>;
  /**
   * Server-side apply with our field manager, forced. With `metadata.uid` and `resourceVersion` it changes only
   * what was read; without, it only creates: an object that exists by then is a conflict.
   */
  apply(manifest: Manifest, signal: AbortSignal): Promise<ApplyOutcome>;
  /** JSON merge patch (RFC 7396) of an object that was read. */
  patch(
    ref: ObjectRef & { readonly uid: string; readonly resourceVersion: string },
    patch: Readonly<Record<string, unknown>>,
    signal: AbortSignal,
  ): Promise<ApplyOutcome>;
  /**
   * Deletes the object that was read, in the background; `gone` when it was not there any more. With a
   * resourceVersion only as it was read.
   */
  remove(
    ref: ObjectRef & { readonly uid: string; readonly resourceVersion?: string },
    signal: AbortSignal,
  ): Promise<'removed' | 'gone' | 'conflict'>;
}

export type ApplyOutcome =
  | { readonly outcome: 'applied'; readonly object: Manifest }
  | { readonly outcome: 'conflict'; readonly message: string }
  | { readonly outcome: 'refused'; readonly message: string };

export interface Clock {
  /** Epoch milliseconds. */
  now(): number;
}

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
