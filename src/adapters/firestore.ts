import { hash, randomUUID } from 'node:crypto';
import { isDeepStrictEqual } from 'node:util';
import type {
  DocumentData,
  DocumentReference,
  DocumentSnapshot,
  Firestore,
  QuerySnapshot,
  WriteBatch,
} from '@google-cloud/firestore';
import type { Catalogue } from '../model/catalogue.ts';
import type { Membership } from '../model/me.ts';
import type { Naming } from '../model/names.ts';
import { type CreationGuard, ownedBy, type Page, type Store } from '../ports/store.ts';
import { Unavailable } from '../ports/unavailable.ts';
import { lostRace, retryOnConflict } from './contention.ts';
import { type FirestoreOptions, openFirestore, unavailable } from './firestore-connection.ts';
import {
  type CreatorDocument,
  entryDocument,
  type IdDocument,
  listed,
  membershipsIn,
  parsed,
  type RemovalMarker,
  teamDocument,
  toItem,
  toRecord,
} from './firestore-documents.ts';
import { firestoreHosts } from './firestore-hosts.ts';
import { firestoreIdempotency } from './firestore-idempotency.ts';
import { firestoreOperations } from './firestore-operations.ts';
import { finishRemoval } from './firestore-removal.ts';
import { assertSameTeam } from './invariants.ts';
import { namesIn, upgradedCatalogue } from './upgrade.ts';

/** Stored as one JSON text: no query reads it, and Firestore does not support its nested lists. */
const toCatalogue = (snapshot: DocumentSnapshot | undefined): Catalogue | undefined => {
  const json: unknown = snapshot?.get('json');
  return typeof json === 'string' ? upgradedCatalogue(JSON.parse(json)) : undefined;
};

/** `found` holds one more than the page when there is another page. */
const page = <T>(
  { docs }: QuerySnapshot,
  limit: number,
  toItems: (snapshot: DocumentSnapshot) => readonly T[],
): Page<T> => {
  const shown = docs.slice(0, limit);
  const last = shown.at(-1);
  const items = shown.flatMap(toItems);
  return docs.length > limit && last !== undefined ? { items, next: last.id } : { items };
};

export interface FirestoreStoreOptions extends FirestoreOptions {
  /** For teams that were stored before their names were. */
  readonly naming: Naming;
}

/**
 * The store in Firestore. Writes are batches with the version that was read as precondition, not the client’s own
 * transactions, whose backoff starts at seconds. After the deadline the outcome of a call is unknown: the commit may
 * still succeed, but never overwrites a write that it has not read.
 */
export const openFirestoreStore = ({ naming, ...options }: FirestoreStoreOptions): Store => {
  const connection = openFirestore(options);
  const { random, connected, read, ask, count, commit } = connection;

  const teamReference = (db: Firestore, slug: string) => db.collection('teams').doc(slug);
  const idReference = (db: Firestore, id: string) => db.collection('ids').doc(id);
  const catalogueReference = (db: Firestore) => db.collection('catalogue').doc('current');
  const creatorReference = (db: Firestore, email: string) =>
    db.collection('creators').doc(hash('sha256', email));
  const entries = (db: Firestore, slug: string) => teamReference(db, slug).collection('history');

  const membershipsOf = async (email: string): Promise<readonly Membership[]> => {
    const { db, sdk } = await connected();
    const ofPerson = db.collection('teams').where('memberEmails', 'array-contains', email);
    const found = await ask(ofPerson.orderBy(sdk.FieldPath.documentId()).select('record.members'));
    return found.docs.flatMap((snapshot) => membershipsIn(snapshot, email));
  };

  const teamCount = async (): Promise<number> => {
    const { db } = await connected();
    // The marker of a removal has no slug.
    return count(db.collection('teams').orderBy('slug'));
  };

  /**
   * Checks the guard, and puts a write of the creator’s document into the batch, which fails if another creation by the
   * same person was committed after the counts were read.
   */
  const guarded = async (
    db: Firestore,
    batch: WriteBatch,
    { person, check }: CreationGuard,
    write: string,
  ): Promise<void> => {
    const creator = creatorReference(db, person);
    const [before] = await read(db, creator);
    const [memberships, teams] = await Promise.all([membershipsOf(person), teamCount()]);
    check({ owned: ownedBy(memberships), teams });
    const document = { write } satisfies CreatorDocument;
    if (before?.updateTime === undefined) batch.create(creator, document);
    else batch.update(creator, document, { lastUpdateTime: before.updateTime });
  };

  return {
    ...firestoreOperations(connection),
    ...firestoreHosts(connection),
    ...firestoreIdempotency(connection),

    create: async (record, event, guard) => {
      const { db } = await connected();
      const write = randomUUID();
      const team = teamReference(db, record.slug);
      const id = idReference(db, record.id);
      return retryOnConflict(async () => {
        const batch = db.batch();
        if (guard !== undefined) await guarded(db, batch, guard, write);
        batch.create(team, teamDocument(record, 1, write));
        batch.create(entries(db, record.slug).doc('1'), entryDocument(1, event, write));
        batch.create(id, { slug: record.slug, gone: false, write } satisfies IdDocument);
        if ((await commit(batch)) === 'committed') return 'created';
        const [teamFound, idFound] = await read(db, team, id);
        if (idFound?.get('write') === write) return 'created';
        const found = teamFound && parsed(teamFound);
        if (found !== undefined && 'removing' in found) {
          await finishRemoval(connection, team);
          return lostRace;
        }
        if (found !== undefined) return 'slug_taken';
        return idFound?.exists ? 'id_taken' : lostRace;
      }, random);
    },

    team: async (slug) => {
      const { db } = await connected();
      const [snapshot] = await read(db, teamReference(db, slug));
      return snapshot && listed(snapshot, naming)[0];
    },

    change: async (slug, decide) => {
      const { db, sdk } = await connected();
      const write = randomUUID();
      const team = teamReference(db, slug);
      let tried: DocumentReference | undefined;
      return retryOnConflict(async () => {
        const [snapshot, entry] = await read(db, team, ...(tried === undefined ? [] : [tried]));
        const stored = snapshot && parsed(snapshot);
        if (snapshot?.updateTime === undefined || stored === undefined || 'removing' in stored)
          return undefined;
        const current = toRecord(stored, naming);
        if (stored.write === write || entry?.get('write') === write) return current;
        const decision = decide(current);
        if (decision === undefined) return current;
        const { next, event } = decision;
        assertSameTeam(current, next);
        if (event === undefined && isDeepStrictEqual(next, current)) return current;
        const n = stored.entries + 1;
        const batch = db.batch();
        const fields: DocumentData = {
          cullingDueAt: sdk.FieldValue.delete(),
          platformHash: sdk.FieldValue.delete(),
          degradedOn: sdk.FieldValue.delete(),
          ...teamDocument(next, event === undefined ? stored.entries : n, write),
        };
        batch.update(team, fields, { lastUpdateTime: snapshot.updateTime });
        if (event !== undefined) {
          tried = entries(db, slug).doc(String(n));
          batch.create(tried, entryDocument(n, event, write));
        }
        return (await commit(batch)) === lostRace ? lostRace : next;
      }, random);
    },

    remove: async (slug, { id, generation }) => {
      const { db, sdk } = await connected();
      const write = randomUUID();
      const team = teamReference(db, slug);
      const outcome = await retryOnConflict(async () => {
        const [snapshot] = await read(db, team);
        const stored = snapshot && parsed(snapshot);
        if (snapshot?.updateTime === undefined || stored === undefined) return 'absent';
        if ('removing' in stored) return stored.write === write ? 'removed' : 'absent';
        if (stored.record.id !== id || stored.record.generation !== generation) return 'moved';
        const unset = Object.keys(stored).map((field) => [field, sdk.FieldValue.delete()]);
        const batch = db.batch();
        batch.update(
          team,
          { ...Object.fromEntries(unset), ...({ removing: id, write } satisfies RemovalMarker) },
          { lastUpdateTime: snapshot.updateTime },
        );
        batch.set(idReference(db, id), { slug, gone: true, write } satisfies IdDocument);
        return (await commit(batch)) === lostRace ? lostRace : 'removed';
      }, random);
      if (outcome !== 'moved') await finishRemoval(connection, team);
      return outcome;
    },

    isTombstone: async (id) => {
      const { db } = await connected();
      const [snapshot] = await read(db, idReference(db, id));
      return snapshot?.get('gone') === true;
    },

    teams: async ({ member, phase, slugPrefix = '', limit, after }) => {
      const { db, sdk } = await connected();
      const teams = db.collection('teams');
      const ofMember = member === undefined ? teams : teams.where('memberEmails', 'array-contains', member);
      const inPhase = phase === undefined ? ofMember : ofMember.where('phase', '==', phase);
      // With equality alone, the indexes of single fields are merged in the order of the document ids.
      const ordered =
        member === undefined && phase === undefined
          ? teams.orderBy('slug')
          : inPhase.orderBy(sdk.FieldPath.documentId());
      const from =
        after !== undefined && after >= slugPrefix
          ? ordered.startAfter(after)
          : slugPrefix === ''
            ? ordered
            : ordered.startAt(slugPrefix);
      const rest = slugPrefix === '' ? from : from.endBefore(`${slugPrefix}~`);
      return page(await ask(rest.limit(limit + 1)), limit, (snapshot) => listed(snapshot, naming));
    },

    memberships: membershipsOf,

    countTeams: teamCount,

    due: async (now, limit) => {
      const { db } = await connected();
      const found = await ask(
        db.collection('teams').where('dueAt', '<=', now).orderBy('dueAt').select().limit(limit),
      );
      return found.docs.map(({ id }) => id);
    },

    outdated: async (platformHash, limit) => {
      const { db } = await connected();
      const found = await ask(
        db
          .collection('teams')
          .where('platformHash', '!=', platformHash)
          .orderBy('platformHash')
          .select()
          .limit(limit),
      );
      return found.docs.map(({ id }) => id);
    },

    degraded: async (platformHash, limit) => {
      const { db } = await connected();
      const found = await ask(
        db.collection('teams').where('degradedOn', '==', platformHash).select().limit(limit),
      );
      return found.docs.map(({ id }) => id);
    },

    restricted: async () => {
      const { db } = await connected();
      // A team that has opted in names hosts, at least those of Google’s APIs.
      const optedIn = db.collection('teams').where('egressHosts', '!=', []);
      const found = await ask(
        optedIn.select('slug', 'record.id', 'record.names.namespace', 'record.status.policies'),
      );
      return found.docs.map((snapshot) => {
        const identity = { slug: snapshot.id, id: String(snapshot.get('record.id')) };
        return {
          ...identity,
          namespace: snapshot.get('record.names.namespace') ?? namesIn(identity, naming).namespace,
          policies: snapshot.get('record.status.policies') ?? null,
        };
      });
    },

    cullingDue: async (now, limit) => {
      const { db } = await connected();
      const overdue = db.collection('teams').where('cullingDueAt', '<=', now).orderBy('cullingDueAt');
      const found = await ask(overdue.select().limit(limit));
      return found.docs.map(({ id }) => id);
    },

    history: async (slug, { limit, before }) => {
      const { db } = await connected();
      const newestFirst = entries(db, slug).orderBy('n', 'desc');
      const rest = before === undefined ? newestFirst : newestFirst.startAfter(before);
      return page(await ask(rest.limit(limit + 1)), limit, (snapshot) => [toItem(snapshot)]);
    },

    notebookRevision: async (slug, revision) => {
      const { db } = await connected();
      const found = await ask(
        entries(db, slug).where('specRevision', '==', revision).orderBy('n', 'desc').limit(1),
      );
      return found.docs.map(toItem)[0];
    },

    catalogue: async () => {
      const { db } = await connected();
      const [snapshot] = await read(db, catalogueReference(db));
      return toCatalogue(snapshot);
    },

    changeCatalogue: async (decide) => {
      const { db } = await connected();
      const reference = catalogueReference(db);
      return retryOnConflict(async () => {
        const [snapshot] = await read(db, reference);
        const current = toCatalogue(snapshot);
        const next = decide(current);
        if (next === undefined || isDeepStrictEqual(next, current)) return current;
        const batch = db.batch();
        const document = { json: JSON.stringify(next) };
        if (snapshot?.updateTime === undefined) batch.create(reference, document);
        else batch.update(reference, document, { lastUpdateTime: snapshot.updateTime });
        return (await commit(batch)) === lostRace ? lostRace : next;
      }, random);
    },

    ping: async () => {
      try {
        const { db } = await connected();
        await read(db, idReference(db, 'ping'));
      } catch (error) {
        throw error instanceof Unavailable ? error : unavailable(error);
      }
    },

    close: () => connection.close(),
  };
};
