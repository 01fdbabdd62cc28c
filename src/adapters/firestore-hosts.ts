import { randomUUID } from 'node:crypto';
import { isDeepStrictEqual } from 'node:util';
import type { DocumentSnapshot, Firestore } from '@google-cloud/firestore';
import type { HostRecord } from '../model/host.ts';
import type { HostStore } from '../ports/store.ts';
import { lostRace, retryOnConflict } from './contention.ts';
import type { FirestoreConnection } from './firestore-connection.ts';
import { plain } from './firestore-documents.ts';
import { assertSameHost } from './invariants.ts';

/** `hosts/{name}` */
interface HostDocument {
  readonly host: HostRecord;
  /** Absent while no team lists it. */
  readonly dueAt?: string;
  /** Names the call that wrote last (firestore-documents.ts). */
  readonly write: string;
}

const hostDocument = (host: HostRecord, write: string): HostDocument => ({
  host: plain(host),
  ...(host.dueAt !== null && { dueAt: host.dueAt }),
  write,
});

const toHost = (snapshot: DocumentSnapshot | undefined): HostRecord | undefined =>
  (snapshot?.data() as HostDocument | undefined)?.host;

/** The most values of one `array-contains-any`. */
const anyOfAtMost = 30;

const inGroupsOf = <T>(size: number, items: readonly T[]): T[][] =>
  Array.from({ length: Math.ceil(items.length / size) }, (_, i) => items.slice(i * size, (i + 1) * size));

export const firestoreHosts = ({ random, connected, read, ask, commit }: FirestoreConnection): HostStore => {
  const hosts = (db: Firestore) => db.collection('hosts');

  return {
    hosts: async (names) => {
      if (names.length === 0) return new Map();
      const { db } = await connected();
      const found = await read(db, ...[...new Set(names)].map((name) => hosts(db).doc(name)));
      return new Map(found.flatMap((snapshot) => toHost(snapshot) ?? []).map((host) => [host.name, host]));
    },

    changeHost: async (name, decide) => {
      const { db, sdk } = await connected();
      const write = randomUUID();
      const reference = hosts(db).doc(name);
      return retryOnConflict(async () => {
        const [snapshot] = await read(db, reference);
        const current = toHost(snapshot);
        if (snapshot?.get('write') === write) return current;
        const next = decide(current);
        if (next === undefined || isDeepStrictEqual(next, current)) return current;
        assertSameHost(name, next);
        const batch = db.batch();
        const document = hostDocument(next, write);
        if (snapshot?.updateTime === undefined) batch.create(reference, document);
        else {
          const fields = { dueAt: sdk.FieldValue.delete(), ...document };
          batch.update(reference, fields, { lastUpdateTime: snapshot.updateTime });
        }
        return (await commit(batch)) === lostRace ? lostRace : next;
      }, random);
    },

    hostsDue: async (now, limit) => {
      const { db } = await connected();
      const overdue = hosts(db).where('dueAt', '<=', now).orderBy('dueAt');
      const found = await ask(overdue.select().limit(limit));
      return found.docs.map(({ id }) => id);
    },

    listing: async (names) => {
      const { db } = await connected();
      const teams = db.collection('teams');
      const found = await Promise.all(
        inGroupsOf(anyOfAtMost, [...new Set(names)]).map((group) =>
          ask(teams.where('egressHosts', 'array-contains-any', group).select()),
        ),
      );
      return [...new Set(found.flatMap(({ docs }) => docs.map(({ id }) => id)))].toSorted();
    },
  };
};
