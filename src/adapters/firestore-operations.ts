import { createHash, randomUUID } from 'node:crypto';
import { isDeepStrictEqual } from 'node:util';
import type { DocumentSnapshot, Firestore, Timestamp } from '@google-cloud/firestore';
import type { OperationRecord } from '../model/operation.ts';
import type { OperationStore } from '../ports/store.ts';
import { lostRace, retryOnConflict } from './contention.ts';
import type { FirestoreConnection, Sdk } from './firestore-connection.ts';
import { parsed, plain } from './firestore-documents.ts';
import { finishRemoval } from './firestore-removal.ts';
import { assertSameOperation, assertUnfinished } from './invariants.ts';

/**
 * `teams/{slug}/operations/{id}`. `dueAt` is set until the operation is finished, `expiresAt` from then on: after that
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

  return {
    openOperation: async (slug, operation) => {
      assertUnfinished(operation);
      const { db, sdk } = await connected();
      const { team, operations, open } = references(db, slug);
      const own = operations.doc(operation.id);
      const lock = open.doc(subjectId(operation.user));
      return retryOnConflict(async () => {
        const [teamFound, ownFound, lockFound] = await read(db, team, own, lock);
        const stored = teamFound && parsed(teamFound);
        if (teamFound?.updateTime === undefined || stored === undefined || 'removing' in stored)
          return undefined;
        const same = toOperation(ownFound);
        if (same !== undefined) return same;
        const holder: unknown = lockFound?.get('operation');
        if (typeof holder === 'string') {
          const [found] = await read(db, operations.doc(holder));
          const present = toOperation(found);
          if (present !== undefined && present.dueAt !== null) return present;
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

    operation: async (slug, id) => {
      const { db } = await connected();
      const [snapshot] = await read(db, references(db, slug).operations.doc(id));
      return toOperation(snapshot);
    },

    changeOperation: async (slug, id, decide) => {
      const { db, sdk } = await connected();
      const write = randomUUID();
      const { team, operations, open } = references(db, slug);
      const reference = operations.doc(id);
      return retryOnConflict(async () => {
        const [teamFound, found] = await read(db, team, reference);
        const stored = teamFound && parsed(teamFound);
        if (stored !== undefined && 'removing' in stored) {
          // Otherwise the operations of an interrupted removal would stay due permanently.
          await finishRemoval(connection, team);
          return undefined;
        }
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
        if (current.dueAt !== null && next.dueAt === null) batch.delete(open.doc(subjectId(next.user)));
        return (await commit(batch)) === lostRace ? lostRace : next;
      }, random);
    },

    openOperations: async (slug) => {
      const { db } = await connected();
      // Only documents with a dueAt match; they are few, so they are sorted here.
      const { docs } = await ask(references(db, slug).operations.orderBy('dueAt'));
      return docs
        .flatMap((snapshot) => toOperation(snapshot) ?? [])
        .toSorted((a, b) => {
          const [first, second] = [`${a.createdAt} ${a.id}`, `${b.createdAt} ${b.id}`];
          return first < second ? -1 : 1;
        });
    },

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
