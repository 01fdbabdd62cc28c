// What a tick costs: by what is due, not by what exists.
import { startKubernetes } from '../local/kubernetes/server.ts';
import { openOutside } from '../src/adapters/open.ts';
import { assemble } from '../src/assemble.ts';
import { loadConfig } from '../src/config.ts';
import type { Store } from '../src/ports.ts';
import { tick } from '../src/reconcile/tick.ts';
import { interleaved, median, printRatios, printTable, ratiosTo } from './measure.ts';
import { created, environmentAt, readyTeam, silent } from './product.ts';

const teams = 1_000;
const idleTicks = 200;
const rounds = Number(process.env.ROUNDS ?? 15);
const overdue = { dueAt: '2020-01-01T00:00:00.000Z', failures: 0 };

/** The same port, with every call counted. */
const counting = (store: Store): { readonly store: Store; calls: number } => {
  const counted = { calls: 0, store };
  counted.store = new Proxy(store, {
    get(target, name, receiver) {
      const value: unknown = Reflect.get(target, name, receiver);
      if (typeof value !== 'function') return value;
      return (...args: unknown[]) => {
        counted.calls += 1;
        return Reflect.apply(value, target, args);
      };
    },
  });
  return counted;
};

/** A store with so many teams, beside one simulated cluster; the first ten are in that cluster in full. */
const world = async (count: number) => {
  const kubernetes = await startKubernetes();
  const config = loadConfig({
    ...environmentAt(':memory:', 'http://localhost:8084'),
    CLUSTER: kubernetes.url,
  });
  const outside = await openOutside(config);
  const counted = counting(outside.store);
  const { store } = counted;
  const { deps, tick: due } = assemble(config, { ...outside, store, log: silent });
  const slugs = Array.from({ length: count }, (_, index) => `team-${index}`);
  for (const slug of slugs) await store.create(readyTeam(slug, deps), created);
  const some = slugs.slice(0, 10);
  const makeDue = async (dueTeams: number, changed: boolean) => {
    for (const slug of some.slice(0, dueTeams)) {
      await store.change(slug, (team) => ({
        next: { ...team, generation: team.generation + (changed ? 1 : 0), reconcile: overdue },
      }));
    }
  };
  await makeDue(10, false);
  await tick(due);
  // What Flux would say in the end; the hubs themselves are not what is measured.
  const client = kubernetes.client('helm-controller');
  const verdict = { type: 'Ready', status: 'True', reason: 'InstallSucceeded', observedGeneration: 1 };
  for (const slug of some) {
    const status = { conditions: [{ ...verdict, message: '', lastTransitionTime: '2026-11-23T09:00:00Z' }] };
    await client.patch(
      'helmreleases',
      `team-${slug}-3f9c`,
      'jupyterhub',
      { status },
      { type: 'merge', subresource: 'status' },
    );
  }
  await makeDue(10, false);
  await tick(due);

  let [requests, writes] = [0, 0];
  kubernetes.onRequest(({ method }) => {
    requests += 1;
    if (method !== 'GET') writes += 1;
  });
  /** One tick’s time in ms, and what it asked for. */
  const run = async (dueTeams: number, changed: boolean) => {
    await makeDue(dueTeams, changed);
    counted.calls = 0;
    [requests, writes] = [0, 0];
    const from = performance.now();
    const { looked } = await tick(due);
    let ms = performance.now() - from;
    if (looked !== Math.min(dueTeams, count))
      throw new Error(`${looked} teams were looked at, not ${dueTeams}`);
    const { calls } = counted;
    if (dueTeams === 0) {
      // Too short to be timed once: what ran before it would be in it.
      const start = performance.now();
      for (let i = 0; i < idleTicks; i++) await tick(due);
      ms = (performance.now() - start) / idleTicks;
    }
    return { ms, storeCalls: calls, requests, writes };
  };
  const close = async () => {
    await outside.close();
    await kubernetes.close();
  };
  return { run, close };
};

export const ticks = async (): Promise<void> => {
  const one = await world(1);
  const many = await world(teams);
  try {
    const asked: Record<string, { storeCalls: number; requests: number; writes: number }> = {};
    const subject =
      (name: string, { run }: Awaited<ReturnType<typeof world>>, due: number, changed = false) =>
      async () => {
        const { ms, ...counts } = await run(due, changed);
        asked[name] = counts;
        return ms;
      };
    const subjects = Object.fromEntries(
      (
        [
          ['1 team, none due', one, 0],
          [`${teams} teams, none due`, many, 0],
          ['1 team, due', one, 1],
          [`${teams} teams, 1 due`, many, 1],
          [`${teams} teams, 10 due`, many, 10],
          [`${teams} teams, 10 due, each with a new revision`, many, 10, true],
        ] as const
      ).map(([name, where, due, changed]) => [name, subject(name, where, due, changed)]),
    );
    for (const warmUp of Object.values(subjects)) await warmUp();
    const measured = await interleaved(subjects, rounds);
    const nothing = measured['1 team, none due'] ?? [];
    const single = measured['1 team, due'] ?? [];
    printTable(
      `A tick (${rounds} rounds; the simulated cluster shares the process)`,
      ['', 'store calls', 'cluster requests', 'of them writes', 'to 1 team, none due', 'to 1 team, due'],
      Object.entries(measured).map(([name, values]) => [
        name,
        String(asked[name]?.storeCalls),
        String(asked[name]?.requests),
        String(asked[name]?.writes),
        printRatios(ratiosTo(nothing, values)),
        printRatios(ratiosTo(single, values)),
      ]),
    );
    // The one expectation: what is not due costs nothing to speak of.
    const idle = median(ratiosTo(nothing, measured[`${teams} teams, none due`] ?? []));
    console.log(`\n${teams} teams cost ${idle.toFixed(2)} times one team when nothing is due.`);
  } finally {
    await one.close();
    await many.close();
  }
};
