import { randomUUID } from 'node:crypto';
import { isDeepStrictEqual } from 'node:util';
import type {
  DocumentData,
  DocumentReference,
  DocumentSnapshot,
  Firestore,
  Query,
  QuerySnapshot,
  Settings,
  WriteBatch,
} from '@google-cloud/firestore';
import type { Catalogue } from '../environments/catalogue.ts';
import type { HistoryItem } from '../notebooks/notebook.ts';
import { type Page, type Store, Unavailable } from '../ports.ts';
import type { HistoryEvent, TeamRecord } from '../record.ts';
import { lostRace, type Random, untilWon } from './contention.ts';

type Sdk = typeof import('@google-cloud/firestore');

export interface FirestoreOptions {
  readonly projectId: string;
  /** Default: the project’s `(default)` database. */
  readonly databaseId?: string;
  /** How long one call may take, the client’s own retries included. */
  readonly deadlineMs?: number;
  readonly random?: Random;
  /** Makes the client; like every client of Google’s it honours FIRESTORE_EMULATOR_HOST. */
  readonly connect?: (sdk: Sdk, settings: Settings) => Firestore;
}

/**
 * `teams/{slug}`. Beside the record stand the fields that queries ask for, the number of history entries and
 * `write`, which names the call that wrote last: a client that sends a commit again after its answer was lost
 * is told that somebody else was faster, and finds out here that it was itself. `release` is JSON, because a
 * chart’s values may nest arrays and name fields in ways that Firestore refuses.
 */
interface TeamDocument {
  readonly slug: string;
  readonly record: Omit<TeamRecord, 'release'>;
  readonly release: string | null;
  readonly memberEmails: readonly string[];
  readonly dueAt: string;
  /** Absent without a release. */
  readonly platformHash?: string;
  /** The platform’s hash while the team is Degraded, else absent. */
  readonly degradedOn?: string;
  readonly entries: number;
  readonly write: string;
}

/**
 * What stands in `teams/{slug}` while the history of a removed team is deleted: it keeps the slug taken, so
 * that no new team meets the old one’s entries, and is in no query’s index. A removal that was interrupted is
 * completed by whoever meets its marker.
 */
interface RemovalMarker {
  readonly removing: string;
  readonly write: string;
}

/** `teams/{slug}/history/{n}`. `specRevision` is set on entries that carry a spec, for restore to find them. */
interface EntryDocument extends Omit<HistoryItem, 'changes' | 'spec'> {
  readonly changes: string;
  readonly spec?: string;
  readonly specRevision?: number;
  readonly write: string;
}

/** `ids/{id}`: taken for ever; `gone` once its team is. */
interface IdDocument {
  readonly slug: string;
  readonly gone: boolean;
  readonly write: string;
}

/** Deletes in one commit while a history is removed; Firestore’s clients document 500 writes. */
const removalPage = 400;

/** gRPC status codes (grpc.io/docs/guides/status-codes). */
const status = {
  cancelled: 1,
  unknown: 2,
  deadlineExceeded: 4,
  notFound: 5,
  alreadyExists: 6,
  resourceExhausted: 8,
  failedPrecondition: 9,
  aborted: 10,
  internal: 13,
  unavailable: 14,
} as const;

/** A commit whose precondition did not hold any more, or that met another writer. */
const lost: ReadonlySet<number | undefined> = new Set([
  status.notFound,
  status.alreadyExists,
  status.failedPrecondition,
  status.aborted,
]);

const away: ReadonlySet<number | undefined> = new Set([
  status.cancelled,
  status.unknown,
  status.deadlineExceeded,
  status.resourceExhausted,
  status.aborted,
  status.internal,
  status.unavailable,
]);

const statusOf = (error: unknown): number | undefined =>
  error instanceof Error && 'code' in error && typeof error.code === 'number' ? error.code : undefined;

const unavailable = (cause?: unknown) =>
  new Unavailable('firestore', 'Firestore does not answer.', cause === undefined ? undefined : { cause });

/** Plain JSON, which is what the other adapter keeps too: Firestore refuses undefined and class instances. */
const plain = <T>(value: T): T => JSON.parse(JSON.stringify(value));

const teamDocument = (record: TeamRecord, entries: number, write: string): TeamDocument => {
  const { release, ...rest } = record;
  return {
    slug: record.slug,
    record: plain(rest),
    release: release && JSON.stringify(release),
    memberEmails: record.members.map(({ email }) => email),
    dueAt: record.reconcile.dueAt,
    ...(release && { platformHash: release.platformHash }),
    ...(release && record.status.phase === 'Degraded' && { degradedOn: release.platformHash }),
    entries,
    write,
  };
};

const entryDocument = (n: number, event: HistoryEvent, write: string): EntryDocument => {
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

/** What nobody but this file writes is read back as what this file wrote. */
const parsed = (snapshot: DocumentSnapshot): TeamDocument | RemovalMarker | undefined =>
  snapshot.data() as TeamDocument | RemovalMarker | undefined;

const toRecord = ({ record, release }: TeamDocument): TeamRecord => ({
  ...record,
  release: release === null ? null : JSON.parse(release),
});

const listed = (snapshot: DocumentSnapshot): TeamRecord[] => {
  const found = parsed(snapshot);
  return found === undefined || 'removing' in found ? [] : [toRecord(found)];
};

const toItem = (snapshot: DocumentSnapshot): HistoryItem => {
  const { changes, spec, specRevision: _, write: __, ...rest } = snapshot.data() as EntryDocument;
  return { ...rest, changes: JSON.parse(changes), ...(spec !== undefined && { spec: JSON.parse(spec) }) };
};

/** Kept as one JSON text: nobody queries it, and its lists are deeper than Firestore’s. */
const toCatalogue = (snapshot: DocumentSnapshot | undefined): Catalogue | undefined => {
  const json: unknown = snapshot?.get('json');
  return typeof json === 'string' ? JSON.parse(json) : undefined;
};

/**
 * Ends each request on the wire after that time too; the client’s own limit is a minute, and it waits for what
 * is open when it is closed. See grpc.io/docs/guides/service-config.
 */
const serviceConfig = (timeoutMs: number) => {
  // As an object, because grpc-js reads the decimals of the string form as nanoseconds.
  const timeout = { seconds: Math.floor(timeoutMs / 1_000), nanos: (timeoutMs % 1_000) * 1_000_000 };
  return JSON.stringify({
    methodConfig: [{ name: [{ service: 'google.firestore.v1.Firestore' }], timeout }],
  });
};

/** Loaded on first use: the client costs a fifth of a second at start. In a bundle it is only its `default`. */
const load = async (): Promise<Sdk> => {
  const loaded = await import('@google-cloud/firestore');
  return 'Firestore' in loaded ? loaded : (loaded as { default: Sdk }).default;
};

/**
 * The store in Firestore. Writes are batches preconditioned on the version that was read, never the client’s
 * own transactions, whose back-off starts at seconds. When a call passes its deadline its outcome is unknown:
 * the commit may still land, though never over a write that it has not seen.
 */
export const openFirestoreStore = ({
  projectId,
  databaseId,
  deadlineMs = 5_000,
  random = Math.random,
  connect = (sdk, settings) => new sdk.Firestore(settings),
}: FirestoreOptions): Store => {
  let connection: Promise<{ readonly db: Firestore; readonly sdk: Sdk }> | undefined;

  const settings: Settings = {
    projectId,
    ...(databaseId !== undefined && { databaseId }),
    'grpc.service_config': serviceConfig(deadlineMs),
  };

  const connected = () => {
    connection ??= load().then((sdk) => ({ db: connect(sdk, settings), sdk }));
    return connection;
  };

  const inFlight = new Set<Promise<unknown>>();

  /** The answer within the deadline, else Unavailable. */
  const answered = async <T>(work: Promise<T>): Promise<T> => {
    inFlight.add(work);
    const forget = () => inFlight.delete(work);
    work.then(forget, forget);
    const expiry = Promise.withResolvers<never>();
    const timer = setTimeout(() => expiry.reject(unavailable()), deadlineMs);
    try {
      return await Promise.race([work, expiry.promise]);
    } catch (error) {
      throw away.has(statusOf(error)) ? unavailable(error) : error;
    } finally {
      clearTimeout(timer);
    }
  };

  const commit = async (batch: WriteBatch): Promise<'committed' | typeof lostRace> => {
    try {
      await answered(batch.commit());
      return 'committed';
    } catch (error) {
      const code = statusOf(error instanceof Unavailable ? error.cause : error);
      if (lost.has(code)) return lostRace;
      throw error;
    }
  };

  const read = (db: Firestore, ...references: [DocumentReference, ...DocumentReference[]]) =>
    answered(db.getAll(...references));

  const ask = (query: Query): Promise<QuerySnapshot> => answered(query.get());

  const teamReference = (db: Firestore, slug: string) => db.collection('teams').doc(slug);
  const idReference = (db: Firestore, id: string) => db.collection('ids').doc(id);
  const catalogueReference = (db: Firestore) => db.collection('catalogue').doc('current');
  const entries = (db: Firestore, slug: string) => teamReference(db, slug).collection('history');

  /** One page of a removed team’s history; the marker goes with the last. */
  const removePage = async (slug: string): Promise<'done' | 'more' | typeof lostRace> => {
    const { db } = await connected();
    const team = teamReference(db, slug);
    const [snapshot] = await read(db, team);
    const marker = snapshot && parsed(snapshot);
    if (snapshot?.updateTime === undefined || marker === undefined || !('removing' in marker)) return 'done';
    const page = await ask(entries(db, slug).select().limit(removalPage));
    const batch = db.batch();
    // Each with the version that was read: by now the slug may belong to a new team with entries of its own.
    for (const entry of page.docs) batch.delete(entry.ref, { lastUpdateTime: entry.updateTime });
    const more = page.size === removalPage;
    if (!more) batch.delete(team, { lastUpdateTime: snapshot.updateTime });
    if ((await commit(batch)) === lostRace) return lostRace;
    return more ? 'more' : 'done';
  };

  const finishRemoval = async (slug: string) => {
    let outcome: 'done' | 'more' = 'more';
    while (outcome === 'more') outcome = await untilWon(() => removePage(slug), random);
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

  return {
    create: async (record, event) => {
      const { db } = await connected();
      const write = randomUUID();
      const team = teamReference(db, record.slug);
      const id = idReference(db, record.id);
      return untilWon(async () => {
        const batch = db.batch();
        batch.create(team, teamDocument(record, 1, write));
        batch.create(entries(db, record.slug).doc('1'), entryDocument(1, event, write));
        batch.create(id, { slug: record.slug, gone: false, write } satisfies IdDocument);
        if ((await commit(batch)) === 'committed') return 'created';
        const [teamFound, idFound] = await read(db, team, id);
        if (idFound?.get('write') === write) return 'created';
        const found = teamFound && parsed(teamFound);
        if (found !== undefined && 'removing' in found) {
          await finishRemoval(record.slug);
          return lostRace;
        }
        if (found !== undefined) return 'slug_taken';
        return idFound?.exists ? 'id_taken' : lostRace;
      }, random);
    },

    team: async (slug) => {
      const { db } = await connected();
      const [snapshot] = await read(db, teamReference(db, slug));
      return snapshot && listed(snapshot)[0];
    },

    change: async (slug, decide) => {
      const { db, sdk } = await connected();
      const write = randomUUID();
      const team = teamReference(db, slug);
      let tried: DocumentReference | undefined;
      return untilWon(async () => {
        const [snapshot, entry] = await read(db, team, ...(tried === undefined ? [] : [tried]));
        const stored = snapshot && parsed(snapshot);
        if (snapshot?.updateTime === undefined || stored === undefined || 'removing' in stored)
          return undefined;
        const current = toRecord(stored);
        if (stored.write === write || entry?.get('write') === write) return current;
        const decision = decide(current);
        if (decision === undefined) return current;
        const { next, event } = decision;
        if (next.slug !== slug || next.id !== current.id)
          throw new TypeError('A team keeps its slug and its id.');
        if (event === undefined && isDeepStrictEqual(next, current)) return current;
        const n = stored.entries + 1;
        const batch = db.batch();
        const fields: DocumentData = {
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
      const outcome = await untilWon(async () => {
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
      if (outcome !== 'moved') await finishRemoval(slug);
      return outcome;
    },

    isTombstone: async (id) => {
      const { db } = await connected();
      const [snapshot] = await read(db, idReference(db, id));
      return snapshot?.get('gone') === true;
    },

    teams: async ({ member, limit, after }) => {
      const { db, sdk } = await connected();
      const teams = db.collection('teams');
      const ordered =
        member === undefined
          ? teams.orderBy('slug')
          : teams.where('memberEmails', 'array-contains', member).orderBy(sdk.FieldPath.documentId());
      const rest = after === undefined ? ordered : ordered.startAfter(after);
      return page(await ask(rest.limit(limit + 1)), limit, listed);
    },

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
      return untilWon(async () => {
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

    close: async () => {
      if (connection === undefined) return;
      const { db } = await connection;
      const settled = Promise.allSettled(inFlight);
      await answered(settled).catch(() => {});
      // A client that is terminated while it tries something again rejects where nobody can catch it.
      if (inFlight.size === 0) await answered(db.terminate());
    },
  };
};
