import { createHash, randomUUID } from 'node:crypto';
import { isDeepStrictEqual } from 'node:util';
import type { DocumentReference, DocumentSnapshot, Firestore, Timestamp } from '@google-cloud/firestore';
import { isByReconcile, type OperationRecord } from '../model/operation.ts';
import type { OperationStore } from '../ports/store.ts';
import { lostRace, retryOnConflict } from './contention.ts';
import type { FirestoreConnection, Sdk } from './firestore-connection.ts';
import { parsed, plain } from './firestore-documents.ts';
import { finishRemoval } from './firestore-removal.ts';
import { assertFinished, assertSameOperation, assertUnfinished } from './invariants.ts';

/**
 * `teams/{slug}/operations/{id}`, and `departures/{slug}/operations/{id}` for the deletion of a team: removing the team
 * leaves that one, and both are in the same collection group. `dueAt` is set until the operation is finished, `expiresAt` from then on: after that
 * instant the database’s TTL policy deletes the document, which must not happen to an open one.
 */
interface OperationDocument {
  readonly operation: OperationRecord;
  readonly dueAt?: string;
  readonly expiresAt?: Timestamp;
  /** Names the call that wrote last (firestore-documents.ts). */
  readonly write: string;
}

/**
 * `teams/{slug}/open/{subject}`: the open operation of a subject. The commit that opens the operation writes it; the
 * one that finishes the operation deletes it.
 */
interface OpenDocument {
  readonly operation: string;
  readonly user: string | null;
}

const operationDocument = (sdk: Sdk, operation: OperationRecord, write: string): OperationDocument => ({
  operation: plain(operation),
  ...(operation.dueAt === null
    ? { expiresAt: sdk.Timestamp.fromDate(new Date(operation.expiresAt)) }
    : { dueAt: operation.dueAt }),
  write,
});

const toOperation = (snapshot: DocumentSnapshot | undefined): OperationRecord | undefined =>
  (snapshot?.data() as OperationDocument | undefined)?.operation;

/** Hashed, because a hub user name may be longer than a document id, or contain invalid characters. */
const subjectId = (user: string | null): string =>
  user === null ? 'hub' : `user-${createHash('sha256').update(user).digest('hex')}`;

export const firestoreOperations = (connection: FirestoreConnection): OperationStore => {
  const { random, connected, read, ask, commit } = connection;

  const references = (db: Firestore, slug: string) => {
    const team = db.collection('teams').doc(slug);
    return { team, operations: team.collection('operations'), open: team.collection('open') };
  };

  const departures = (db: Firestore, slug: string) =>
    db.collection('departures').doc(slug).collection('operations');

  /** An operation that excludes no other one. Answers whether it was created, `lostRace` when there is one of its id. */
  const create = async (
    db: Firestore,
    sdk: Sdk,
    { own, team }: { readonly own: DocumentReference; readonly team?: DocumentSnapshot },
    operation: OperationRecord,
  ) => {
    const batch = db.batch();
    if (team?.updateTime !== undefined) {
      // Changes nothing, not even the version, but fails the commit if the team is being removed.
      batch.update(team.ref, { slug: team.id }, { lastUpdateTime: team.updateTime });
    }
    batch.create(own, operationDocument(sdk, operation, randomUUID()));
    return (await commit(batch)) === lostRace ? lostRace : operation;
  };

  /** The open ones, oldest first. Only documents with a dueAt match; they are few, so they are sorted here. */
  const openOf = async (db: Firestore, slug: string): Promise<readonly OperationRecord[]> => {
    const { docs } = await ask(references(db, slug).operations.orderBy('dueAt'));
    return docs
      .flatMap((snapshot) => toOperation(snapshot) ?? [])
      .toSorted((a, b) => {
        const [first, second] = [`${a.createdAt} ${a.id}`, `${b.createdAt} ${b.id}`];
        return first < second ? -1 : 1;
      });
  };

  /** The snapshot if there is a team, and its removal has not begun. */
  const present = (team: DocumentSnapshot | undefined) => {
    const stored = team && parsed(team);
    return stored === undefined || 'removing' in stored ? undefined : team;
  };

  return {
    openOperation: async (slug, operation) => {
      assertUnfinished(operation);
      const { db, sdk } = await connected();
      const { team, operations, open } = references(db, slug);
      if (isByReconcile(operation)) {
        const isDeparture = operation.kind === 'delete_team';
        const own = (isDeparture ? departures(db, slug) : operations).doc(operation.id);
        return retryOnConflict(async () => {
          const [ownFound, teamFound] = await read(db, own, ...(isDeparture ? [] : [team]));
          const found = present(teamFound);
          if (!isDeparture && found === undefined) return undefined;
          const same = toOperation(ownFound);
          return same ?? create(db, sdk, { own, ...(found && { team: found }) }, operation);
        }, random);
      }
      const own = operations.doc(operation.id);
      const lock = open.doc(subjectId(operation.user));
      return retryOnConflict(async () => {
        const [teamFound, ownFound, lockFound] = await read(db, team, own, lock);
        if (teamFound?.updateTime === undefined || present(teamFound) === undefined) return undefined;
        const same = toOperation(ownFound);
        if (same !== undefined) return same;
        const holder: unknown = lockFound?.get('operation');
        if (typeof holder === 'string') {
          const [found] = await read(db, operations.doc(holder));
          const other = toOperation(found);
          if (other !== undefined && other.dueAt !== null) return other;
        }
        const batch = db.batch();
        // Changes nothing, not even the version, but fails the commit if the team is being removed.
        batch.update(team, { slug }, { lastUpdateTime: teamFound.updateTime });
        batch.create(own, operationDocument(sdk, operation, randomUUID()));
        const document = { operation: operation.id, user: operation.user } satisfies OpenDocument;
        if (lockFound?.updateTime === undefined) batch.create(lock, document);
        // The operation has finished meanwhile, so this is a lost race, or it was deleted by hand.
        else batch.update(lock, document, { lastUpdateTime: lockFound.updateTime });
        return (await commit(batch)) === lostRace ? lostRace : operation;
      }, random);
    },

    addOperation: async (slug, operation) => {
      assertFinished(operation);
      const { db, sdk } = await connected();
      const { team, operations } = references(db, slug);
      const own = operations.doc(operation.id);
      return retryOnConflict(async () => {
        const [teamFound, ownFound] = await read(db, team, own);
        const found = present(teamFound);
        if (found === undefined) return false;
        if (ownFound?.exists) return true;
        return (await create(db, sdk, { own, team: found }, operation)) === lostRace ? lostRace : true;
      }, random);
    },

    operation: async (slug, id) => {
      const { db } = await connected();
      const [snapshot] = await read(db, references(db, slug).operations.doc(id));
      if (snapshot?.exists) return toOperation(snapshot);
      const [departure] = await read(db, departures(db, slug).doc(id));
      return toOperation(departure);
    },

    operations: async (slug, { limit, before, open }) => {
      const { db, sdk } = await connected();
      const { operations } = references(db, slug);
      const openOnes = open === undefined ? [] : await openOf(db, slug);
      const isBefore = (one: OperationRecord) =>
        before === undefined || `${one.createdAt} ${one.id}` < `${before.createdAt} ${before.id}`;
      if (open === true) return openOnes.toReversed().filter(isBefore).slice(0, limit);
      // No index is needed for what is finished: the few that are open are left out here.
      const newest = operations
        .orderBy('operation.createdAt', 'desc')
        .orderBy(sdk.FieldPath.documentId(), 'desc');
      const rest = before === undefined ? newest : newest.startAfter(before.createdAt, before.id);
      const { docs } = await ask(rest.limit(limit + openOnes.length));
      const found = docs.flatMap((snapshot) => toOperation(snapshot) ?? []);
      return found.filter(({ dueAt }) => open === undefined || dueAt === null).slice(0, limit);
    },

    changeOperation: async (slug, id, decide) => {
      const { db, sdk } = await connected();
      const write = randomUUID();
      const { team, operations, open } = references(db, slug);
      return retryOnConflict(async () => {
        const [teamFound, own] = await read(db, team, operations.doc(id));
        const stored = teamFound && parsed(teamFound);
        if (stored !== undefined && 'removing' in stored) {
          // Otherwise the operations of an interrupted removal would stay due permanently.
          await finishRemoval(connection, team);
        }
        const isDeparture = own?.exists !== true || (stored !== undefined && 'removing' in stored);
        const reference = (isDeparture ? departures(db, slug) : operations).doc(id);
        const [found] = isDeparture ? await read(db, reference) : [own];
        const current = toOperation(found);
        if (found?.updateTime === undefined || current === undefined) return undefined;
        if (found.get('write') === write) return current;
        const next = decide(current);
        if (next === undefined || isDeepStrictEqual(next, current)) return current;
        assertSameOperation(current, next);
        const batch = db.batch();
        const unset = { dueAt: sdk.FieldValue.delete(), expiresAt: sdk.FieldValue.delete() };
        batch.update(
          reference,
          { ...unset, ...operationDocument(sdk, next, write) },
          { lastUpdateTime: found.updateTime },
        );
        // While an operation is open, this document belongs to it.
        if (current.dueAt !== null && next.dueAt === null && !isByReconcile(next))
          batch.delete(open.doc(subjectId(next.user)));
        return (await commit(batch)) === lostRace ? lostRace : next;
      }, random);
    },

    openOperations: async (slug) => openOf((await connected()).db, slug),

    operationsDue: async (now, limit) => {
      const { db } = await connected();
      const overdue = db.collectionGroup('operations').where('dueAt', '<=', now).orderBy('dueAt');
      const { docs } = await ask(overdue.select().limit(limit));
      return docs.flatMap(({ id, ref }) => {
        const slug = ref.parent.parent?.id;
        return slug === undefined ? [] : [{ slug, id }];
      });
    },
  };
};
