// The cost of the scheduler’s call every minute: it depends on what is due, not on what exists.
import { startKubernetes } from '@knada/simulators/kubernetes/server.ts';
import { assemble } from '../src/assemble.ts';
import { loadConfig } from '../src/config.ts';
import { refreshHosts } from '../src/egress/addresses.ts';
import { reconcileRuns } from '../src/egress/airflow-runs.ts';
import { openOutside } from '../src/open.ts';
import { tick } from '../src/reconcile/tick.ts';
import { counting } from './counting.ts';
import { interleaved, median, printRatios, printTable, ratiosTo } from './measure.ts';
import { created, environmentAt, overdue, readyTeam, silent } from './product.ts';
import { standInGoogle, standInHubs, standInNames } from './stand-ins.ts';

const teams = 1_000;
/** How many teams have opted in to an allowlist, in the worlds where some have. */
const restricted = 100;
const rounds = Number(process.env.ROUNDS ?? 15);

/**
 * A store with this many teams and a simulated cluster. The first `inCluster` teams are fully applied in the cluster,
 * with an allowlist if `hosts` is not empty.
 */
const world = async (count: number, inCluster: number, hosts: readonly string[] = []) => {
  const kubernetes = await startKubernetes();
  const config = loadConfig({
    ...environmentAt(':memory:', 'http://localhost:8084'),
    CLUSTER: kubernetes.url,
  });
  const outside = await openOutside(config, silent);
  const google = standInGoogle();
  const others = {
    hubs: counting(standInHubs()),
    names: counting(standInNames()),
    secretManager: counting(google.secretManager),
    serviceAccounts: counting(google.serviceAccounts),
  };
  const counted = counting(outside.store);
  const store = counted.port;
  const parts = assemble(config, {
    ...outside,
    store,
    hubs: others.hubs.port,
    dns: others.names.port,
    secretManager: others.secretManager.port,
    serviceAccounts: others.serviceAccounts.port,
  });
  // As the `reconcile` function does.
  const minute = async () => {
    await refreshHosts(parts.addresses);
    const [{ looked }] = await Promise.all([tick(parts.tick), reconcileRuns(parts.runs)]);
    return looked;
  };
  const slugs = Array.from({ length: count }, (_, index) => `team-${index}`);
  const some = slugs.slice(0, inCluster);
  for (const [index, slug] of slugs.entries()) {
    await store.create(readyTeam(slug, parts.deps, index < inCluster ? hosts : []), created);
  }
  const makeDue = async (dueTeams: number, changed: boolean) => {
    for (const slug of some.slice(0, dueTeams)) {
      await store.change(slug, (team) => ({
        next: {
          ...team,
          generation: team.generation + (changed ? 1 : 0),
          reconcile: { dueAt: overdue, failures: 0 },
        },
      }));
    }
  };
  await makeDue(inCluster, true);
  await minute();
  // The status that Flux reports in the end.
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
  await makeDue(inCluster, false);
  await minute();
  for (const slug of some) {
    const phase = (await store.team(slug))?.status.phase;
    if (phase !== 'Ready') throw new Error(`${slug} is ${phase}, not Ready`);
  }

  let [requests, writes] = [0, 0];
  kubernetes.onRequest(({ isWrite }) => {
    requests += 1;
    if (isWrite) writes += 1;
  });
  const askedOfOthers = () => Object.values(others).reduce((sum, { calls }) => sum + calls, 0);
  /** One call’s duration in ms, and the calls that it made. */
  const run = async (dueTeams: number, changed: boolean) => {
    // A single call is too short to measure on its own.
    const repeats = dueTeams === 0 ? 50 : dueTeams === 1 ? 10 : 2;
    let ms = 0;
    let asked = { storeCalls: 0, requests: 0, writes: 0, others: 0 };
    for (let repeat = 0; repeat < repeats; repeat++) {
      await makeDue(dueTeams, changed);
      counted.calls = 0;
      [requests, writes] = [0, 0];
      const before = askedOfOthers();
      const from = performance.now();
      const looked = await minute();
      ms += performance.now() - from;
      if (looked !== dueTeams) throw new Error(`${looked} teams were looked at, not ${dueTeams}`);
      asked = { storeCalls: counted.calls, requests, writes, others: askedOfOthers() - before };
    }
    return { ms: ms / repeats, asked };
  };
  const close = async () => {
    await outside.close();
    await kubernetes.close();
  };
  return { run, close };
};

type World = Awaited<ReturnType<typeof world>>;

export const ticks = async (): Promise<void> => {
  const one = await world(1, 1);
  const many = await world(teams, 10);
  const listed = await world(teams, restricted, ['pypi.org', 'files.pythonhosted.org']);
  try {
    const asked: Record<string, Awaited<ReturnType<World['run']>>['asked']> = {};
    const subject =
      (name: string, { run }: World, due: number, changed = false) =>
      async () => {
        const answer = await run(due, changed);
        asked[name] = answer.asked;
        return answer.ms;
      };
    const nobody = `${teams} teams, none due`;
    const ofThem = `${restricted} with an allowlist`;
    const rows: readonly (readonly [string, World, due: number, changed?: boolean])[] = [
      ['1 team, none due', one, 0],
      [nobody, many, 0],
      [`${nobody}, ${ofThem}`, listed, 0],
      ['1 team, due', one, 1],
      [`${teams} teams, 1 due`, many, 1],
      [`${teams} teams, 10 due`, many, 10],
      [`${teams} teams, 10 due, each with a new revision`, many, 10, true],
      [`${teams} teams, ${ofThem}, 10 of these due`, listed, 10],
      [`${teams} teams, ${ofThem}, 10 of these due, each with a new revision`, listed, 10, true],
    ];
    const subjects = Object.fromEntries(
      rows.map(([name, where, due, changed]) => [name, subject(name, where, due, changed)]),
    );
    for (const warmUp of Object.values(subjects)) await warmUp();
    const measured = await interleaved(subjects, rounds);
    const nothing = measured['1 team, none due'] ?? [];
    const single = measured['1 team, due'] ?? [];
    printTable(
      `A tick (${rounds} rounds; the simulated cluster shares the process)`,
      [
        '',
        'store calls',
        'cluster requests',
        'of which writes',
        'hub, DNS and Google calls',
        'to 1 team, none due',
        'to 1 team, due',
      ],
      Object.entries(measured).map(([name, values]) => [
        name,
        String(asked[name]?.storeCalls),
        String(asked[name]?.requests),
        String(asked[name]?.writes),
        String(asked[name]?.others),
        printRatios(ratiosTo(nothing, values)),
        printRatios(ratiosTo(single, values)),
      ]),
    );
    // The only assertion: teams that are not due make no calls.
    const idle = median(ratiosTo(nothing, measured[nobody] ?? []));
    console.log(`\n${teams} teams cost ${idle.toFixed(2)} times one team when nothing is due.`);
  } finally {
    for (const { close } of [one, many, listed]) await close();
  }
};
