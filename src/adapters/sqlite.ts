import { isDeepStrictEqual } from 'node:util';
import type { Catalogue } from '../model/catalogue.ts';
import type { HistoryEvent, HistoryRecord } from '../model/history.ts';
import type { Membership } from '../model/me.ts';
import type { Naming } from '../model/names.ts';
import type { TeamRecord } from '../model/record.ts';
import { ownedBy, type Page, type Store } from '../ports/store.ts';
import type { Random } from './contention.ts';
import { assertSameTeam } from './invariants.ts';
import { integer, openSqlite, type Row, text } from './sqlite-connection.ts';
import { sqliteHosts } from './sqlite-hosts.ts';
import { sqliteIdempotency } from './sqlite-idempotency.ts';
import { sqliteOperations } from './sqlite-operations.ts';
import {
  membershipIn,
  namesIn,
  type StoredEvent,
  type StoredMember,
  upgraded,
  upgradedCatalogue,
  upgradedEvent,
} from './upgrade.ts';

const toItem = (row: Row): HistoryRecord => {
  const event: StoredEvent = JSON.parse(text(row, 'event'));
  return { n: integer(row, 'n'), ...upgradedEvent(event) };
};

/** `rows` holds one more than the page when there is another page. */
const page = <T>(rows: readonly Row[], limit: number, toItem: (row: Row) => T, cursor: string): Page<T> => {
  const shown = rows.slice(0, limit);
  const last = shown.at(-1);
  const items = shown.map(toItem);
  return rows.length > limit && last !== undefined ? { items, next: String(last[cursor]) } : { items };
};

/** Sorts after every character of a slug. */
const afterSlugs = '~';

export interface SqliteOptions {
  /** A path, or `:memory:`. The folder must exist. */
  readonly file: string;
  /** For teams that were stored before their names were. */
  readonly naming: Naming;
  readonly random?: Random;
}

/**
 * The store in one SQLite file, for laptops, tests and the sandbox; several processes may share it. Opens the file at
 * once (throws when it cannot); the first call migrates it to the newest schema.
 */
export const openSqliteStore = ({ file, naming, random = Math.random }: SqliteOptions): Store => {
  const connection = openSqlite(file, random);
  const { all, get, run, read, write } = connection;
  const toRecord = (row: Row): TeamRecord => upgraded(JSON.parse(text(row, 'record')), naming);

  const insertMembers = ({ slug, members }: TeamRecord) => {
    for (const { email } of members) run('insertMember', email, slug);
  };

  const insertListings = ({ slug, egressHosts }: TeamRecord) => {
    for (const host of egressHosts) run('insertListing', host, slug);
  };

  const appendEntry = (slug: string, event: HistoryEvent) => {
    const newest = integer(get('newestEntry', slug) ?? {}, 'n');
    run('insertEntry', slug, newest + 1, JSON.stringify(event));
  };

  const catalogueNow = (): Catalogue | undefined => {
    const row = get('catalogue');
    return row && upgradedCatalogue(JSON.parse(text(row, 'document')));
  };

  const membershipsOf = (email: string): readonly Membership[] =>
    all('memberships', email).flatMap((row) => {
      const members: readonly StoredMember[] = JSON.parse(text(row, 'members'));
      return membershipIn(text(row, 'slug'), members, email);
    });

  const teamCount = (): number => integer(get('countTeams') ?? {}, 'n');

  return {
    ...sqliteOperations(connection),
    ...sqliteHosts(connection),
    ...sqliteIdempotency(connection),

    create: (record, event, guard) =>
      write(() => {
        guard?.check({ owned: ownedBy(membershipsOf(guard.person)), teams: teamCount() });
        if (get('teamExists', record.slug) !== undefined) return 'slug_taken';
        if (get('id', record.id) !== undefined) return 'id_taken';
        run('insertTeam', record.slug, JSON.stringify(record));
        run('insertId', record.id);
        insertMembers(record);
        insertListings(record);
        appendEntry(record.slug, event);
        return 'created';
      }),

    team: (slug) =>
      read(() => {
        const row = get('team', slug);
        return row && toRecord(row);
      }),

    change: (slug, decide) =>
      write(() => {
        const row = get('team', slug);
        if (row === undefined) return undefined;
        const current = toRecord(row);
        const decision = decide(current);
        if (decision === undefined) return current;
        const { next, event } = decision;
        assertSameTeam(current, next);
        if (event === undefined && isDeepStrictEqual(next, current)) return current;
        run('updateTeam', JSON.stringify(next), slug);
        if (!isDeepStrictEqual(next.members, current.members)) {
          run('deleteMembers', slug);
          insertMembers(next);
        }
        if (!isDeepStrictEqual(next.egressHosts, current.egressHosts)) {
          run('deleteListings', slug);
          insertListings(next);
        }
        if (event !== undefined) appendEntry(slug, event);
        return next;
      }),

    remove: (slug, { id, generation }) =>
      write(() => {
        const row = get('team', slug);
        if (row === undefined) return 'absent';
        const current = toRecord(row);
        if (current.id !== id || current.generation !== generation) return 'moved';
        run('deleteTeam', slug);
        run('buryId', current.id);
        return 'removed';
      }),

    isTombstone: (id) => read(() => get('id', id)?.gone === 1),

    teams: ({ member, phase, slugPrefix = '', limit, after = '' }) =>
      read(() => {
        const range = [slugPrefix, after, `${slugPrefix}${afterSlugs}`, limit + 1] as const;
        const rows =
          member !== undefined
            ? all('teamsOfMember', ...range, member, phase ?? null)
            : phase !== undefined
              ? all('teamsInPhase', ...range, phase)
              : all('teams', ...range);
        return page(rows, limit, toRecord, 'slug');
      }),

    memberships: (email) => read(() => membershipsOf(email)),

    countTeams: () => read(teamCount),

    due: (now, limit) => read(() => all('due', now, limit).map((row) => text(row, 'slug'))),

    degraded: (platformHash, limit) =>
      read(() => all('degraded', platformHash, limit).map((row) => text(row, 'slug'))),

    outdated: (platformHash, limit) =>
      read(() => all('outdated', platformHash, limit).map((row) => text(row, 'slug'))),

    restricted: () =>
      read(() =>
        all('restricted').map((row) => {
          const identity = { slug: text(row, 'slug'), id: text(row, 'restricted_id') };
          return {
            ...identity,
            namespace: row.namespace === null ? namesIn(identity, naming).namespace : text(row, 'namespace'),
            policies: row.policies === null ? null : text(row, 'policies'),
          };
        }),
      ),

    cullingDue: (now, limit) => read(() => all('cullingDue', now, limit).map((row) => text(row, 'slug'))),

    history: (slug, { limit, before = Number.MAX_SAFE_INTEGER }) =>
      read(() => page(all('history', slug, before, limit + 1), limit, toItem, 'n')),

    notebookRevision: (slug, revision) =>
      read(() => {
        const row = get('notebookRevision', slug, revision);
        return row && toItem(row);
      }),

    catalogue: () => read(catalogueNow),

    changeCatalogue: (decide) =>
      write(() => {
        const current = catalogueNow();
        const next = decide(current);
        if (next === undefined || isDeepStrictEqual(next, current)) return current;
        run('setCatalogue', JSON.stringify(next));
        return next;
      }),

    ping: () =>
      read(() => {
        get('ping');
      }),

    close: async () => {
      connection.close();
    },
  };
};
