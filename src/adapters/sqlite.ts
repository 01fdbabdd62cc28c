import { DatabaseSync, type SQLInputValue, type SQLOutputValue, type StatementSync } from 'node:sqlite';
import { isDeepStrictEqual } from 'node:util';
import type { Catalogue } from '../environments/catalogue.ts';
import type { HistoryItem } from '../notebooks/notebook.ts';
import { type Page, type Store, Unavailable } from '../ports.ts';
import type { HistoryEvent, TeamRecord } from '../record.ts';
import { lostRace, type Random, untilWon } from './contention.ts';

/** How long a writer may block the event loop for another process’s transaction; past it the wait is awaited. */
const busyTimeoutMs = 20;

/** Step n takes a file from `user_version` n to n + 1. Released steps never change. */
const migrations = [
  `CREATE TABLE teams (
     slug TEXT NOT NULL PRIMARY KEY,
     record TEXT NOT NULL,
     due_at TEXT NOT NULL GENERATED ALWAYS AS (record ->> '$.reconcile.dueAt') STORED,
     platform_hash TEXT GENERATED ALWAYS AS (record ->> '$.release.platformHash') STORED,
     degraded_on TEXT GENERATED ALWAYS AS (
       iif(record ->> '$.status.phase' = 'Degraded', record ->> '$.release.platformHash', NULL)
     ) STORED
   ) STRICT;
   CREATE INDEX teams_due ON teams (due_at, slug);
   CREATE INDEX teams_platform ON teams (platform_hash, slug);
   CREATE INDEX teams_degraded ON teams (degraded_on, slug) WHERE degraded_on IS NOT NULL;
   CREATE TABLE members (
     email TEXT NOT NULL,
     slug TEXT NOT NULL REFERENCES teams ON DELETE CASCADE,
     PRIMARY KEY (email, slug)
   ) STRICT, WITHOUT ROWID;
   CREATE INDEX members_team ON members (slug);
   CREATE TABLE history (
     slug TEXT NOT NULL REFERENCES teams ON DELETE CASCADE,
     n INTEGER NOT NULL,
     event TEXT NOT NULL,
     spec_revision INTEGER GENERATED ALWAYS AS (iif(event -> '$.spec' IS NULL, NULL, event ->> '$.revision')) STORED,
     PRIMARY KEY (slug, n)
   ) STRICT;
   CREATE INDEX history_spec ON history (slug, spec_revision, n);
   CREATE TABLE ids (
     id TEXT NOT NULL PRIMARY KEY,
     gone INTEGER NOT NULL DEFAULT 0
   ) STRICT, WITHOUT ROWID;
   CREATE TABLE catalogue (
     name TEXT NOT NULL PRIMARY KEY,
     document TEXT NOT NULL
   ) STRICT, WITHOUT ROWID;`,
];

/** Every statement of this adapter; the tests ask SQLite how it would answer each of them. */
export const statements = {
  team: 'SELECT record FROM teams WHERE slug = ?',
  insertTeam: 'INSERT INTO teams (slug, record) VALUES (?, ?)',
  updateTeam: 'UPDATE teams SET record = ? WHERE slug = ?',
  deleteTeam: 'DELETE FROM teams WHERE slug = ?',
  insertMember: 'INSERT OR IGNORE INTO members (email, slug) VALUES (?, ?)',
  deleteMembers: 'DELETE FROM members WHERE slug = ?',
  newestEntry: 'SELECT coalesce(max(n), 0) AS n FROM history WHERE slug = ?',
  insertEntry: 'INSERT INTO history (slug, n, event) VALUES (?, ?, ?)',
  history: 'SELECT n, event FROM history WHERE slug = ? AND n < ? ORDER BY n DESC LIMIT ?',
  notebookRevision:
    'SELECT n, event FROM history WHERE slug = ? AND spec_revision = ? ORDER BY n DESC LIMIT 1',
  id: 'SELECT gone FROM ids WHERE id = ?',
  insertId: 'INSERT INTO ids (id) VALUES (?)',
  buryId: 'UPDATE ids SET gone = 1 WHERE id = ?',
  teams: 'SELECT slug, record FROM teams WHERE slug > ? ORDER BY slug LIMIT ?',
  teamsOfMember: `SELECT teams.slug, record FROM members JOIN teams USING (slug)
    WHERE email = ? AND members.slug > ? ORDER BY members.slug LIMIT ?`,
  due: 'SELECT slug FROM teams WHERE due_at <= ? ORDER BY due_at, slug LIMIT ?',
  // As two ranges, because SQLite answers <> with a scan.
  outdated: `SELECT slug, platform_hash FROM teams WHERE platform_hash < ?1
    UNION ALL SELECT slug, platform_hash FROM teams WHERE platform_hash > ?1
    ORDER BY platform_hash, slug LIMIT ?2`,
  degraded: 'SELECT slug FROM teams WHERE degraded_on = ? ORDER BY slug LIMIT ?',
  catalogue: "SELECT document FROM catalogue WHERE name = 'current'",
  setCatalogue:
    "INSERT INTO catalogue (name, document) VALUES ('current', ?1) ON CONFLICT DO UPDATE SET document = ?1",
  ping: 'SELECT count(*) FROM pragma_user_version',
} as const;

type Row = Readonly<Record<string, SQLOutputValue>>;

const text = (row: Row, column: string): string => {
  const value = row[column];
  if (typeof value !== 'string') throw new TypeError(`Column ${column} holds no text.`);
  return value;
};

const integer = (row: Row, column: string): number => {
  const value = row[column];
  if (typeof value !== 'number') throw new TypeError(`Column ${column} holds no integer.`);
  return value;
};

const toRecord = (row: Row): TeamRecord => JSON.parse(text(row, 'record'));

const toItem = (row: Row): HistoryItem => {
  const event: HistoryEvent = JSON.parse(text(row, 'event'));
  return { n: integer(row, 'n'), ...event };
};

/** SQLite’s primary result code (sqlite.org/rescode.html) of what was thrown, if it is SQLite’s. */
const resultCode = (error: unknown): number | undefined =>
  error instanceof Error && 'errcode' in error && typeof error.errcode === 'number'
    ? error.errcode & 0xff
    : undefined;

const busy = new Set([5, 6]); // SQLITE_BUSY, SQLITE_LOCKED
const away = new Set([8, 10, 13, 14, 15]); // SQLITE_READONLY, _IOERR, _FULL, _CANTOPEN, _PROTOCOL

export interface SqliteOptions {
  /** A path, or `:memory:`. The folder must exist. */
  readonly file: string;
  readonly random?: Random;
}

/**
 * The store in one SQLite file, for laptops, tests and the sandbox; several processes may share it. The file
 * is opened at once (throws when it cannot be) and brought to the newest schema by the first call.
 */
export const openSqliteStore = ({ file, random = Math.random }: SqliteOptions): Store => {
  const db = new DatabaseSync(file, { timeout: busyTimeoutMs });
  const prepared = new Map<keyof typeof statements, StatementSync>();
  let migrated = false;

  const sql = (name: keyof typeof statements): StatementSync => {
    const statement = prepared.get(name) ?? db.prepare(statements[name]);
    prepared.set(name, statement);
    return statement;
  };
  const all = (name: keyof typeof statements, ...values: SQLInputValue[]) => sql(name).all(...values);
  const get = (name: keyof typeof statements, ...values: SQLInputValue[]) => sql(name).get(...values);
  const run = (name: keyof typeof statements, ...values: SQLInputValue[]) => sql(name).run(...values);

  /** The write lock is taken before the first read, so what is decided on cannot move. */
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
    untilWon(() => {
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

  const insertMembers = ({ slug, members }: TeamRecord) => {
    for (const { email } of members) run('insertMember', email, slug);
  };

  const appendEntry = (slug: string, event: HistoryEvent) => {
    const newest = integer(get('newestEntry', slug) ?? {}, 'n');
    run('insertEntry', slug, newest + 1, JSON.stringify(event));
  };

  /** `rows` holds one more than the page when there is another page. */
  const page = <T>(rows: readonly Row[], limit: number, toItem: (row: Row) => T, cursor: string): Page<T> => {
    const shown = rows.slice(0, limit);
    const last = shown.at(-1);
    const items = shown.map(toItem);
    return rows.length > limit && last !== undefined ? { items, next: String(last[cursor]) } : { items };
  };

  const catalogueNow = (): Catalogue | undefined => {
    const row = get('catalogue');
    return row && JSON.parse(text(row, 'document'));
  };

  return {
    create: (record, event) =>
      untilFree(() =>
        transaction(() => {
          if (get('team', record.slug) !== undefined) return 'slug_taken';
          if (get('id', record.id) !== undefined) return 'id_taken';
          run('insertTeam', record.slug, JSON.stringify(record));
          run('insertId', record.id);
          insertMembers(record);
          appendEntry(record.slug, event);
          return 'created';
        }),
      ),

    team: (slug) =>
      untilFree(() => {
        const row = get('team', slug);
        return row && toRecord(row);
      }),

    change: (slug, decide) =>
      untilFree(() =>
        transaction(() => {
          const row = get('team', slug);
          if (row === undefined) return undefined;
          const current = toRecord(row);
          const decision = decide(current);
          if (decision === undefined) return current;
          const { next, event } = decision;
          if (next.slug !== slug || next.id !== current.id)
            throw new TypeError('A team keeps its slug and its id.');
          if (event === undefined && isDeepStrictEqual(next, current)) return current;
          run('updateTeam', JSON.stringify(next), slug);
          if (!isDeepStrictEqual(next.members, current.members)) {
            run('deleteMembers', slug);
            insertMembers(next);
          }
          if (event !== undefined) appendEntry(slug, event);
          return next;
        }),
      ),

    remove: (slug, { id, generation }) =>
      untilFree(() =>
        transaction(() => {
          const row = get('team', slug);
          if (row === undefined) return 'absent';
          const current = toRecord(row);
          if (current.id !== id || current.generation !== generation) return 'moved';
          run('deleteTeam', slug);
          run('buryId', current.id);
          return 'removed';
        }),
      ),

    isTombstone: (id) => untilFree(() => get('id', id)?.gone === 1),

    teams: ({ member, limit, after = '' }) =>
      untilFree(() => {
        const rows =
          member === undefined
            ? all('teams', after, limit + 1)
            : all('teamsOfMember', member, after, limit + 1);
        return page(rows, limit, toRecord, 'slug');
      }),

    due: (now, limit) => untilFree(() => all('due', now, limit).map((row) => text(row, 'slug'))),

    degraded: (platformHash, limit) =>
      untilFree(() => all('degraded', platformHash, limit).map((row) => text(row, 'slug'))),

    outdated: (platformHash, limit) =>
      untilFree(() => all('outdated', platformHash, limit).map((row) => text(row, 'slug'))),

    history: (slug, { limit, before = Number.MAX_SAFE_INTEGER }) =>
      untilFree(() => page(all('history', slug, before, limit + 1), limit, toItem, 'n')),

    notebookRevision: (slug, revision) =>
      untilFree(() => {
        const row = get('notebookRevision', slug, revision);
        return row && toItem(row);
      }),

    catalogue: () => untilFree(catalogueNow),

    changeCatalogue: (decide) =>
      untilFree(() =>
        transaction(() => {
          const current = catalogueNow();
          const next = decide(current);
          if (next === undefined || isDeepStrictEqual(next, current)) return current;
          run('setCatalogue', JSON.stringify(next));
          return next;
        }),
      ),

    ping: () =>
      untilFree(() => {
        get('ping');
      }),

    close: async () => {
      if (db.isOpen) db.close();
    },
  };
};
