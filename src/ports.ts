import type { Catalogue } from './environments/catalogue.ts';
import type { HistoryItem } from './notebooks/notebook.ts';
import type { HistoryEvent, TeamRecord } from './record.ts';
import type { OperationRecord } from './servers/operation.ts';
import type { TeamName } from './teams/names.ts';

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

/**
 * Where the truth is kept: teams and the catalogue, operations, hosts. Every write of a team is atomic with its
 * history entry; a lost race is decided again. What an earlier version stored is completed when it is read (upgrade.ts).
 */
export interface Store extends OperationStore, HostStore, CullingStore {
  /** Creates the team with its first history entry and reserves its id for ever. */
  create(record: TeamRecord, event: HistoryEvent): Promise<'created' | 'slug_taken' | 'id_taken'>;
  team(slug: string): Promise<TeamRecord | undefined>;
  /**
   * The one way to change a team: read, decide, write if nobody wrote in between, else again with short jitter.
   * Answers the record as it stands afterwards, undefined when there is no such team.
   * Throws Problem `busy` (with Retry-After) when the cap of tries is reached.
   */
  change(slug: string, decide: Decide): Promise<TeamRecord | undefined>;
  /**
   * Removes the team, its history and its operations if it still is this one, at this generation; its id stays taken.
   */
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

/**
 * Operations are documents of their own; at most one is open per server of a team, and one for its hub. They go with
 * their team, and a finished one some time after its `expiresAt`.
 */
export interface OperationStore {
  /**
   * Stores the operation unless one is open on the same subject: that one is answered then. Opening the same one
   * again answers how it stands. Atomic, also between instances. Undefined when there is no such team.
   */
  openOperation(slug: string, operation: OperationRecord): Promise<OperationRecord | undefined>;
  operation(slug: string, id: string): Promise<OperationRecord | undefined>;
  /**
   * As `change`, for an operation: read, decide, write unless somebody wrote in between, else again. The next record
   * keeps id and subject; `dueAt: null` finishes it for good and lets the next one open. Undefined when there is none.
   */
  changeOperation(
    slug: string,
    id: string,
    decide: (current: OperationRecord) => OperationRecord | undefined,
  ): Promise<OperationRecord | undefined>;
  /** Those of a team that are not finished, oldest first. */
  openOperations(slug: string): Promise<readonly OperationRecord[]>;
  /** Unfinished ones of every team whose `dueAt` has passed, the longest due first. Answered by an index. */
  operationsDue(
    now: string,
    limit: number,
  ): Promise<readonly { readonly slug: string; readonly id: string }[]>;
}

/** What is known of the addresses of hosts on allowlists, shared between teams. */
export interface HostStore {
  /** Those that are known, by name. */
  hosts(names: readonly string[]): Promise<ReadonlyMap<string, HostRecord>>;
  /** As `change`, for a host. */
  changeHost(
    name: string,
    decide: (current: HostRecord | undefined) => HostRecord | undefined,
  ): Promise<HostRecord | undefined>;
  /** Names of hosts whose `dueAt` has passed, the longest due first. Answered by an index. */
  hostsDue(now: string, limit: number): Promise<readonly string[]>;
  /** Slugs, ascending, of teams whose `egressHosts` name any of these. Answered by an index. */
  listing(hosts: readonly string[]): Promise<readonly string[]>;
}

/** The culling’s own question: hubs to be asked now. */
export interface CullingStore {
  /** Slugs of teams whose `culling.dueAt` has passed, the longest due first. Answered by an index. */
  cullingDue(now: string, limit: number): Promise<readonly string[]>;
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
  /**
   * Every object of a kind in a namespace, all pages. `labels` are equality selectors; `withLabels` must be there with
   * any value.
   */
  list(
    query: {
      readonly apiVersion: string;
      readonly kind: string;
      readonly namespace?: string;
      readonly labels?: Readonly<Record<string, string>>;
      readonly withLabels?: readonly string[];
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
  /** Whether the cluster has this kind in this version. An answer is good for ten minutes. */
  serves(apiVersion: string, kind: string, signal: AbortSignal): Promise<boolean>;
}

export type ApplyOutcome =
  | { readonly outcome: 'applied'; readonly object: Manifest }
  | { readonly outcome: 'conflict'; readonly message: string }
  | { readonly outcome: 'refused'; readonly message: string };

/** Where lines for operators go. `event`: what happened, always in the same words. */
export interface Log {
  info(fields: object, event: string): void;
  warn(fields: object, event: string): void;
  error(fields: object, event: string): void;
}

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

/** What JupyterHub has under way; `check`: the hub has just started and does not know yet whether the server runs. */
export type HubPending = 'spawn' | 'stop' | 'check';

/** A member’s default server as the hub knows it. Instants are ISO 8601 UTC. */
export interface HubServer {
  /** Neither running nor under way. */
  readonly stopped: boolean;
  readonly ready: boolean;
  readonly pending: HubPending | null;
  readonly startedAt: string | null;
  readonly lastActivityAt: string | null;
  /** The KubeSpawner profile of its last start; null when it was started without. */
  readonly profile: string | null;
}

export interface HubUser {
  readonly name: string;
  /** null when this user never had a server. */
  readonly server: HubServer | null;
}

/** One line of a start’s progress, as the hub tells it. */
export interface SpawnProgress {
  /** 0 to 100. */
  readonly progress: number;
  readonly message: string;
  readonly outcome?: 'ready' | 'failed';
}

/** A hub that said no: JupyterHub’s 400, 404 and 429 in our words. */
export interface HubRefusal {
  readonly refused:
    | 'no_such_user'
    | 'already_running'
    | 'pending_spawn'
    | 'pending_stop'
    | 'pending_check'
    | 'too_many_starts'
    | 'too_many_servers'
    | 'refused';
  readonly message: string;
  readonly retryAfterSeconds?: number;
}

/**
 * The teams’ JupyterHubs (5 and 6), over REST. Every call has the signal’s deadline and its own of 10 seconds, and
 * throws Unavailable('hub') when the hub is away or answers nonsense: that is never to be shown as stopped.
 * Every call but `progress` is safe to repeat.
 */
export interface Hubs {
  /** The hub’s version, such as 5.5.0. */
  version(team: TeamName, signal: AbortSignal): Promise<string>;
  /** Every user, all pages; `active`: only those with a server that runs or is under way. */
  users(
    team: TeamName,
    signal: AbortSignal,
    options?: { readonly active?: boolean },
  ): Promise<readonly HubUser[]>;
  user(team: TeamName, name: string, signal: AbortSignal): Promise<HubUser | undefined>;
  addUser(team: TeamName, name: string, signal: AbortSignal): Promise<'added' | 'exists'>;
  /** With tokens and sessions; the home stays. `stopping`: its server is on its way down first, ask again. */
  removeUser(team: TeamName, name: string, signal: AbortSignal): Promise<'removed' | 'absent' | 'stopping'>;
  /** `revision`: of the profiles, which the hub waits for (hub-config.ts). */
  start(
    team: TeamName,
    name: string,
    options: { readonly profile: string; readonly revision: number },
    signal: AbortSignal,
  ): Promise<'ready' | 'starting' | HubRefusal>;
  /** Also ends a start that is under way. */
  stop(team: TeamName, name: string, signal: AbortSignal): Promise<'stopped' | 'stopping' | HubRefusal>;
  /** What the hub tells of a start, until it ends or the signal does. Ends at once when nothing is starting. */
  progress(team: TeamName, name: string, signal: AbortSignal): AsyncIterable<SpawnProgress>;
  /** Tells the hub of activity at this instant (ISO 8601), which it takes only forward. */
  reportActivity(team: TeamName, name: string, at: string, signal: AbortSignal): Promise<void>;
  /**
   * Whether a kernel of the running server is busy, asked of the server itself with a token that is good for this
   * server and a minute alone, and is deleted afterwards; ours never travels there.
   */
  isBusy(team: TeamName, name: string, signal: AbortSignal): Promise<boolean>;
}

/** What is known of a host’s addresses (facts of egress, d). Instants are ISO 8601 UTC. */
export interface HostRecord {
  readonly name: string;
  /** Every address that is or was answered lately, IPv4 and IPv6, by its text. */
  readonly addresses: Readonly<
    Record<string, { readonly firstSeenAt: string; readonly lastSeenAt: string; readonly ttlSeconds: number }>
  >;
  readonly lastLookAt: string | null;
  readonly lastSuccessAt: string | null;
  /** Failed looks in a row. */
  readonly failures: number;
  readonly lastError: string | null;
  /** Since when the name is said not to exist, and how often in a row; null while it does. */
  readonly absent: { readonly since: string; readonly seen: number } | null;
  /** When a team last said that it lists this host, and when one with a live notebook did. */
  readonly wantedAt: string | null;
  readonly liveAt: string | null;
  /** null: nobody lists it any more. */
  readonly dueAt: string | null;
}

export type NameAnswer =
  | {
      readonly answer: 'addresses';
      readonly addresses: readonly { readonly address: string; readonly ttlSeconds: number }[];
    }
  /** NXDOMAIN, or no addresses of this kind. */
  | { readonly answer: 'absent' }
  /** SERVFAIL, REFUSED, a timeout: nothing is known. */
  | { readonly answer: 'failed'; readonly message: string };

/** DNS, as the notebooks see it. */
export interface Names {
  /** The A records of a name, with the smallest TTL on the way; AAAA only where there are none. */
  resolve(name: string, signal: AbortSignal): Promise<NameAnswer>;
}

/** A version of a secret; never its payload. */
export interface SecretVersion {
  /** Its number, such as 3. */
  readonly version: string;
  readonly state: 'enabled' | 'disabled' | 'destroyed';
  /** ISO 8601 UTC. */
  readonly createdAt: string;
}

/** What a secret is, apart from its versions. */
export interface SecretMetadata {
  readonly labels: Readonly<Record<string, string>>;
  readonly annotations: Readonly<Record<string, string>>;
  /** Another one after every change of labels or annotations. */
  readonly etag: string;
}

/** Who may do what: Google’s IAM, in one form for secrets and service accounts. Conditions are others’ and kept. */
export interface IamBinding {
  readonly role: string;
  readonly members: readonly string[];
  readonly condition?: unknown;
}

export interface IamPolicy {
  readonly bindings: readonly IamBinding[];
  readonly etag: string;
  readonly version?: number;
  /** Whatever else is in it (audit configuration), to be written back as it was read. */
  readonly rest?: Readonly<Record<string, unknown>>;
}

/**
 * What a write of a policy came to. `conflict`: somebody wrote in between, read again. `unknown_member`: Google knows
 * no such principal; `member` when it says which.
 */
export type IamOutcome =
  | { readonly outcome: 'written' }
  | { readonly outcome: 'conflict' }
  | { readonly outcome: 'unknown_member'; readonly member: string | undefined; readonly message: string };

/** Google answered that a quota is used up; the message says which. Retried with backoff. */
export class QuotaExceeded extends Unavailable {}

/** Google Secret Manager. Throws Unavailable('secret-manager'); `id` is the secret’s, in the configured project. */
export interface Vault {
  secret(id: string, signal: AbortSignal): Promise<SecretMetadata | undefined>;
  createSecret(
    id: string,
    labels: Readonly<Record<string, string>>,
    signal: AbortSignal,
  ): Promise<'created' | 'exists'>;
  /** Replaces the annotations of the secret that was read. `conflict`: it is another one by now, or gone. */
  annotate(
    id: string,
    secret: Pick<SecretMetadata, 'annotations' | 'etag'>,
    signal: AbortSignal,
  ): Promise<SecretMetadata | 'conflict'>;
  /** With all its versions, for good. Does nothing when it is gone. */
  deleteSecret(id: string, signal: AbortSignal): Promise<void>;
  policy(id: string, signal: AbortSignal): Promise<IamPolicy | undefined>;
  setPolicy(id: string, policy: IamPolicy, signal: AbortSignal): Promise<IamOutcome>;
  /** Newest first, all pages; undefined when there is no such secret. */
  versions(id: string, signal: AbortSignal): Promise<readonly SecretVersion[] | undefined>;
  /** The payload goes nowhere else. Undefined when there is no such secret. */
  addVersion(id: string, payload: Uint8Array, signal: AbortSignal): Promise<SecretVersion | undefined>;
  /** `destroyed`: it is gone for good. */
  setEnabled(
    id: string,
    version: string,
    enabled: boolean,
    signal: AbortSignal,
  ): Promise<SecretVersion | 'destroyed' | undefined>;
}

/** Google service accounts of the configured project. Throws Unavailable('iam'). `id`: the part before the @. */
export interface Identities {
  account(
    id: string,
    signal: AbortSignal,
  ): Promise<{ readonly email: string; readonly description: string } | undefined>;
  /** Throws QuotaExceeded when the project has no room for another one. */
  createAccount(
    id: string,
    display: { readonly name: string; readonly description: string },
    signal: AbortSignal,
  ): Promise<'created' | 'exists'>;
  /** Does nothing when it is gone. */
  deleteAccount(id: string, signal: AbortSignal): Promise<void>;
  policy(id: string, signal: AbortSignal): Promise<IamPolicy | undefined>;
  setPolicy(id: string, policy: IamPolicy, signal: AbortSignal): Promise<IamOutcome>;
}
