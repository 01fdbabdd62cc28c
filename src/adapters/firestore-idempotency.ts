import { randomUUID } from 'node:crypto';
import { isDeepStrictEqual } from 'node:util';
import type { DocumentSnapshot, Timestamp } from '@google-cloud/firestore';
import type { IdempotencyRecord } from '../model/idempotency.ts';
import type { IdempotencyStore } from '../ports/store.ts';
import { lostRace, retryOnConflict } from './contention.ts';
import type { FirestoreConnection, Sdk } from './firestore-connection.ts';
import { assertSameRequest } from './invariants.ts';

/** `requests/{id}`; the database’s TTL policy deletes it after `expiresAt`. */
interface RequestDocument {
  /** JSON: no query reads it, and an answer may hold what Firestore refuses. */
  readonly json: string;
  readonly expiresAt: Timestamp;
  /** Names the call that wrote last (firestore-documents.ts). */
  readonly write: string;
}

const requestDocument = (sdk: Sdk, record: IdempotencyRecord, write: string): RequestDocument => ({
  json: JSON.stringify(record),
  expiresAt: sdk.Timestamp.fromDate(new Date(record.expiresAt)),
  write,
});

const toRequest = (snapshot: DocumentSnapshot | undefined): IdempotencyRecord | undefined => {
  const json: unknown = snapshot?.get('json');
  return typeof json === 'string' ? JSON.parse(json) : undefined;
};

export const firestoreIdempotency = ({
  random,
  connected,
  read,
  commit,
}: FirestoreConnection): IdempotencyStore => ({
  changeRequest: async (id, now, decide) => {
    const { db, sdk } = await connected();
    const write = randomUUID();
    const reference = db.collection('requests').doc(id);
    return retryOnConflict(async () => {
      const [snapshot] = await read(db, reference);
      const stored = toRequest(snapshot);
      if (snapshot?.get('write') === write) return stored;
      // The TTL policy may delete it a day late.
      const current = stored !== undefined && stored.expiresAt > now ? stored : undefined;
      const next = decide(current);
      if (next === undefined || isDeepStrictEqual(next, current)) return current;
      const batch = db.batch();
      const version = snapshot?.updateTime;
      if (next === 'remove') {
        if (version === undefined) return undefined;
        batch.delete(reference, { lastUpdateTime: version });
        return (await commit(batch)) === lostRace ? lostRace : undefined;
      }
      assertSameRequest(id, next);
      const document = requestDocument(sdk, next, write);
      if (version === undefined) batch.create(reference, document);
      else batch.update(reference, { ...document }, { lastUpdateTime: version });
      return (await commit(batch)) === lostRace ? lostRace : next;
    }, random);
  },
});
