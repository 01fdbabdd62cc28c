import { isDeepStrictEqual } from 'node:util';
import type { HostRecord } from '../model/host.ts';
import type { HostStore } from '../ports/store.ts';
import { assertSameHost } from './invariants.ts';
import { type Row, type SqliteConnection, text } from './sqlite-connection.ts';

const toHost = (row: Row): HostRecord => JSON.parse(text(row, 'host'));

export const sqliteHosts = ({ all, get, run, read, write }: SqliteConnection): HostStore => ({
  hosts: (names) =>
    read(() => new Map(all('hosts', JSON.stringify(names)).map((row) => [text(row, 'name'), toHost(row)]))),

  changeHost: (name, decide) =>
    write(() => {
      const row = get('host', name);
      const current = row && toHost(row);
      const next = decide(current);
      if (next === undefined || isDeepStrictEqual(next, current)) return current;
      assertSameHost(name, next);
      run('setHost', name, JSON.stringify(next));
      return next;
    }),

  hostsDue: (now, limit) => read(() => all('hostsDue', now, limit).map((row) => text(row, 'name'))),

  listing: (hosts) =>
    read(() => {
      const slugs = all('listing', JSON.stringify(hosts)).map((row) => text(row, 'slug'));
      return [...new Set(slugs)].toSorted();
    }),
});
