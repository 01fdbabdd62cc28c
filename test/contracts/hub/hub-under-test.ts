import assert from 'node:assert/strict';
import { randomUUID } from 'node:crypto';
import type { NamedTeam } from '../../../src/model/names.ts';
import type { HubRefusal, HubServer, Hubs, SpawnProgress } from '../../../src/ports/hubs.ts';
import { Unavailable } from '../../../src/ports/unavailable.ts';

/**
 * A running hub whose users are all the suite’s own, and what a test needs around it. A hub is
 * shared by all tests of a suite: each brings people of its own.
 */
export interface HubUnderTest {
  readonly team: NamedTeam;
  /** JupyterHub’s major version, 5 or 6. */
  readonly major: number;
  /** The adapter on this hub, with `token`. */
  readonly hubs: Hubs;
  /** The token of our service, as the hub knows it. */
  readonly token: string;
  /** What the hub’s role of our service holds. */
  readonly scopes: readonly string[];
  /** Another adapter on the same hub, with these tokens, newest first, and our clock that far ahead of the hub’s. */
  readonly withTokens: (tokens: readonly string[], clockAheadMs?: number) => Hubs;
  /** What this hub offers: what a start may name. */
  readonly offered: { readonly profile: string; readonly revision: number; readonly chosenAt: number };
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
  /** Headers of the requests that reached this person’s notebook server, from any sender. */
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

export const stepMs = 250;
/** Of a real hub on a machine with much else to do. */
export const patienceSteps = 480;

export const signal = (): AbortSignal => AbortSignal.timeout(120_000);

/** A name that no other test uses, and that has to be encoded in a path. */
export const newUserName = (): string => `kari+${randomUUID().slice(0, 8)}@nav.no`;

export const isRefusal = (answer: unknown): answer is HubRefusal =>
  typeof answer === 'object' && answer !== null;

/** What the hub refused; fails when it did not refuse. */
export const refusalOf = (answer: unknown): HubRefusal['refused'] => {
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
export const passing = async <T>(hub: HubUnderTest, work: Promise<T>): Promise<T> => {
  let settled = false;
  const done = work.finally(() => {
    settled = true;
  });
  // The caller that awaits `done` below gets the failure; until then it must not count as unhandled.
  done.catch(() => undefined);
  for (let step = 0; step < patienceSteps && !settled; step += 1) await hub.letTimePass(stepMs);
  assert.ok(settled, 'It did not end');
  return done;
};

export const serverOf = async ({ hubs, team }: HubUnderTest, name: string): Promise<HubServer | null> => {
  const user = await hubs.user(team, name, signal());
  assert.ok(user !== undefined, `${name} is not a user`);
  return user.server;
};

/** The person’s server once it is as wanted. */
export const becomes = (
  hub: HubUnderTest,
  name: string,
  what: string,
  isSo: (server: HubServer) => boolean,
): Promise<HubServer> =>
  until(hub, `${name}’s server is ${what}`, async () => {
    const server = await serverOf(hub, name);
    return server !== null && isSo(server) ? server : undefined;
  });

export const isReady = ({ ready }: HubServer): boolean => ready;
export const isStopped = ({ stopped, pending }: HubServer): boolean => stopped && pending === null;

export const added = async (hub: HubUnderTest): Promise<string> => {
  const name = newUserName();
  assert.equal(await hub.hubs.addUser(hub.team, name, signal()), 'added');
  return name;
};

export const start = (hub: HubUnderTest, name: string) =>
  hub.hubs.start(hub.team, name, hub.offered, signal());
export const stop = (hub: HubUnderTest, name: string) => hub.hubs.stop(hub.team, name, signal());

/** A running server; the answer is its model at the hub. */
export const running = async (hub: HubUnderTest, name: string): Promise<HubServer> => {
  const answer = await start(hub, name);
  assert.ok(answer === 'starting' || answer === 'ready', JSON.stringify(answer));
  return becomes(hub, name, 'ready', isReady);
};

/** Stops the server, so a suite leaves few of them behind. */
export const stopped = async (hub: HubUnderTest, name: string): Promise<HubServer> => {
  const answer = await passing(hub, stop(hub, name));
  assert.ok(answer === 'stopped' || answer === 'stopping', JSON.stringify(answer));
  return becomes(hub, name, 'stopped', isStopped);
};

export const progressOf = async (hub: HubUnderTest, name: string): Promise<readonly SpawnProgress[]> => {
  const lines: SpawnProgress[] = [];
  for await (const line of hub.hubs.progress(hub.team, name, signal())) lines.push(line);
  return lines;
};

export const isUnavailable = (error: unknown): true => {
  assert.ok(error instanceof Unavailable, String(error));
  assert.equal(error.system, 'hub');
  return true;
};
