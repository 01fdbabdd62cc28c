import { serverSegment, type TeamName } from '../model/names.ts';
import type { HubRefusal, Hubs, HubUser, SpawnProgress } from '../ports/hubs.ts';
import type { Clock } from '../ports/runtime.ts';
import { Unavailable } from '../ports/unavailable.ts';
import {
  parsed,
  readBusy,
  readMinted,
  readUser,
  readUsersPage,
  readVersion,
  refusalOf,
} from './jupyterhub-model.ts';
import { eventData, NotProgress, readProgress } from './jupyterhub-progress.ts';
import {
  exchange,
  type HubAnswer,
  type HubRequest,
  HubWire,
  limits,
  messageOf,
  read,
  segment,
  unavailable,
} from './jupyterhub-wire.ts';

export interface HubsOptions {
  /** Where a hub is (HUB_API_URL_TEMPLATE); placeholders {slug} {id} {namespace}. */
  readonly urlTemplate: string;
  /** The tokens of our service that a team’s hub may know, newest first. */
  readonly tokens: (id: string) => readonly string[];
  readonly clock: Clock;
  /** Deadline of a call, 10 seconds unless told; one that stops a server gets half as much again. */
  readonly callMs?: number;
  /** How long a stream of progress may be silent; JupyterHub breaks its silence every eight seconds. */
  readonly silenceMs?: number;
}

/** JupyterHub’s cap on a page (`api_page_max_limit`). */
const pageSize = 200;
const maxPages = 100;

/** Who is removed while the list is read moves the others forward, and one of them may be missed. */
const listTries = 3;
const paginated = 'application/jupyterhub-pagination+json';
const probeNote = 'knada-notebooks: is a kernel busy';
const probeSeconds = 60;

/** The teams’ hubs over JupyterHub’s REST API. */
export const openHubs = (options: HubsOptions): Hubs => new JupyterHubs(options);

class JupyterHubs implements Hubs {
  readonly #wire: HubWire;
  readonly #clock: Clock;
  readonly #callMs: number;
  readonly #stopCallMs: number;
  readonly #silenceMs: number;

  constructor({ urlTemplate, tokens, clock, callMs, silenceMs }: HubsOptions) {
    this.#wire = new HubWire({ urlTemplate, tokens });
    this.#clock = clock;
    this.#callMs = callMs ?? limits.callMs;
    this.#stopCallMs = callMs === undefined ? limits.stopCallMs : callMs * 1.5;
    this.#silenceMs = silenceMs ?? 30_000;
  }

  version: Hubs['version'] = async (team, signal) => this.#version(team, this.#deadline(signal));

  users: Hubs['users'] = async (team, signal, { active = false } = {}) => {
    const deadline = this.#deadline(signal);
    const filter = active ? 'state=active' : 'include_stopped_servers=1';
    for (let tries = 0; tries < listTries; tries += 1) {
      const users = await this.#everyPage(team, filter, deadline);
      if (users === undefined) continue;
      return active ? users.filter(({ server }) => server !== null && !server.stopped) : users;
    }
    throw unavailable(team, 'changed its list of people again and again while we read it');
  };

  user: Hubs['user'] = async (team, name, signal) => this.#user(team, name, this.#deadline(signal));

  addUser: Hubs['addUser'] = async (team, name, signal) => {
    const request = { method: 'POST', path: `/users/${segment(name)}` } as const;
    const answer = await this.#wire.send(team, request, this.#deadline(signal));
    if (answer.status === 201) return 'added';
    if (answer.status === 409) return 'exists';
    throw unexpected(team, answer);
  };

  /**
   * JupyterHub forgets a person whose server it does not hold for running, and with them a server that is being
   * started or that it has yet to check: that would run on with nobody to stop it. So those are stopped first.
   */
  removeUser: Hubs['removeUser'] = async (team, name, signal) => {
    const deadline = this.#deadline(signal, this.#stopCallMs);
    const user = await this.#user(team, name, deadline);
    if (user === undefined) return 'absent';
    const pending = user.server?.pending ?? null;
    if (pending === 'spawn') await this.#stop(team, name, deadline);
    if (pending !== null) return 'stopping';
    const request = { method: 'DELETE', path: `/users/${segment(name)}` } as const;
    const answer = await this.#wire.send(team, request, deadline);
    if (answer.status === 204) return 'removed';
    if (answer.status === 404) return 'absent';
    if (answer.status === 400 && /in the process of stopping/i.test(messageOf(answer))) return 'stopping';
    throw unexpected(team, answer);
  };

  start: Hubs['start'] = async (team, name, { profile, revision }, signal) => {
    const deadline = this.#deadline(signal);
    const version = this.#wire.versionOf(team) ?? (await this.#version(team, deadline));
    const nested = majorOf(version) >= 6;
    const userOptions = { profile, knada_revision: revision };
    const answer = await this.#wire.send(
      team,
      {
        method: 'POST',
        path: `/users/${segment(name)}/server`,
        body: nested ? { user_options: userOptions } : userOptions,
      },
      deadline,
    );
    if (answer.status === 201 || answer.status === 202) {
      // JupyterHub 6 reads both bodies. 5 takes the newer one as options that it does not know: a hub that was rolled
      // back since its last answer would run the default profile.
      if (nested && majorOf(this.#wire.versionOf(team) ?? version) < 6) {
        await this.#stop(team, name, this.#deadline(signal, this.#stopCallMs));
        throw unavailable(team, 'is another version now');
      }
      return answer.status === 201 ? 'ready' : 'starting';
    }
    const refusal = refusalOf(answer, this.#clock.now());
    if (refusal !== undefined) return refusal;
    // The start failed before it was slow, so the hub tells at once.
    if (answer.status === 500)
      return { refused: 'refused', message: messageOf(answer) || 'The start failed.' };
    throw unexpected(team, answer);
  };

  stop: Hubs['stop'] = async (team, name, signal) =>
    this.#stop(team, name, this.#deadline(signal, this.#stopCallMs));

  progress: Hubs['progress'] = (team, name, signal) => this.#progress(team, name, signal);

  async *#progress(team: TeamName, name: string, signal: AbortSignal): AsyncGenerator<SpawnProgress> {
    const silence = new Silence(this.#callMs, this.#silenceMs);
    const either = AbortSignal.any([signal, silence.signal]);
    const path = `/users/${segment(name)}/server/progress`;
    try {
      const answer = await silence.during(
        this.#wire.stream(team, { method: 'GET', path, accept: 'text/event-stream' }, either),
      );
      if (!(answer instanceof Response)) {
        const isOver = answer.status === 400 && /\bnot starting\b/i.test(messageOf(answer));
        if (isOver || answer.status === 404) return;
        throw unexpected(team, answer);
      }
      let last = 0;
      for await (const data of eventData(silence.between(answer.body ?? noChunks()))) {
        const line = readProgress(this.#wire.withoutTokens(team, data), last);
        last = line.progress;
        yield line;
        if (line.outcome !== undefined) return;
      }
      throw unavailable(team, 'broke off what it told of a start');
    } catch (error) {
      if (signal.aborted) return;
      if (error instanceof NotProgress) throw unavailable(team, 'told nonsense of a start', error);
      if (silence.signal.aborted) throw unavailable(team, 'fell silent during a start', error);
      if (error instanceof Unavailable) throw error;
      throw unavailable(team, 'broke off what it told of a start', error);
    } finally {
      silence.end();
    }
  }

  reportActivity: Hubs['reportActivity'] = async (team, name, at, signal) => {
    const body = { last_activity: at, servers: { '': { last_activity: at } } };
    const request = { method: 'POST', path: `/users/${segment(name)}/activity`, body } as const;
    const answer = await this.#wire.send(team, request, this.#deadline(signal));
    if (answer.status === 200 || answer.status === 204) return;
    const message = messageOf(answer);
    if (answer.status === 400 && /in the future|not a valid timestamp/i.test(message)) {
      throw new RangeError(message);
    }
    // Nobody, or nobody with a server: there is nothing to keep alive.
    if (answer.status === 404 || (answer.status === 400 && /no such server/i.test(message))) return;
    throw unexpected(team, answer);
  };

  /** Asking counts as activity: the proxy in front of the server does not tell who asked. */
  isBusy: Hubs['isBusy'] = async (team, name, signal) => {
    const deadline = this.#deadline(signal);
    const tokens = `/users/${segment(name)}/tokens`;
    const body = { expires_in: probeSeconds, scopes: [`access:servers!user=${name}`], note: probeNote };
    const answer = await this.#wire.send(team, { method: 'POST', path: tokens, body }, deadline);
    if (answer.status !== 201 && answer.status !== 200) throw unexpected(team, answer);
    const minted = readMinted(answer.body);
    if (minted === undefined) throw unavailable(team, 'answered with what is no token');
    try {
      const busy = await this.#kernels(team, name, minted.token, deadline);
      if (busy === undefined) throw unavailable(team, 'has a notebook server that answered with no kernels');
      return busy;
    } finally {
      const path = `${tokens}/${encodeURIComponent(minted.id)}`;
      const cleanup = AbortSignal.timeout(limits.cleanupMs);
      // A token that stays is good for another minute, for this server and nothing else.
      await this.#wire.send(team, { method: 'DELETE', path }, cleanup).catch(() => undefined);
    }
  };

  async #kernels(team: TeamName, name: string, token: string, signal: AbortSignal) {
    const url = `${this.#wire.baseOf(team)}/user/${serverSegment(name)}/api/kernels`;
    const headers = { accept: 'application/json', authorization: `token ${token}` };
    const response = await exchange(team, url, { headers }, signal);
    const body = await read(team, response, signal);
    if (response.status === 200) return readBusy(body);
    throw unavailable(team, `has a notebook server that answered with ${response.status}`);
  }

  #deadline(signal: AbortSignal, ms = this.#callMs): AbortSignal {
    return AbortSignal.any([signal, AbortSignal.timeout(ms)]);
  }

  async #version(team: TeamName, signal: AbortSignal): Promise<string> {
    const answer = await this.#wire.ask(team, '/', signal);
    const version = answer.status === 200 ? readVersion(answer.body) : undefined;
    if (version === undefined) throw unexpected(team, answer);
    return version;
  }

  async #user(team: TeamName, name: string, signal: AbortSignal): Promise<HubUser | undefined> {
    const path = `/users/${segment(name)}?include_stopped_servers=1`;
    const answer = await this.#wire.send(team, { method: 'GET', path }, signal);
    if (answer.status === 404) return undefined;
    if (answer.status !== 200) throw unexpected(team, answer);
    const user = readUser(parsed(answer.body));
    if (user === undefined) throw unavailable(team, 'answered with what is no person');
    return user;
  }

  /** Undefined when somebody was removed meanwhile. */
  async #everyPage(
    team: TeamName,
    filter: string,
    signal: AbortSignal,
  ): Promise<readonly HubUser[] | undefined> {
    const users = new Map<string, HubUser>();
    let offset = 0;
    for (let pages = 1; pages <= maxPages; pages += 1) {
      // The next page is asked for by its place alone: the address that comes with it may be one inside the cluster.
      const path = `/users?${filter}&offset=${offset}&limit=${pageSize}`;
      const answer = await this.#wire.send(team, { method: 'GET', path, accept: paginated }, signal);
      if (answer.status !== 200) throw unexpected(team, answer);
      const page = readUsersPage(answer.body);
      if (page === undefined) throw unavailable(team, 'answered with what is no list of people');
      for (const user of page.users) users.set(user.name, user);
      if (page.next === undefined) {
        return pages > 1 && users.size < page.total ? undefined : [...users.values()];
      }
      if (page.next <= offset) throw unavailable(team, 'answered with pages that lead nowhere');
      offset = page.next;
    }
    throw unavailable(team, `has more than ${maxPages} pages of people`);
  }

  async #stop(
    team: TeamName,
    name: string,
    signal: AbortSignal,
  ): Promise<'stopped' | 'stopping' | HubRefusal> {
    const request: HubRequest = { method: 'DELETE', path: `/users/${segment(name)}/server` };
    const answer = await this.#wire.send(team, request, signal);
    if (answer.status === 204) return 'stopped';
    if (answer.status === 202) return 'stopping';
    const refusal = refusalOf(answer, this.#clock.now());
    if (refusal !== undefined) return refusal;
    // It has no sentence for what it cannot stop yet: a server to be checked, or a start that does not give way
    // within a second (stop_single_user raises RuntimeError).
    const pending =
      answer.status === 500 ? (await this.#user(team, name, signal))?.server?.pending : undefined;
    switch (pending) {
      case 'stop':
        return 'stopping';
      case 'check':
        return {
          refused: 'pending_check',
          message: 'The hub has just started and does not know the server yet.',
        };
      case 'spawn':
        return { refused: 'pending_spawn', message: 'The start did not give way yet.' };
      default:
        throw unexpected(team, answer);
    }
  }
}

/** Ends what it watches when nothing is heard for too long; who is slow to listen does not count. */
class Silence {
  readonly #controller = new AbortController();
  readonly #firstMs: number;
  readonly #betweenMs: number;
  #timer: NodeJS.Timeout | undefined;

  constructor(firstMs: number, betweenMs: number) {
    this.#firstMs = firstMs;
    this.#betweenMs = betweenMs;
  }

  get signal(): AbortSignal {
    return this.#controller.signal;
  }

  async during<T>(work: Promise<T>): Promise<T> {
    this.#listen(this.#firstMs);
    try {
      return await work;
    } finally {
      this.end();
    }
  }

  async *between(stream: AsyncIterable<Uint8Array>): AsyncGenerator<Uint8Array> {
    this.#listen(this.#betweenMs);
    for await (const chunk of stream) {
      this.end();
      yield chunk;
      this.#listen(this.#betweenMs);
    }
    this.end();
  }

  end(): void {
    clearTimeout(this.#timer);
  }

  #listen(ms: number): void {
    this.#timer = setTimeout(() => this.#controller.abort(), ms);
  }
}

async function* noChunks(): AsyncGenerator<Uint8Array> {}

/** `5` of `5.5.0`. */
const majorOf = (version: string): number => Number.parseInt(version, 10);

/** The hub answered, and nobody expected this: it is as good as no answer. */
const unexpected = (team: TeamName, answer: HubAnswer): Unavailable => {
  const message = messageOf(answer);
  return unavailable(team, `answered with ${answer.status}${message === '' ? '' : `: ${message}`}`);
};
