import { DatabaseSync, type SQLInputValue, type SQLOutputValue, type StatementSync } from 'node:sqlite';
import { Unavailable } from '../ports/unavailable.ts';
import { lostRace, type Random, retryOnConflict } from './contention.ts';
import { migrations, statements } from './sqlite-schema.ts';

/** How long a writer may block the event loop for another process’s transaction; after that it waits asynchronously. */
const busyTimeoutMs = 20;

export type Row = Readonly<Record<string, SQLOutputValue>>;

export const text = (row: Row, column: string): string => {
  const value = row[column];
  if (typeof value !== 'string') throw new TypeError(`Column ${column} holds no text.`);
  return value;
};

export const integer = (row: Row, column: string): number => {
  const value = row[column];
  if (typeof value !== 'number') throw new TypeError(`Column ${column} holds no integer.`);
  return value;
};

/** SQLite’s primary result code (sqlite.org/rescode.html) of what was thrown, if it is SQLite’s. */
const resultCode = (error: unknown): number | undefined =>
  error instanceof Error && 'errcode' in error && typeof error.errcode === 'number'
    ? error.errcode & 0xff
    : undefined;

const busy = new Set([5, 6]); // SQLITE_BUSY, SQLITE_LOCKED
const away = new Set([8, 10, 13, 14, 15]); // SQLITE_READONLY, _IOERR, _FULL, _CANTOPEN, _PROTOCOL

type Name = keyof typeof statements;

/** One SQLite file and its statements, which only functions run by `read` and `write` may use. */
export interface SqliteConnection {
  all(name: Name, ...values: SQLInputValue[]): readonly Row[];
  get(name: Name, ...values: SQLInputValue[]): Row | undefined;
  run(name: Name, ...values: SQLInputValue[]): void;
  /** Throws Unavailable when the file cannot be read. */
  read<T>(work: () => T): Promise<T>;
  /**
   * Runs in a transaction, which is rolled back if `work` throws. It takes the write lock before the first read, so what
   * is read cannot change. Throws Problem `busy` when another process holds the lock for too long.
   */
  write<T>(work: () => T): Promise<T>;
  close(): void;
}

/** Opens the file at once (throws when it cannot); the first call migrates it to the newest schema. */
export const openSqlite = (file: string, random: Random): SqliteConnection => {
  const db = new DatabaseSync(file, { timeout: busyTimeoutMs });
  const prepared = new Map<Name, StatementSync>();
  let migrated = false;

  const sql = (name: Name): StatementSync => {
    const statement = prepared.get(name) ?? db.prepare(statements[name]);
    prepared.set(name, statement);
    return statement;
  };

  const transaction = <T>(work: () => T): T => {
    db.exec('BEGIN IMMEDIATE');
    try {
      const outcome = work();
      db.exec('COMMIT');
      return outcome;
    } catch (error) {
      if (db.isTransaction) db.exec('ROLLBACK');
      throw error;
    }
  };

  const version = () => integer(db.prepare('PRAGMA user_version').get() ?? {}, 'user_version');

  const migrate = () => {
    db.exec('PRAGMA journal_mode = WAL; PRAGMA synchronous = FULL');
    if (version() !== migrations.length) {
      transaction(() => {
        // Read again: another process may have done it while this one waited for the lock.
        const from = version();
        if (from > migrations.length)
          throw new Error(`${file} was written by a newer version of this product.`);
        for (const step of migrations.slice(from)) db.exec(step);
        db.exec(`PRAGMA user_version = ${migrations.length}`);
      });
    }
    migrated = true;
  };

  const untilFree = <T>(work: () => T): Promise<T> =>
    retryOnConflict(() => {
      try {
        if (!migrated) migrate();
        return work();
      } catch (error) {
        const code = resultCode(error);
        if (code !== undefined && busy.has(code)) return lostRace;
        if (code !== undefined && away.has(code))
          throw new Unavailable('sqlite', `${file} cannot be read or written.`, { cause: error });
        throw error;
      }
    }, random);

  return {
    all: (name, ...values) => sql(name).all(...values),
    get: (name, ...values) => sql(name).get(...values),
    run: (name, ...values) => void sql(name).run(...values),
    read: untilFree,
    write: (work) => untilFree(() => transaction(work)),
    close: () => {
      if (db.isOpen) db.close();
    },
  };
};
