import assert from 'node:assert/strict';
import { randomUUID } from 'node:crypto';
import { it, type TestContext } from 'node:test';
import { openSqliteStore } from '../../src/adapters/sqlite.ts';
import { cull } from '../../src/culling/cull.ts';
import { graceMs } from '../../src/culling/rules.ts';
import type { TeamName } from '../../src/model/names.ts';
import type { CullingState } from '../../src/model/record.ts';
import { hubScopes } from '../../src/notebooks/values.ts';
import type { HubRefusal, HubServer, Hubs, HubUser, SpawnProgress } from '../../src/ports/hubs.ts';
import { Unavailable } from '../../src/ports/unavailable.ts';
import { aNotebook, anEvent, anOrderedRecord, aSpec } from '../support/records.ts';

/**
 * A running hub with nobody in it that the suite did not put there, and what a test needs to do around it. A hub is
 * shared by all tests of a suite: each brings people of its own.
 */
export interface HubUnderTest {
  readonly team: TeamName;
  /** JupyterHub’s major version, 5 or 6. */
  readonly major: number;
  /** The adapter on this hub, with `token`. */
  readonly hubs: Hubs;
  /** The token of our service, as the hub knows it. */
  readonly token: string;
  /** What the hub’s role of our service holds. */
  readonly scopes: readonly string[];
  /** Another adapter on the same hub, with these tokens, newest first. */
  readonly withTokens: (tokens: readonly string[]) => Hubs;
  /** What this hub offers: what a start may name. */
  readonly offered: { readonly profile: string; readonly revision: number };
  /** The hub’s own clock, epoch milliseconds. */
  readonly now: () => number;
  /** Waits on a real hub; on another its clock is moved and what became due has happened. */
  readonly letTimePass: (ms: number) => Promise<void>;
  /** A start (or stop) of this person’s server stays pending until it is let go. Answers how to let go. */
  readonly hold: (user: string, what: 'start' | 'stop') => Promise<() => Promise<void>>;
  /** The next start of this person’s server fails with this sentence. */
  readonly failNextStart: (user: string, message: string) => Promise<void>;
  /** The person does something in the running notebook, which counts as activity. */
  readonly use: (user: string) => Promise<void>;
  /**
   * The running notebook has a kernel, which computes and says nothing from now on; or, with false, waits for the next
   * cell. Holds when this answers.
   */
  readonly setBusy: (user: string, busy: boolean) => Promise<void>;
  /** Headers of the requests that reached this person’s notebook server, whoever sent them. */
  readonly notebookRequests: (user: string) => Promise<readonly NotebookRequest[]>;
  /** Notes of the tokens that this person has at the hub, other than those of the notebook server itself. */
  readonly tokenNotes: (user: string) => Promise<readonly string[]>;
  /** The hub’s process ends, with notebook servers and proxy left running. */
  readonly goAway: () => Promise<void>;
  /** It starts again, on the same database. */
  readonly comeBack: () => Promise<void>;
}

export interface NotebookRequest {
  readonly path: string;
  readonly headers: Readonly<Record<string, string>>;
}

const stepMs = 250;
/** Of a real hub on a machine with much else to do. */
const patienceSteps = 480;

const signal = (): AbortSignal => AbortSignal.timeout(120_000);

/** Someone nobody else’s test knows, with a name that has to be encoded in a path. */
const somebody = (): string => `kari+${randomUUID().slice(0, 8)}@nav.no`;

const isRefusal = (answer: unknown): answer is HubRefusal => typeof answer === 'object' && answer !== null;

/** What the hub refused; fails when it did not refuse. */
const refusalOf = (answer: unknown): HubRefusal['refused'] => {
  if (!isRefusal(answer)) assert.fail(`not refused: ${JSON.stringify(answer)}`);
  assert.ok(answer.message.length > 0, 'a refusal says why');
  return answer.refused;
};

/** Looks until it finds what it looks for, with time passing in between. */
export const until = async <T>(
  hub: Pick<HubUnderTest, 'letTimePass'>,
  what: string,
  look: () => Promise<T | undefined>,
): Promise<T> => {
  for (let step = 0; step < patienceSteps; step += 1) {
    const found = await look();
    if (found !== undefined) return found;
    await hub.letTimePass(stepMs);
  }
  assert.fail(`It did not happen: ${what}`);
};

/** Lets time pass until this is settled. */
const passing = async <T>(hub: HubUnderTest, work: Promise<T>): Promise<T> => {
  let settled = false;
  const done = work.finally(() => {
    settled = true;
  });
  // Whoever awaits `done` below is told; this only keeps a failure from counting as unhandled until then.
  done.catch(() => undefined);
  for (let step = 0; step < patienceSteps && !settled; step += 1) await hub.letTimePass(stepMs);
  assert.ok(settled, 'It did not end');
  return done;
};

const serverOf = async ({ hubs, team }: HubUnderTest, name: string): Promise<HubServer | null> => {
  const user = await hubs.user(team, name, signal());
  assert.ok(user !== undefined, `${name} is not a user`);
  return user.server;
};

/** The person’s server once it is as wanted. */
const becomes = (
  hub: HubUnderTest,
  name: string,
  what: string,
  isSo: (server: HubServer) => boolean,
): Promise<HubServer> =>
  until(hub, `${name}’s server is ${what}`, async () => {
    const server = await serverOf(hub, name);
    return server !== null && isSo(server) ? server : undefined;
  });

const isReady = ({ ready }: HubServer): boolean => ready;
const isStopped = ({ stopped, pending }: HubServer): boolean => stopped && pending === null;

const added = async (hub: HubUnderTest): Promise<string> => {
  const name = somebody();
  assert.equal(await hub.hubs.addUser(hub.team, name, signal()), 'added');
  return name;
};

const start = (hub: HubUnderTest, name: string) => hub.hubs.start(hub.team, name, hub.offered, signal());
const stop = (hub: HubUnderTest, name: string) => hub.hubs.stop(hub.team, name, signal());

/** A running server; the answer is its model at the hub. */
export const running = async (hub: HubUnderTest, name: string): Promise<HubServer> => {
  const answer = await start(hub, name);
  assert.ok(answer === 'starting' || answer === 'ready', JSON.stringify(answer));
  return becomes(hub, name, 'ready', isReady);
};

/** Stops the server, so that a suite leaves few of them behind. */
export const stopped = async (hub: HubUnderTest, name: string): Promise<HubServer> => {
  const answer = await passing(hub, stop(hub, name));
  assert.ok(answer === 'stopped' || answer === 'stopping', JSON.stringify(answer));
  return becomes(hub, name, 'stopped', isStopped);
};

const progressOf = async (hub: HubUnderTest, name: string): Promise<readonly SpawnProgress[]> => {
  const lines: SpawnProgress[] = [];
  for await (const line of hub.hubs.progress(hub.team, name, signal())) lines.push(line);
  return lines;
};

const isUnavailable = (error: unknown): true => {
  assert.ok(error instanceof Unavailable, String(error));
  assert.equal(error.system, 'hub');
  return true;
};

/** What the adapter must find at every JupyterHub that we support. */
export const hubContract = (open: () => Promise<HubUnderTest>): void => {
  it('tells its version', async () => {
    const { hubs, team, major } = await open();
    assert.match(await hubs.version(team, signal()), new RegExp(`^${major}\\.[0-9]+\\.`));
  });

  it('gives our service the scopes of the product, which are enough for everything below', async () => {
    const { scopes } = await open();
    assert.deepEqual(scopes.toSorted(), hubScopes.toSorted());
  });

  it('adds a person once, and says so the second time', async () => {
    const { hubs, team } = await open();
    const name = somebody();
    assert.equal(await hubs.user(team, name, signal()), undefined);
    assert.equal(await hubs.addUser(team, name, signal()), 'added');
    assert.equal(await hubs.addUser(team, name, signal()), 'exists');
    assert.deepEqual(await hubs.user(team, name, signal()), { name, server: null });
  });

  it('removes a person once, and says so the second time', async () => {
    const hub = await open();
    const { hubs, team } = hub;
    const name = await added(hub);
    assert.equal(await hubs.removeUser(team, name, signal()), 'removed');
    assert.equal(await hubs.user(team, name, signal()), undefined);
    assert.equal(await hubs.removeUser(team, name, signal()), 'absent');
  });

  it('removes a person whose server runs, and the server with them', async () => {
    const hub = await open();
    const { hubs, team } = hub;
    const name = await added(hub);
    await running(hub, name);
    await until(hub, `${name} is removed`, async () => {
      const answer = await passing(hub, hubs.removeUser(team, name, signal()));
      return answer === 'stopping' ? undefined : answer;
    });
    assert.equal(await hubs.user(team, name, signal()), undefined);
    const active = await hubs.users(team, signal(), { active: true });
    assert.ok(!active.some((user) => user.name === name));
  });

  it('lists 250 people over all pages, each once', async () => {
    const { hubs, team } = await open();
    const names = Array.from({ length: 250 }, somebody);
    for (const name of names) await hubs.addUser(team, name, signal());
    const listed = (await hubs.users(team, signal())).map(({ name }) => name);
    assert.equal(new Set(listed).size, listed.length);
    const missing = names.filter((name) => !listed.includes(name));
    assert.deepEqual(missing, []);
  });

  it('starts a server, tells how far it is, and ends with ready', async () => {
    const hub = await open();
    const { offered } = hub;
    const name = await added(hub);
    const before = hub.now();
    assert.equal(await start(hub, name), 'starting');
    const lines = await passing(hub, progressOf(hub, name));
    assert.ok(lines.every(({ progress }) => progress >= 0 && progress <= 100));
    assert.deepEqual(lines.at(-1)?.progress, 100);
    assert.deepEqual(
      lines.map(({ outcome }) => outcome).filter((outcome) => outcome !== undefined),
      ['ready'],
    );
    assert.equal(lines.at(-1)?.outcome, 'ready');

    const server = await serverOf(hub, name);
    assert.ok(server !== null);
    const { startedAt, lastActivityAt, ...rest } = server;
    assert.deepEqual(rest, { ready: true, stopped: false, pending: null, profile: offered.profile });
    // The hub’s clock may round, and JupyterHub keeps no milliseconds in some databases.
    assert.ok(Date.parse(startedAt ?? '') >= before - 1000, `started ${startedAt}`);
    assert.ok(lastActivityAt === null || !Number.isNaN(Date.parse(lastActivityAt)));
    await stopped(hub, name);
  });

  it('lists as active who has a server that runs or is under way, and nobody else', async () => {
    const hub = await open();
    const { hubs, team } = hub;
    const [runs, starts, neverStarted] = [await added(hub), await added(hub), await added(hub)];
    const release = await hub.hold(starts, 'start');
    await running(hub, runs);
    await start(hub, starts);
    await becomes(hub, starts, 'starting', ({ pending }) => pending === 'spawn');
    const active = new Map<string, HubUser>();
    for (const user of await hubs.users(team, signal(), { active: true })) active.set(user.name, user);
    assert.equal(active.get(runs)?.server?.ready, true);
    assert.equal(active.get(starts)?.server?.pending, 'spawn');
    assert.equal(active.has(neverStarted), false);
    await release();
    await becomes(hub, starts, 'ready', isReady);
    await stopped(hub, runs);
    await stopped(hub, starts);
    const left = (await hubs.users(team, signal(), { active: true })).map(({ name }) => name);
    assert.ok(!left.includes(runs) && !left.includes(starts));
    const all = await hubs.users(team, signal());
    assert.equal(all.find(({ name }) => name === runs)?.server?.stopped, true);
  });

  it('tells that a server is ready already when its progress is asked for', async () => {
    const hub = await open();
    const name = await added(hub);
    await running(hub, name);
    const lines = await passing(hub, progressOf(hub, name));
    assert.deepEqual(
      lines.map(({ progress, outcome }) => ({ progress, outcome })),
      [{ progress: 100, outcome: 'ready' }],
    );
    await stopped(hub, name);
  });

  it('tells nothing of a server that nobody starts', async () => {
    const hub = await open();
    const name = await added(hub);
    assert.deepEqual(await passing(hub, progressOf(hub, name)), []);
    assert.deepEqual(await passing(hub, progressOf(hub, somebody())), []);
  });

  it('refuses to start what runs', async () => {
    const hub = await open();
    const name = await added(hub);
    await running(hub, name);
    assert.equal(refusalOf(await start(hub, name)), 'already_running');
    await stopped(hub, name);
  });

  it('takes a second start for the first while that is under way', async () => {
    const hub = await open();
    const name = await added(hub);
    const release = await hub.hold(name, 'start');
    assert.equal(await start(hub, name), 'starting');
    assert.equal(await start(hub, name), 'starting');
    await release();
    const { startedAt } = await becomes(hub, name, 'ready', isReady);
    assert.ok(startedAt !== null);
    await stopped(hub, name);
  });

  it('refuses to start or to stop for somebody whom it does not know', async () => {
    const hub = await open();
    const name = somebody();
    assert.equal(refusalOf(await start(hub, name)), 'no_such_user');
    assert.equal(refusalOf(await stop(hub, name)), 'no_such_user');
  });

  it('tells why a start failed, and starts again afterwards', async () => {
    const hub = await open();
    const name = await added(hub);
    await hub.failNextStart(name, 'There is no room for this notebook.');
    assert.equal(await start(hub, name), 'starting');
    const lines = await passing(hub, progressOf(hub, name));
    assert.equal(lines.at(-1)?.outcome, 'failed');
    assert.match(lines.at(-1)?.message ?? '', /There is no room for this notebook\./);
    await becomes(hub, name, 'stopped', isStopped);
    await running(hub, name);
    await stopped(hub, name);
  });

  it('stops a server, and stopping it again changes nothing', async () => {
    const hub = await open();
    const name = await added(hub);
    await running(hub, name);
    const server = await stopped(hub, name);
    assert.equal(server.ready, false);
    assert.equal(server.startedAt, null);
    assert.equal(await passing(hub, stop(hub, name)), 'stopped');
  });

  it('has nothing to stop for somebody who never started', async () => {
    const hub = await open();
    const name = await added(hub);
    assert.equal(await passing(hub, stop(hub, name)), 'stopped');
  });

  it('says that a slow server is stopping, takes a second stop, and refuses to start it meanwhile', async () => {
    const hub = await open();
    const name = await added(hub);
    await running(hub, name);
    const release = await hub.hold(name, 'stop');
    assert.equal(await passing(hub, stop(hub, name)), 'stopping');
    const server = await becomes(hub, name, 'stopping', ({ pending }) => pending === 'stop');
    assert.equal(server.ready, false);
    assert.equal(server.stopped, false);
    assert.equal(await passing(hub, stop(hub, name)), 'stopping');
    assert.equal(refusalOf(await start(hub, name)), 'pending_stop');
    assert.equal(await passing(hub, hub.hubs.removeUser(hub.team, name, signal())), 'stopping');
    await release();
    await becomes(hub, name, 'stopped', isStopped);
  });

  it('interrupts a start that is under way, and whoever follows it is told', async () => {
    const hub = await open();
    const name = await added(hub);
    const release = await hub.hold(name, 'start');
    assert.equal(await start(hub, name), 'starting');
    const server = await becomes(hub, name, 'starting', ({ pending }) => pending === 'spawn');
    assert.equal(server.ready, false);
    assert.equal(server.stopped, false);
    const followed = progressOf(hub, name);
    await stopped(hub, name);
    await release();
    // JupyterHub 5 and 6 may call it ready: for a second, what was cancelled is not pending and not yet stopped. So the
    // outcome says that the start is over; what became of it, the server does.
    const lines = await passing(hub, followed);
    assert.notEqual(lines.at(-1)?.outcome, undefined);
    assert.equal((await serverOf(hub, name))?.stopped, true);
  });

  it('restarts: the server that runs afterwards is a new one', async () => {
    const hub = await open();
    const name = await added(hub);
    const first = await running(hub, name);
    await stopped(hub, name);
    await hub.letTimePass(1000);
    const second = await running(hub, name);
    assert.ok(Date.parse(second.startedAt ?? '') > Date.parse(first.startedAt ?? ''));
    await stopped(hub, name);
  });

  it('moves the last activity when somebody uses the notebook', async () => {
    const hub = await open();
    const name = await added(hub);
    await running(hub, name);
    await hub.letTimePass(2000);
    const before = hub.now();
    await hub.use(name);
    // JupyterHub may tell it a moment early: it keeps what the proxy saw, not when it was told.
    await becomes(
      hub,
      name,
      'used',
      ({ lastActivityAt }) => Date.parse(lastActivityAt ?? '') >= before - 500,
    );
    await stopped(hub, name);
  });

  it('takes reported activity forward, never back, and not from far ahead', async () => {
    const hub = await open();
    const { hubs, team } = hub;
    const name = await added(hub);
    await running(hub, name);
    const minutes = (count: number): string => new Date(hub.now() + count * 60_000).toISOString();
    const [ahead, before, tooFar] = [minutes(45), minutes(-45), minutes(90)];
    const lastActivity = async () => Date.parse((await serverOf(hub, name))?.lastActivityAt ?? '');
    await hubs.reportActivity(team, name, ahead, signal());
    assert.equal(await lastActivity(), Date.parse(ahead));
    await hubs.reportActivity(team, name, before, signal());
    assert.equal(await lastActivity(), Date.parse(ahead));
    await assert.rejects(hubs.reportActivity(team, name, tooFar, signal()), RangeError);
    assert.equal(await lastActivity(), Date.parse(ahead));
    await stopped(hub, name);
  });

  it('tells a kernel that computes in silence from one that waits, and leaves no token behind', async () => {
    const hub = await open();
    const { hubs, team, token } = hub;
    const name = await added(hub);
    await running(hub, name);
    assert.equal(await hubs.isBusy(team, name, signal()), false, 'without a kernel');
    await hub.setBusy(name, true);
    const [notes, requests] = [await hub.tokenNotes(name), await hub.notebookRequests(name)];
    assert.equal(await hubs.isBusy(team, name, signal()), true);
    assert.deepEqual(await hub.tokenNotes(name), notes);
    const probes = (await hub.notebookRequests(name)).slice(requests.length);
    assert.ok(
      probes.some(({ path }) => path.endsWith('/api/kernels')),
      'the server itself was asked',
    );
    await hub.setBusy(name, false);
    assert.equal(await hubs.isBusy(team, name, signal()), false, 'with a kernel that waits');

    await hubs.reportActivity(team, name, new Date(hub.now()).toISOString(), signal());
    await stopped(hub, name);
    const text = JSON.stringify(await hub.notebookRequests(name));
    assert.ok(!text.includes(token), 'our token reached a notebook');
  });

  it('does not know whether a server is busy that does not run', async () => {
    const hub = await open();
    const name = await added(hub);
    await assert.rejects(hub.hubs.isBusy(hub.team, name, signal()), isUnavailable);
    assert.deepEqual(await hub.tokenNotes(name), []);
  });

  it('is not available to somebody with a wrong token, and does not repeat it', async () => {
    const hub = await open();
    const wrong = 'f'.repeat(64);
    const hubs = hub.withTokens([wrong]);
    const refused = (error: unknown) => {
      isUnavailable(error);
      assert.match(String(error), /token/);
      assert.ok(!String(error).includes(wrong));
      return true;
    };
    await assert.rejects(hubs.users(hub.team, signal()), refused);
    await assert.rejects(start({ ...hub, hubs }, somebody()), refused);
  });

  it('takes the older token until the hub knows the newer one', async () => {
    const hub = await open();
    const name = await added(hub);
    const hubs = hub.withTokens(['e'.repeat(64), hub.token]);
    assert.equal((await hubs.user(hub.team, name, signal()))?.name, name);
    assert.equal(await hubs.removeUser(hub.team, name, signal()), 'removed');
  });

  it('is not available while it is away, and never shows a running server as stopped when it is back', async () => {
    const hub = await open();
    const { hubs, team } = hub;
    const name = await added(hub);
    await running(hub, name);
    await hub.goAway();
    await assert.rejects(hubs.users(team, signal()), isUnavailable);
    await assert.rejects(hubs.user(team, name, signal()), isUnavailable);
    await assert.rejects(stop(hub, name), isUnavailable);
    await hub.comeBack();
    const server = await until(hub, 'the hub knows the server again', async () => {
      const found = await hubs.user(team, name, signal()).catch(isUnavailable);
      if (found === true) return undefined;
      assert.ok(found?.server, 'the hub forgot the person');
      assert.equal(found.server.stopped, false);
      return found.server.ready ? found.server : undefined;
    });
    assert.equal(server.pending, null);
    await stopped(hub, name);
  });
};

/** How long a server may be idle in these tests. */
const idleMs = 8000;

/**
 * A team with this hub, and passes of the culling over it. No server is stopped in the minutes after its start, so
 * passes run as far ahead of the hub’s clock as that grace is long, and the Cull Timeout is that much longer: what is
 * left of it passes at the hub. Every pass asks the hub, and remembers of servers what it is told to.
 */
const culledTeam = async (hub: HubUnderTest, t: TestContext) => {
  const store = openSqliteStore({ file: ':memory:' });
  t.after(() => store.close());
  const clock = { now: () => hub.now() + graceMs };
  const timeoutMs = graceMs + idleMs;
  const culling = { timeoutSeconds: timeoutMs / 1000, maxAgeSeconds: 604_800, keepBusyKernels: true };
  const notebook = aNotebook({ spec: aSpec({ culling }) });
  await store.create(anOrderedRecord({ ...hub.team, notebook }), anEvent());
  const note = () => undefined;
  const log = { info: note, warn: note, error: note };
  const pass = async (servers: CullingState['servers'] = {}) => {
    const dueAt = new Date(clock.now()).toISOString();
    await store.change(hub.team.slug, (current) => ({ next: { ...current, culling: { dueAt, servers } } }));
    const report = await passing(hub, cull({ store, hubs: hub.hubs, clock, log }));
    assert.equal(report.hubsAsked, 1);
    assert.equal(report.failed, 0);
    return report;
  };
  const history = async () => (await store.history(hub.team.slug, { limit: 10 })).items;
  return { clock, timeoutMs, pass, history };
};

/** Whether a running server has been left alone for as long as it may; it is looked at before a pass. */
const isPast = ({ lastActivityAt, startedAt }: HubServer, now: number, timeoutMs: number): boolean =>
  now - Date.parse(lastActivityAt ?? startedAt ?? '') >= timeoutMs;

/** What the culling comes to at a hub that behaves as those that we support. */
export const cullContract = (open: () => Promise<HubUnderTest>): void => {
  it('stops a server that was idle for the Cull Timeout, not before, and spares one that is used', async (t) => {
    const hub = await open();
    const { clock, timeoutMs, pass, history } = await culledTeam(hub, t);
    const [used, idle] = [await added(hub), await added(hub)];
    await running(hub, used);
    let before = await running(hub, idle);
    await until(hub, 'the idle server is stopped', async () => {
      const since = hub.now();
      await hub.use(used);
      await becomes(hub, used, 'used', (one) => Date.parse(one.lastActivityAt ?? '') >= since - 500);
      const server = await serverOf(hub, idle);
      assert.ok(server !== null);
      if (isStopped(server)) return true;
      if (server.pending === null) before = server;
      await pass();
      return undefined;
    });
    assert.ok(isPast(before, clock.now(), timeoutMs), 'it was stopped before its time');
    assert.equal((await serverOf(hub, used))?.ready, true);
    const told = (await history()).filter(({ action }) => action === 'server_culled');
    assert.deepEqual(
      told.map(({ by, changes }) => ({ by, changes })),
      [{ by: 'culling', changes: [{ path: `/servers/${idle}`, from: 'running', to: 'stopped' }] }],
    );
    assert.ok(told[0]?.reason, 'it says why');
    await stopped(hub, used);
  });

  it('spares a server past its time whose kernel computes in silence, until that is done', async (t) => {
    const hub = await open();
    const { pass } = await culledTeam(hub, t);
    const name = await added(hub);
    await running(hub, name);
    await hub.setBusy(name, true);
    await until(hub, 'a pass finds it past its time and busy', async () =>
      (await pass()).postponed === 1 ? true : undefined,
    );
    assert.equal((await serverOf(hub, name))?.ready, true);
    await hub.setBusy(name, false);
    await until(hub, 'a pass stops it', async () => ((await pass()).stopped === 1 ? true : undefined));
    await becomes(hub, name, 'stopped', isStopped);
  });

  it('leaves a server past its time alone for as long as somebody has extended it', async (t) => {
    const hub = await open();
    const { clock, timeoutMs, pass } = await culledTeam(hub, t);
    const name = await added(hub);
    await running(hub, name);
    const extendedUntil = clock.now() + 3 * idleMs;
    const extended = { [name]: { extendedUntil: new Date(extendedUntil).toISOString() } };
    let held = 0;
    await until(hub, 'a pass stops it', async () => {
      const server = await serverOf(hub, name);
      assert.ok(server !== null);
      const past = isPast(server, clock.now(), timeoutMs);
      const { stopped: count } = await pass(extended);
      if (clock.now() < extendedUntil) {
        assert.equal(count, 0, 'it was stopped though it is extended');
        if (past) held += 1;
      }
      return count === 1 ? true : undefined;
    });
    assert.ok(held > 0, 'it was never past its time');
    await becomes(hub, name, 'stopped', isStopped);
  });
};
