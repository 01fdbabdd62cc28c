// The cost of a culling pass: it depends on what is due, not on what exists. Compared with a pass that asks every hub.
import { once } from 'node:events';
import { createServer, type IncomingMessage } from 'node:http';
import { openHubs } from '../src/adapters/jupyterhub.ts';
import { openSqliteStore } from '../src/adapters/sqlite.ts';
import { cull } from '../src/culling/cull.ts';
import { forEachConcurrently } from '../src/lib/concurrency.ts';
import { defaultLimits } from '../src/model/limits.ts';
import type { TeamRecord } from '../src/model/record.ts';
import { aNaming } from '../test/support/records.ts';
import { counting } from './counting.ts';
import { interleaved, printRatios, printTable, ratiosTo } from './measure.ts';
import { created, farAway, overdue, readyTeam, silent } from './product.ts';

const hubs = 1_000;
const serversEach = 5;
const hubsAtOnce = 16;
const rounds = Number(process.env.ROUNDS ?? 15);
const timeoutSeconds = 3_600;

const ago = (seconds: number): string => new Date(Date.now() - seconds * 1_000).toISOString();

/** Answers as JupyterHub does: every user is active except one, whose server has been idle for two timeouts. */
const usersOf = (isOneIdle: boolean) =>
  Array.from({ length: serversEach }, (_, index) => ({
    name: `user-${index}@nav.no`,
    kind: 'user',
    admin: false,
    groups: [],
    servers: {
      '': {
        name: '',
        stopped: false,
        ready: true,
        pending: null,
        url: `/user/user-${index}@nav.no/`,
        started: ago(4 * timeoutSeconds),
        last_activity: ago(isOneIdle && index === 0 ? 2 * timeoutSeconds : 60),
        user_options: { profile: 'python-3.13' },
      },
    },
  }));

/** One server that simulates every team’s hub, each below its own path. A stopped server runs again at once. */
const startHubs = async () => {
  const state = { requests: 0, stops: 0, idleBelow: 0 };
  const answer = ({ method = '', url = '' }: IncomingMessage): readonly [status: number, body?: unknown] => {
    const [, hub = '', path = ''] = /^\/team-(\d+)(\/[^?]*)/.exec(url) ?? [];
    if (method === 'DELETE') {
      if (path.endsWith('/server')) state.stops += 1;
      return [204];
    }
    if (path.endsWith('/tokens')) return [201, { id: 'a1', token: 'minted-for-a-minute' }];
    if (path.endsWith('/api/kernels')) return [200, [{ id: 'k1', execution_state: 'idle' }]];
    if (path.endsWith('/info')) return [200, { version: '5.5.0' }];
    const items = usersOf(Number(hub) < state.idleBelow);
    return [200, { items, _pagination: { total: items.length, next: null, offset: 0, limit: 200 } }];
  };
  const server = createServer((request, response) => {
    state.requests += 1;
    const [status, body] = answer(request);
    response.writeHead(status, { 'content-type': 'application/json', 'x-jupyterhub-version': '5.5.0' });
    response.end(body === undefined ? undefined : JSON.stringify(body));
  }).listen(0, '127.0.0.1');
  await once(server, 'listening');
  const address = server.address();
  if (typeof address !== 'object' || address === null) throw new TypeError('A port has an address');
  return {
    state,
    url: `http://127.0.0.1:${address.port}`,
    close() {
      server.closeAllConnections();
      server.close();
    },
  };
};

/** A store with this many teams, each with its own hub. */
const world = async (count: number, url: string) => {
  const counted = counting(openSqliteStore({ file: ':memory:', naming: aNaming }));
  const { port: store } = counted;
  const newRelease = () => ({ platformHash: 'p1', spec: {} });
  for (let n = 0; n < count; n++) {
    const team = readyTeam(`team-${n}`, { limits: defaultLimits, newRelease }, []);
    await store.create(withCulling(team, farAway), created);
  }
  const clock = { now: () => Date.now() };
  const deps = {
    store,
    clock,
    log: silent,
    hubs: openHubs({ urlTemplate: `${url}/{slug}`, tokens: () => ['our-service-token'], clock }),
  };
  return {
    counted,
    pass: () => cull(deps),
    async makeDue(due: number) {
      for (let n = 0; n < due; n++)
        await store.change(`team-${n}`, (team) => ({ next: withCulling(team, overdue) }));
    },
    close: () => store.close(),
  };
};

const withCulling = (team: TeamRecord, dueAt: string): TeamRecord => {
  const { notebook } = team;
  if (notebook === null) throw new TypeError('The team has a notebook');
  const culling = { timeoutSeconds, maxAgeSeconds: 604_800, keepBusyKernels: true };
  return {
    ...team,
    notebook: { ...notebook, spec: { ...notebook.spec, culling } },
    culling: { dueAt, servers: {} },
  };
};

interface Listed {
  readonly items: readonly {
    readonly name: string;
    readonly servers: Readonly<Record<string, { readonly last_activity: string }>>;
  }[];
}

/**
 * One pass of a jupyterhub-idle-culler per hub: reads the version, lists the users with a running server, and stops
 * the idle ones. It probes no kernels.
 */
const listEveryHub = async (url: string): Promise<void> => {
  const headers = {
    authorization: 'token our-service-token',
    accept: 'application/jupyterhub-pagination+json',
  };
  await forEachConcurrently(
    Array.from({ length: hubs }, (_, n) => `${url}/team-${n}/hub/api`),
    hubsAtOnce,
    async (api) => {
      await (await fetch(`${api}/info`, { headers })).json();
      // As the hub above answers.
      const { items } = (await (await fetch(`${api}/users?state=ready`, { headers })).json()) as Listed;
      for (const { name, servers } of items) {
        const active = Date.parse(servers['']?.last_activity ?? '');
        if (Date.now() - active < timeoutSeconds * 1_000) continue;
        await fetch(`${api}/users/${encodeURIComponent(name)}/server`, { method: 'DELETE', headers });
      }
    },
  );
};

export const culling = async (): Promise<void> => {
  const { state, url, close } = await startHubs();
  const one = await world(1, url);
  const many = await world(hubs, url);
  try {
    const asked: Record<string, { storeCalls: number; requests: number }> = {};
    const expect = (what: string, actual: number, expected: number) => {
      if (actual !== expected) throw new Error(`${actual} ${what}, not ${expected}`);
    };
    const ours =
      (name: string, { counted, pass, makeDue }: typeof one, due: number, idle: number) =>
      async () => {
        const repeats = due === 0 ? 200 : 5;
        let ms = 0;
        for (let repeat = 0; repeat < repeats; repeat++) {
          await makeDue(due);
          Object.assign(state, { requests: 0, stops: 0, idleBelow: idle });
          counted.calls = 0;
          const from = performance.now();
          const { hubsAsked, stopped, failed } = await pass();
          ms += performance.now() - from;
          expect('hubs were asked', hubsAsked, due);
          expect('servers were stopped', stopped, idle);
          expect('hubs failed', failed, 0);
          asked[name] = { storeCalls: counted.calls, requests: state.requests };
        }
        return ms / repeats;
      };
    const theirs = (name: string, idle: number) => async () => {
      Object.assign(state, { requests: 0, stops: 0, idleBelow: idle });
      const from = performance.now();
      await listEveryHub(url);
      const ms = performance.now() - from;
      expect('servers were stopped', state.stops, idle);
      asked[name] = { storeCalls: 0, requests: state.requests };
      return ms;
    };
    const nothing = `${hubs} hubs, none due`;
    const everyHub = `every one of ${hubs} hubs listed, all users active`;
    const rows: readonly (readonly [string, (name: string) => () => Promise<number>])[] = [
      ['1 hub, not due', (name) => ours(name, one, 0, 0)],
      [nothing, (name) => ours(name, many, 0, 0)],
      [`${hubs} hubs, 1 due, all users active`, (name) => ours(name, many, 1, 0)],
      [`${hubs} hubs, 10 due, all users active`, (name) => ours(name, many, 10, 0)],
      [`${hubs} hubs, 10 due, a server to stop in each`, (name) => ours(name, many, 10, 10)],
      [everyHub, (name) => theirs(name, 0)],
      [`every one of ${hubs} hubs listed, a server to stop in 10`, (name) => theirs(name, 10)],
    ];
    const subjects = Object.fromEntries(rows.map(([name, measure]) => [name, measure(name)]));
    for (const warmUp of Object.values(subjects)) await warmUp();
    const measured = await interleaved(subjects, rounds);
    printTable(
      `A pass of the culling (${rounds} rounds; ${serversEach} servers a hub; the hubs share the process)`,
      ['', 'store calls', 'hub requests', 'to 1 hub, not due', 'to listing every hub'],
      Object.entries(measured).map(([name, values]) => [
        name,
        String(asked[name]?.storeCalls),
        String(asked[name]?.requests),
        printRatios(ratiosTo(measured['1 hub, not due'] ?? [], values)),
        printRatios(ratiosTo(measured[everyHub] ?? [], values)),
      ]),
    );
  } finally {
    await one.close();
    await many.close();
    close();
  }
};
