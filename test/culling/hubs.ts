import type { HubRefusal, HubServer, Hubs } from '../../src/ports/hubs.ts';
import { Unavailable } from '../../src/ports/unavailable.ts';

/** What a notebook server’s kernels do when they are asked. */
export type Kernels = 'busy' | 'idle' | 'silent' | 'hanging';

/** A server as a test sets it; the instants are ISO 8601 UTC. */
export interface ServerUnderTest {
  startedAt: string;
  lastActivityAt: string | null;
  ready?: boolean;
  pending?: HubServer['pending'];
  kernels?: Kernels;
  /** What the hub says to a stop instead of doing it; `away`: it gives no answer. */
  toStop?: HubRefusal['refused'] | 'away';
}

/** Something that was asked of a hub, such as `stop team-a kari`. */
export type Asked = `${'users' | 'isBusy' | 'stop' | 'reportActivity'} ${string}`;

const away = () => new Unavailable('hub', 'The hub does not answer.');

/** Gives no answer until the signal ends. A signal’s timer alone keeps no process alive. */
const hang = (signal: AbortSignal): Promise<never> =>
  new Promise((_, reject) => {
    const alive = setTimeout(() => reject(new Error('no deadline was set')), 30_000);
    signal.addEventListener('abort', () => {
      clearTimeout(alive);
      reject(away());
    });
  });

/** Hubs of many teams in memory, which note what they are asked. */
export const hubsUnderTest = () => {
  const teams = new Map<string, Map<string, ServerUnderTest>>();
  const asked: Asked[] = [];
  const state = {
    away: new Set<string>(),
    hanging: new Set<string>(),
    /** Called before an answer, with what was asked. */
    before: async (_: Asked): Promise<void> => {},
  };

  const note = async (what: Asked, slug: string, signal: AbortSignal) => {
    asked.push(what);
    if (state.hanging.has(slug)) await hang(signal);
    if (state.away.has(slug)) throw away();
    await state.before(what);
  };
  const serversOf = (slug: string): Map<string, ServerUnderTest> => {
    const servers = teams.get(slug) ?? new Map<string, ServerUnderTest>();
    teams.set(slug, servers);
    return servers;
  };
  const unexpected = () => {
    throw new Error('The culling has no business with this.');
  };

  const hubs: Hubs = {
    version: unexpected,
    user: unexpected,
    addUser: unexpected,
    removeUser: unexpected,
    start: unexpected,
    progress: unexpected,
    async users({ slug }, signal, options) {
      await note(`users ${slug}`, slug, signal);
      if (options?.active !== true) unexpected();
      return [...serversOf(slug)].map(
        ([name, { startedAt, lastActivityAt, ready = true, pending = null }]) => ({
          name,
          server: { stopped: false, ready, pending, startedAt, lastActivityAt, profile: null },
        }),
      );
    },
    async isBusy({ slug }, user, signal) {
      await note(`isBusy ${slug} ${user}`, slug, signal);
      const kernels = serversOf(slug).get(user)?.kernels ?? 'idle';
      if (kernels === 'hanging') await hang(signal);
      if (kernels === 'silent') throw away();
      return kernels === 'busy';
    },
    async stop({ slug }, user, signal) {
      await note(`stop ${slug} ${user}`, slug, signal);
      const toStop = serversOf(slug).get(user)?.toStop;
      if (toStop === 'away') throw away();
      if (toStop !== undefined) return { refused: toStop, message: 'Not now.' };
      serversOf(slug).delete(user);
      return 'stopped';
    },
    async reportActivity({ slug }, user, at, signal) {
      await note(`reportActivity ${slug} ${user}`, slug, signal);
      const server = serversOf(slug).get(user);
      if (server !== undefined) server.lastActivityAt = at;
    },
  };
  return { hubs, asked, serversOf, state };
};
