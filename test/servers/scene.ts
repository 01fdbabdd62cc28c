import assert from 'node:assert/strict';
import { openSqliteStore } from '../../src/adapters/sqlite.ts';
import type { HistoryRecord } from '../../src/model/history.ts';
import type { OperationRecord } from '../../src/model/operation.ts';
import type { TeamRecord } from '../../src/model/record.ts';
import type { Member } from '../../src/model/team.ts';
import { advanceWith } from '../../src/servers/advance.ts';
import type { OperationDeps } from '../../src/servers/calls.ts';
import { serversWith } from '../../src/servers/servers.ts';
import { scriptedHub } from '../support/hubs.ts';
import { aMoment, aNaming, anEvent, anOrderedRecord } from '../support/records.ts';

interface After {
  after(cleanUp: () => Promise<unknown>): void;
}

export const kari = 'kari.nordmann@nav.no';
export const ola = 'ola';

const environments = ['3.12', '3.13'].map((python) => ({
  python,
  image: `europe-north1-docker.pkg.dev/knada-gcp/knada-north/jupyter:2026-11-20-abc-${python}`,
  digest: `sha256:${'a'.repeat(64)}`,
  drivers: [],
  default: python === '3.13',
}));

/** One team with a notebook and two members, its hub, and the hour that the test sets. */
export const aScene = async (
  t: After,
  overrides: Partial<TeamRecord> = {},
  speed: { readonly startMs?: number; readonly stopMs?: number } = {},
) => {
  const store = openSqliteStore({ file: ':memory:', naming: aNaming });
  t.after(() => store.close());
  let now = Date.parse(aMoment);
  const clock = { now: () => now };
  const members: readonly Member[] = [
    { email: kari, username: kari, role: 'owner' },
    { email: 'ola.nordmann@nav.no', username: ola, role: 'member' },
  ];
  const team = anOrderedRecord({ members, culling: { dueAt: aMoment, servers: {} }, ...overrides });
  assert.equal(await store.create(team, anEvent()), 'created');
  const hub = scriptedHub({ clock, team, ...speed });
  await hub.add(kari, ola);

  const pass = (seconds: number) => {
    now += seconds * 1_000;
    hub.settle();
  };

  let isConfirmed = true;
  let ids = 0;
  const log = { info: () => {}, warn: () => {} };
  const deps: OperationDeps = {
    store,
    hubs: hub.hubs,
    cluster: hub.cluster,
    clock,
    hubTimeoutMs: 50,
    log,
    access: {
      async prepare() {
        hub.calls.push('announce');
      },
      async isEffective() {
        hub.calls.push('confirm');
        return isConfirmed;
      },
    },
  };
  const another = (over: Partial<OperationDeps> = {}) =>
    serversWith(
      { ...deps, ...over },
      {
        environments: async () => environments,
        newId: () => {
          ids += 1;
          return `op-${ids.toString(16).padStart(16, '0')}`;
        },
        elapsedMs: clock.now,
        pause: async (ms) => pass(ms / 1_000),
      },
    );
  const { slug } = team;
  const record = async (): Promise<TeamRecord> => {
    const found = await store.team(slug);
    assert.ok(found);
    return found;
  };
  const stored = async ({ id }: Pick<OperationRecord, 'id'>): Promise<OperationRecord> => {
    const found = await store.operation(slug, id);
    assert.ok(found);
    return found;
  };
  return {
    slug,
    store,
    hub,
    deps,
    clock,
    record,
    pass,
    stored,
    servers: another(),
    /** Another instance of the API, with this in place of what it is given. */
    another,
    act: () => ({ by: kari, now: new Date(now).toISOString() }),
    confirm(answer: boolean) {
      isConfirmed = answer;
    },
    change: (change: (team: TeamRecord) => TeamRecord) =>
      store.change(slug, (current) => ({ next: change(current) })),
    history: async (): Promise<readonly HistoryRecord[]> => (await store.history(slug, { limit: 100 })).items,
    /** Somebody looks once a second until the operation is over, for so many seconds at most. */
    async finish(opened: Pick<OperationRecord, 'id'>, seconds = 400, over: Partial<OperationDeps> = {}) {
      const advance = advanceWith({ ...deps, ...over });
      for (let second = 0; second <= seconds; second += 1) {
        const operation = await advance(slug, await stored(opened), AbortSignal.timeout(10_000));
        if (operation.outcome !== null) return stored(opened);
        pass(1);
      }
      assert.fail(`still ${JSON.stringify(await stored(opened))}`);
    },
  };
};
export type Scene = Awaited<ReturnType<typeof aScene>>;
