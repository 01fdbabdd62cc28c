import assert from 'node:assert/strict';
import type { TestContext } from 'node:test';
import { openSqliteStore } from '../../src/adapters/sqlite.ts';
import type { CullingSpec } from '../../src/culling/activity.ts';
import { type CullDeps, cull } from '../../src/culling/cull.ts';
import type { TeamRecord } from '../../src/model/record.ts';
import { aMoment, aNaming, aNotebook, anEvent, anOrderedRecord, aSpec } from '../support/records.ts';
import { hubsUnderTest, type ServerUnderTest } from './hubs.ts';

export const [second, minute, hour, day] = [1000, 60_000, 3_600_000, 86_400_000];
export const start = Date.parse(aMoment);
export const after = (ms: number): string => new Date(start + ms).toISOString();
export const ago = (ms: number): string => after(-ms);
export const kari = 'kari.nordmann@nav.no';
export const ola = 'ola.nordmann@nav.no';
export const hourly: CullingSpec = { timeoutSeconds: 3600, maxAgeSeconds: 604_800, keepBusyKernels: true };

/** A team whose hub is due to be asked. */
export const aTeam = (overrides: Partial<TeamRecord> = {}, culling: Partial<CullingSpec> = {}): TeamRecord =>
  anOrderedRecord({
    notebook: aNotebook({ spec: aSpec({ culling: { ...hourly, ...culling } }) }),
    culling: { dueAt: aMoment, servers: {} },
    ...overrides,
  });

export const idle = (overrides: Partial<ServerUnderTest> = {}): ServerUnderTest => ({
  startedAt: ago(3 * hour),
  lastActivityAt: ago(62 * minute),
  ...overrides,
});
export const inUse = (): ServerUnderTest => idle({ lastActivityAt: ago(10 * minute) });

export const aWorld = async (t: TestContext, teams: readonly TeamRecord[] = [aTeam()]) => {
  const store = openSqliteStore({ file: ':memory:', naming: aNaming });
  t.after(() => store.close());
  for (const team of teams) await store.create(team, anEvent());
  const hubs = hubsUnderTest();
  const logged: (readonly [event: string, fields: object])[] = [];
  const note = (fields: object, event: string) => void logged.push([event, fields]);
  let now = start;
  const deps: CullDeps = {
    store,
    hubs: hubs.hubs,
    clock: { now: () => now },
    log: { info: note, warn: note, error: note },
  };
  const record = async (slug = 'team-a') => {
    const team = await store.team(slug);
    assert.ok(team !== undefined, slug);
    return team;
  };
  return {
    ...hubs,
    deps,
    store,
    logged,
    record,
    culling: async (slug?: string) => (await record(slug)).culling,
    pass: (overrides: Partial<CullDeps> = {}) => cull({ ...deps, ...overrides }),
    wait: (ms: number) => {
      now += ms;
    },
    /** What was asked of the hubs since the last time. */
    news: () => hubs.asked.splice(0).toSorted(),
    culled: async (slug = 'team-a') => {
      const { items } = await store.history(slug, { limit: 100 });
      return items.filter(({ action }) => action === 'server_culled');
    },
    extend: (user: string, until: string) =>
      store.change('team-a', (team) => ({
        next: {
          ...team,
          culling: {
            ...team.culling,
            servers: {
              ...team.culling.servers,
              [user]: { ...team.culling.servers[user], extendedUntil: until },
            },
          },
        },
      })),
  };
};

export const nothing = { hubsAsked: 0, stopped: 0, postponed: 0, failed: 0 };
