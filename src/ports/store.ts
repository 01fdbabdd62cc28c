import type { Catalogue } from '../model/catalogue.ts';
import type { HistoryEvent, HistoryItem } from '../model/history.ts';
import type { HostRecord } from '../model/host.ts';
import type { OperationRecord } from '../model/operation.ts';
import type { TeamRecord } from '../model/record.ts';

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
   * The one way to change a team: read, decide, write unless another writer was faster, else retry with short jitter.
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
  /** As `change`, for the catalogue: read, decide, write unless another writer was faster, else retry. */
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
   * As `change`, for an operation: read, decide, write unless another writer was faster, else retry. The next record
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
