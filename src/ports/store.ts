import type { Catalogue } from '../model/catalogue.ts';
import type { Phase } from '../model/condition.ts';
import type { HistoryEvent, HistoryRecord } from '../model/history.ts';
import type { HostRecord } from '../model/host.ts';
import type { IdempotencyRecord } from '../model/idempotency.ts';
import type { Membership } from '../model/me.ts';
import type { OperationRecord } from '../model/operation.ts';
import type { TeamRecord } from '../model/record.ts';

/** The result of a decision about a team: the new record, and its history entry. */
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
  /** Where the next page starts; absent on the last page. */
  readonly next?: string;
}

/** What a tick has to know of a team that has opted in to an allowlist. */
export interface RestrictedTeam extends Pick<TeamRecord, 'slug' | 'id'> {
  readonly namespace: string;
  /** `status.policies` of its record; null without. */
  readonly policies: string | null;
}

/** How many teams there are, and how many of them a person owns; teams that are being deleted count. */
export interface TeamCounts {
  readonly owned: number;
  readonly teams: number;
}

/** How many of these memberships are an owner’s. */
export const ownedBy = (memberships: readonly Membership[]): number =>
  memberships.filter(({ role }) => role === 'owner').length;

/** A limit on the creation of teams by one person. */
export interface CreationGuard {
  /** An e-mail in lower case. */
  readonly person: string;
  /** Throws when these counts leave no room for another team; nothing is created then. Pure; may be asked again. */
  readonly check: (counts: TeamCounts) => void;
}

/**
 * Where the truth is kept: teams and the catalogue, operations, hosts. Every write of a team is atomic with its
 * history entry; a lost race is decided again. What an earlier version stored is completed when it is read (upgrade.ts).
 */
export interface Store extends OperationStore, HostStore, CullingStore, IdempotencyStore {
  /**
   * Creates the team with its first history entry and reserves its id permanently, unless the guard throws. `owned` is
   * exact: guarded creations of one person happen one after the other. `teams` may miss creations by others at the
   * same time.
   */
  create(
    record: TeamRecord,
    event: HistoryEvent,
    guard?: CreationGuard,
  ): Promise<'created' | 'slug_taken' | 'id_taken'>;
  team(slug: string): Promise<TeamRecord | undefined>;
  /**
   * The only way to change a team: read, decide, write by compare-and-set, and retry a conflict with short jitter.
   * Returns the record afterwards, undefined when there is no such team.
   * Throws Problem `busy` (with Retry-After) when the limit of attempts is reached.
   */
  change(slug: string, decide: Decide): Promise<TeamRecord | undefined>;
  /**
   * Removes the team, its history and its operations if it still is this one, at this generation; its id stays taken.
   * What remains is the operation of its deletion.
   */
  remove(slug: string, team: Pick<TeamRecord, 'id' | 'generation'>): Promise<'removed' | 'moved' | 'absent'>;
  /** Whether this id belonged to a team that was deleted. */
  isTombstone(id: string): Promise<boolean>;
  /**
   * By slug, ascending. `member`: an e-mail in lower case; only teams of that person. `phase`: as clients see it.
   * `after`: exclusive slug. Answered by an index.
   */
  teams(query: {
    readonly member?: string;
    readonly phase?: Phase;
    readonly slugPrefix?: string;
    readonly limit: number;
    readonly after?: string;
  }): Promise<Page<TeamRecord>>;
  /** Every team of a person (an e-mail in lower case), by slug. Answered by an index. */
  memberships(email: string): Promise<readonly Membership[]>;
  /** How many teams there are. Answered by an index. */
  countTeams(): Promise<number>;
  /** Slugs whose `reconcile.dueAt` has passed, the longest due first. Answered by an index. */
  due(now: string, limit: number): Promise<readonly string[]>;
  /** Slugs of teams whose release was rendered from another platform than this. Answered by an index. */
  outdated(platformHash: string, limit: number): Promise<readonly string[]>;
  /** Slugs of teams that are Degraded with a release from this platform. Answered by an index. */
  degraded(platformHash: string, limit: number): Promise<readonly string[]>;
  /** Every team that has opted in to an allowlist. Answered by an index. */
  restricted(): Promise<readonly RestrictedTeam[]>;
  /** Newest first; `before`: exclusive entry number. */
  history(
    slug: string,
    query: { readonly limit: number; readonly before?: number },
  ): Promise<Page<HistoryRecord>>;
  /** The newest history entry that led to this notebook revision and carries its spec. */
  notebookRevision(slug: string, revision: number): Promise<HistoryRecord | undefined>;
  /** The catalogue of environments after the last refresh; undefined before the first one. */
  catalogue(): Promise<Catalogue | undefined>;
  /** Like `change`, for the catalogue. */
  changeCatalogue(
    decide: (current: Catalogue | undefined) => Catalogue | undefined,
  ): Promise<Catalogue | undefined>;
  /** Throws Unavailable when the store does not answer. */
  ping(): Promise<void>;
  close(): Promise<void>;
}

/** Where an operation stands in its team’s list. */
export type OperationPosition = Pick<OperationRecord, 'createdAt' | 'id'>;

/**
 * Operations are separate documents; at most one is open per server of a team, and one for its hub. They are deleted
 * with their team, and a finished one some time after its `expiresAt`. The deletion of a team (`delete_team`) outlives
 * the team: it is kept apart, under the slug, and found by its id whether or not there is a team of that slug.
 */
export interface OperationStore {
  /**
   * Stores the operation unless one is open on the same server or hub: that one is answered then. Opening the same one
   * again answers how it stands. Atomic, also between instances. Undefined when there is no such team, which the
   * deletion of a team does not need.
   */
  openOperation(slug: string, operation: OperationRecord): Promise<OperationRecord | undefined>;
  /** Stores an operation that has ended already, beside any other. False when there is no such team. */
  addOperation(slug: string, operation: OperationRecord): Promise<boolean>;
  operation(slug: string, id: string): Promise<OperationRecord | undefined>;
  /**
   * Those of a team, without its deletion, newest first. `open`: only those that are not finished, or only those that
   * are. `before`: exclusive.
   */
  operations(
    slug: string,
    query: { readonly limit: number; readonly before?: OperationPosition; readonly open?: boolean },
  ): Promise<readonly OperationRecord[]>;
  /**
   * Like `change`, for an operation. The next record keeps id and subject; `dueAt: null` finishes it permanently and
   * allows the next one to open. Undefined when there is no such operation.
   */
  changeOperation(
    slug: string,
    id: string,
    decide: (current: OperationRecord) => OperationRecord | undefined,
  ): Promise<OperationRecord | undefined>;
  /** Those of a team that are not finished, without its deletion, oldest first. */
  openOperations(slug: string): Promise<readonly OperationRecord[]>;
  /** Unfinished ones of every team whose `dueAt` has passed, the longest due first. Answered by an index. */
  operationsDue(
    now: string,
    limit: number,
  ): Promise<readonly { readonly slug: string; readonly id: string }[]>;
}

/** The addresses of hosts on allowlists, shared between teams. */
export interface HostStore {
  /** The known hosts among these, by name. */
  hosts(names: readonly string[]): Promise<ReadonlyMap<string, HostRecord>>;
  /** Like `change`, for a host. */
  changeHost(
    name: string,
    decide: (current: HostRecord | undefined) => HostRecord | undefined,
  ): Promise<HostRecord | undefined>;
  /** Names of hosts whose `dueAt` has passed, the longest due first. Answered by an index. */
  hostsDue(now: string, limit: number): Promise<readonly string[]>;
  /** Slugs, ascending, of teams whose `egressHosts` name any of these. Answered by an index. */
  listing(hosts: readonly string[]): Promise<readonly string[]>;
}

/** Requests that were sent with an Idempotency-Key. */
export interface IdempotencyStore {
  /**
   * Like `change`, for a request; `remove` deletes it. A record past its `expiresAt` is passed to the decision as
   * undefined. Returns the record afterwards, undefined when there is none. `now` is ISO 8601.
   */
  changeRequest(
    id: string,
    now: string,
    decide: (current: IdempotencyRecord | undefined) => IdempotencyRecord | 'remove' | undefined,
  ): Promise<IdempotencyRecord | undefined>;
}

/** The query of the cull pass: hubs that are due. */
export interface CullingStore {
  /** Slugs of teams whose `culling.dueAt` has passed, the longest due first. Answered by an index. */
  cullingDue(now: string, limit: number): Promise<readonly string[]>;
}
