import type { DocumentSnapshot } from '@google-cloud/firestore';
import type { Phase } from '../model/condition.ts';
import type { HistoryEvent, HistoryRecord } from '../model/history.ts';
import type { Membership } from '../model/me.ts';
import type { Naming } from '../model/names.ts';
import type { TeamRecord } from '../model/record.ts';
import {
  membershipIn,
  type StoredMember,
  type StoredTeamRecord,
  upgraded,
  upgradedEvent,
} from './upgrade.ts';

/**
 * `teams/{slug}`: the record, the fields that queries use, the number of history entries and `write`, the id of the
 * last write: a client that repeats a commit after its response was lost gets a conflict, and recognises its own write
 * by this id. `release` is JSON, because a chart’s values may have nested arrays and field names that Firestore refuses.
 */
export interface TeamDocument {
  readonly slug: string;
  readonly record: Omit<StoredTeamRecord, 'release'>;
  readonly release: string | null;
  readonly memberEmails: readonly string[];
  /** As clients see it. */
  readonly phase: Phase;
  readonly dueAt: string;
  readonly egressHosts: readonly string[];
  /** Absent while nothing is due. */
  readonly cullingDueAt?: string;
  /** Absent without a release. */
  readonly platformHash?: string;
  /** The platform’s hash while the team is Degraded, else absent. */
  readonly degradedOn?: string;
  readonly entries: number;
  readonly write: string;
}

/**
 * The marker in `teams/{slug}` while the documents below a removed team are deleted: it keeps the slug taken, so a new
 * team cannot see the old one’s entries and operations, and is in no query’s index. The next call that reads the
 * marker completes an interrupted removal.
 */
export interface RemovalMarker {
  readonly removing: string;
  readonly write: string;
}

/** `teams/{slug}/history/{n}`. `specRevision` is set on entries that carry a spec, for restore to find them. */
interface EntryDocument extends Omit<HistoryRecord, 'changes' | 'spec'> {
  readonly changes: string;
  readonly spec?: string;
  readonly specRevision?: number;
  readonly write: string;
}

/** `ids/{id}`: taken permanently; `gone` once its team is deleted. */
export interface IdDocument {
  readonly slug: string;
  readonly gone: boolean;
  readonly write: string;
}

/**
 * `creators/{hash of the e-mail}`: written by each guarded creation of a team, so creations by one person exclude each
 * other.
 */
export interface CreatorDocument {
  readonly write: string;
}

/** Plain JSON, as in the other adapter: Firestore refuses undefined and class instances. */
export const plain = <T>(value: T): T => JSON.parse(JSON.stringify(value));

export const teamDocument = (record: TeamRecord, entries: number, write: string): TeamDocument => {
  const { release, ...rest } = record;
  return {
    slug: record.slug,
    record: plain(rest),
    release: release && JSON.stringify(release),
    memberEmails: record.members.map(({ email }) => email),
    phase: record.deletion === null ? record.status.phase : 'Deleting',
    dueAt: record.reconcile.dueAt,
    egressHosts: record.egressHosts,
    ...(record.culling.dueAt !== null && { cullingDueAt: record.culling.dueAt }),
    ...(release && { platformHash: release.platformHash }),
    ...(release && record.status.phase === 'Degraded' && { degradedOn: release.platformHash }),
    entries,
    write,
  };
};

export const entryDocument = (n: number, event: HistoryEvent, write: string): EntryDocument => {
  const { changes, spec, ...rest } = event;
  return {
    ...rest,
    n,
    changes: JSON.stringify(changes),
    ...(spec && { spec: JSON.stringify(spec) }),
    ...(spec && event.revision !== null && { specRevision: event.revision }),
    write,
  };
};

/** Only this adapter writes these documents, so they are read without validation. */
export const parsed = (snapshot: DocumentSnapshot): TeamDocument | RemovalMarker | undefined =>
  snapshot.data() as TeamDocument | RemovalMarker | undefined;

export const toRecord = ({ record, release }: TeamDocument, naming: Naming): TeamRecord =>
  upgraded({ ...record, release: release === null ? null : JSON.parse(release) }, naming);

/** The team as a list of one; empty if it no longer exists. */
export const listed = (snapshot: DocumentSnapshot, naming: Naming): TeamRecord[] => {
  const found = parsed(snapshot);
  return found === undefined || 'removing' in found ? [] : [toRecord(found, naming)];
};

/** What a person is in a team, from a query that selects only its members; empty if no member. */
export const membershipsIn = (snapshot: DocumentSnapshot, email: string): Membership[] => {
  const members: readonly StoredMember[] = snapshot.get('record.members') ?? [];
  return membershipIn(snapshot.id, members, email);
};

export const toItem = (snapshot: DocumentSnapshot): HistoryRecord => {
  const { changes, spec, specRevision: _, write: __, ...rest } = snapshot.data() as EntryDocument;
  const item = {
    ...rest,
    changes: JSON.parse(changes),
    ...(spec !== undefined && { spec: JSON.parse(spec) }),
  };
  return upgradedEvent(item);
};
