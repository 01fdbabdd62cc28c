import type {
  DocumentReference,
  DocumentSnapshot,
  Firestore,
  Query,
  QuerySnapshot,
  Settings,
  WriteBatch,
} from '@google-cloud/firestore';
import { Unavailable } from '../ports/unavailable.ts';
import { lostRace, type Random } from './contention.ts';

export type Sdk = typeof import('@google-cloud/firestore');

export interface FirestoreOptions {
  readonly projectId: string;
  /** Default: the project’s `(default)` database. */
  readonly databaseId?: string;
  /** How long one call may take, the client’s own retries included. */
  readonly deadlineMs?: number;
  readonly random?: Random;
  /** Creates the client; like all Google clients it honours FIRESTORE_EMULATOR_HOST. */
  readonly connect?: (sdk: Sdk, settings: Settings) => Firestore;
}

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

/** A commit whose precondition failed, or that conflicted with another writer. */
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

/** The error of a call that Firestore did not answer. */
export const unavailable = (cause?: unknown) =>
  new Unavailable('firestore', 'Firestore does not answer.', cause === undefined ? undefined : { cause });

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

/** Shared by the parts of the store: one client, created on first use, and a deadline for every call. */
export interface FirestoreConnection {
  readonly random: Random;
  connected(): Promise<{ readonly db: Firestore; readonly sdk: Sdk }>;
  /** In one request; the results are in the order of the references. */
  read(db: Firestore, ...references: readonly DocumentReference[]): Promise<readonly DocumentSnapshot[]>;
  ask(query: Query): Promise<QuerySnapshot>;
  /** How many documents the query finds, without reading them. */
  count(query: Query): Promise<number>;
  commit(batch: WriteBatch): Promise<'committed' | typeof lostRace>;
  close(): Promise<void>;
}

/** Connects with the first call. */
export const openFirestore = ({
  projectId,
  databaseId,
  deadlineMs = 5_000,
  random = Math.random,
  connect = (sdk, settings) => new sdk.Firestore(settings),
}: FirestoreOptions): FirestoreConnection => {
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

  /** The result within the deadline, else throws Unavailable. */
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

  return {
    random,
    connected,

    read: (db, ...references) => answered(db.getAll(...references)),

    ask: (query) => answered(query.get()),

    count: async (query) => (await answered(query.count().get())).data().count,

    commit: async (batch) => {
      try {
        await answered(batch.commit());
        return 'committed';
      } catch (error) {
        const code = statusOf(error instanceof Unavailable ? error.cause : error);
        if (lost.has(code)) return lostRace;
        throw error;
      }
    },

    close: async () => {
      if (connection === undefined) return;
      const { db } = await connection;
      const settled = Promise.allSettled(inFlight);
      await answered(settled).catch(() => {});
      // A client that is terminated during a retry causes an unhandled rejection.
      if (inFlight.size === 0) await answered(db.terminate());
    },
  };
};
