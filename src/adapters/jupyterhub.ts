import { isoOf } from '../lib/time.ts';
import { type NamedTeam, serverSegment } from '../model/names.ts';
import type { HubRefusal, Hubs, HubUser, SpawnProgress } from '../ports/hubs.ts';
import type { Clock } from '../ports/runtime.ts';
import { Unavailable } from '../ports/unavailable.ts';
import {
  type HubAnswer,
  HubHttp,
  type HubRequest,
  limits,
  messageOf,
  readBody,
  segment,
  send,
  unavailable,
} from './jupyterhub-http.ts';
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

export interface HubsOptions {
  /** Base URL of a hub (HUB_API_URL_TEMPLATE); placeholders {slug} {id} {namespace}. */
  readonly urlTemplate: string;
  /** The tokens of our service that a team’s hub may know, newest first. */
  readonly tokens: (id: string) => readonly string[];
  readonly clock: Clock;
  /** Deadline of a call, 10 seconds by default; a call that stops a server gets 1.5 times as much. */
  readonly callMs?: number;
  /** Idle timeout of a progress stream; JupyterHub sends a keep-alive every eight seconds. */
  readonly idleTimeoutMs?: number;
}

/** JupyterHub’s maximum page size (`api_page_max_limit`). */
const pageSize = 200;
const maxPages = 100;

/** A user removed while the list is read shifts the others, and one of them may be missed. */
const listAttempts = 3;
const paginated = 'application/jupyterhub-pagination+json';
const probeNote = 'knada-notebooks: is a kernel busy';
const probeSeconds = 60;

/** The teams’ hubs over JupyterHub’s REST API. */
export const openHubs = (options: HubsOptions): Hubs => new JupyterHubs(options);

class JupyterHubs implements Hubs {
  readonly #wire: HubHttp;
  readonly #clock: Clock;
  readonly #callMs: number;
  readonly #stopCallMs: number;
  readonly #idleTimeoutMs: number;

  constructor({ urlTemplate, tokens, clock, callMs, idleTimeoutMs }: HubsOptions) {
    this.#wire = new HubHttp({ urlTemplate, tokens, clock });
    this.#clock = clock;
    this.#callMs = callMs ?? limits.callMs;
    this.#stopCallMs = callMs === undefined ? limits.stopCallMs : callMs * 1.5;
    this.#idleTimeoutMs = idleTimeoutMs ?? 30_000;
  }

  version: Hubs['version'] = async (team, signal) => this.#version(team, this.#deadline(signal));

  users: Hubs['users'] = async (team, signal, { active = false } = {}) => {
    const deadline = this.#deadline(signal);
    const filter = active ? 'state=active' : 'include_stopped_servers=1';
    for (let attempt = 0; attempt < listAttempts; attempt += 1) {
      const users = await this.#everyPage(team, filter, deadline);
      if (users === undefined) continue;
      return active ? users.filter(({ server }) => server !== null && !server.stopped) : users;
    }
    throw unavailable(team, 'kept changing its list of users while we read it');
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
   * JupyterHub deletes a user whose server it does not consider running, and with the user a server that is starting or
   * not checked yet, which would then keep running unmanaged. So such servers are stopped first.
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
    if (answer.status === 400 && answer.message.exec(/in the process of stopping/i) !== null)
      return 'stopping';
    throw unexpected(team, answer);
  };

  start: Hubs['start'] = async (team, name, { profile, revision, chosenAt }, signal) => {
    const deadline = this.#deadline(signal);
    const version = this.#wire.versionOf(team) ?? (await this.#version(team, deadline));
    const nested = majorOf(version) >= 6;
    const userOptions = { profile, knada_revision: revision, knada_chosen_at: chosenAt };
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
      // JupyterHub 6 reads both bodies. 5 reads the newer one as unknown options: a hub that was rolled back since its
      // last answer would start the default profile.
      if (nested && majorOf(this.#wire.versionOf(team) ?? version) < 6) {
        await this.#stop(team, name, this.#deadline(signal, this.#stopCallMs));
        throw unavailable(team, 'has changed its version');
      }
      return answer.status === 201 ? 'ready' : 'starting';
    }
    const refusal = refusalOf(answer, this.#clock.now());
    if (refusal !== undefined) return refusal;
    // The start failed within the hub’s `slow_spawn_timeout`, so the response has the error.
    if (answer.status === 500)
      return { refused: 'refused', message: messageOf(answer) || 'The start failed.' };
    throw unexpected(team, answer);
  };

  stop: Hubs['stop'] = async (team, name, signal) =>
    this.#stop(team, name, this.#deadline(signal, this.#stopCallMs));

  progress: Hubs['progress'] = (team, name, signal) => this.#progress(team, name, signal);

  async *#progress(team: NamedTeam, name: string, signal: AbortSignal): AsyncGenerator<SpawnProgress> {
    const idle = new IdleTimeout(this.#callMs, this.#idleTimeoutMs);
    const either = AbortSignal.any([signal, idle.signal]);
    const path = `/users/${segment(name)}/server/progress`;
    try {
      const answer = await idle.during(
        this.#wire.stream(team, { method: 'GET', path, accept: 'text/event-stream' }, either),
      );
      if (!(answer instanceof Response)) {
        const isOver = answer.status === 400 && answer.message.exec(/\bnot starting\b/i) !== null;
        if (isOver || answer.status === 404) return;
        throw unexpected(team, answer);
      }
      let last = 0;
      for await (const data of eventData(idle.between(answer.body ?? noChunks()))) {
        const line = readProgress(data, last);
        last = line.progress;
        const { outcome, message } = line;
        yield outcome === 'failed'
          ? { ...line, message: `${this.#wire.upstreamMessage(team, message)}` }
          : line;
        if (outcome !== undefined) return;
      }
      throw unavailable(team, 'closed the progress stream of a start early');
    } catch (error) {
      if (signal.aborted) return;
      if (error instanceof NotProgress) throw unavailable(team, 'sent an invalid progress stream', error);
      if (idle.signal.aborted) throw unavailable(team, 'sent no progress within the idle timeout', error);
      if (error instanceof Unavailable) throw error;
      throw unavailable(team, 'closed the progress stream of a start early', error);
    } finally {
      idle.end();
    }
  }

  reportActivity: Hubs['reportActivity'] = async (team, name, at, signal) => {
    const hubTime = isoOf(Date.parse(at) + this.#wire.skewMs(team));
    const body = { last_activity: hubTime, servers: { '': { last_activity: hubTime } } };
    const request = { method: 'POST', path: `/users/${segment(name)}/activity`, body } as const;
    const answer = await this.#wire.send(team, request, this.#deadline(signal));
    if (answer.status === 200 || answer.status === 204) return;
    const { status, message } = answer;
    if (status === 400 && message.exec(/in the future|not a valid timestamp/i) !== null) {
      throw new RangeError(messageOf(answer));
    }
    // No such user, or a user without a server: there is no activity to keep.
    if (status === 404 || (status === 400 && message.exec(/no such server/i) !== null)) return;
    throw unexpected(team, answer);
  };

  /** The probe itself counts as activity: the proxy in front of the server does not say who sent it. */
  isBusy: Hubs['isBusy'] = async (team, name, signal) => {
    const deadline = this.#deadline(signal);
    const tokens = `/users/${segment(name)}/tokens`;
    const body = { expires_in: probeSeconds, scopes: [`access:servers!user=${name}`], note: probeNote };
    const answer = await this.#wire.send(team, { method: 'POST', path: tokens, body }, deadline);
    if (answer.status !== 201 && answer.status !== 200) throw unexpected(team, answer);
    const minted = readMinted(answer.body);
    if (minted === undefined) throw unavailable(team, 'answered with an invalid token');
    try {
      const busy = await this.#kernels(team, name, minted.token, deadline);
      if (busy === undefined) throw unavailable(team, 'has a notebook server whose kernel list is invalid');
      return busy;
    } finally {
      const path = `${tokens}/${encodeURIComponent(minted.id)}`;
      const cleanup = AbortSignal.timeout(limits.cleanupMs);
      // A token that is not deleted expires within a minute, and allows access to this server only.
      await this.#wire.send(team, { method: 'DELETE', path }, cleanup).catch(() => undefined);
    }
  };

  async #kernels(team: NamedTeam, name: string, token: string, signal: AbortSignal) {
    const url = `${this.#wire.baseOf(team)}/user/${serverSegment(name)}/api/kernels`;
    const headers = { accept: 'application/json', authorization: `token ${token}` };
    const response = await send(team, url, { headers }, signal);
    const body = await readBody(team, response, signal);
    if (response.status === 200) return readBusy(body);
    throw unavailable(team, `has a notebook server that answered with ${response.status}`);
  }

  #deadline(signal: AbortSignal, ms = this.#callMs): AbortSignal {
    return AbortSignal.any([signal, AbortSignal.timeout(ms)]);
  }

  async #version(team: NamedTeam, signal: AbortSignal): Promise<string> {
    const answer = await this.#wire.ask(team, '/', signal);
    const version = answer.status === 200 ? readVersion(answer.body) : undefined;
    if (version === undefined) throw unexpected(team, answer);
    return version;
  }

  async #user(team: NamedTeam, name: string, signal: AbortSignal): Promise<HubUser | undefined> {
    const path = `/users/${segment(name)}?include_stopped_servers=1`;
    const answer = await this.#wire.send(team, { method: 'GET', path }, signal);
    if (answer.status === 404) return undefined;
    if (answer.status !== 200) throw unexpected(team, answer);
    const user = readUser(parsed(answer.body), this.#wire.skewMs(team));
    if (user === undefined) throw unavailable(team, 'answered with an invalid user');
    return user;
  }

  /** Undefined when a user was removed while the pages were read. */
  async #everyPage(
    team: NamedTeam,
    filter: string,
    signal: AbortSignal,
  ): Promise<readonly HubUser[] | undefined> {
    const users = new Map<string, HubUser>();
    let offset = 0;
    for (let pages = 1; pages <= maxPages; pages += 1) {
      // The next page is requested by its offset alone: the URL that comes with it may be internal to the cluster.
      const path = `/users?${filter}&offset=${offset}&limit=${pageSize}`;
      const answer = await this.#wire.send(team, { method: 'GET', path, accept: paginated }, signal);
      if (answer.status !== 200) throw unexpected(team, answer);
      const page = readUsersPage(answer.body, this.#wire.skewMs(team));
      if (page === undefined) throw unavailable(team, 'answered with an invalid list of users');
      for (const user of page.users) users.set(user.name, user);
      if (page.next === undefined) {
        return pages > 1 && users.size < page.total ? undefined : [...users.values()];
      }
      if (page.next <= offset) throw unavailable(team, 'answered with pages that do not advance');
      offset = page.next;
    }
    throw unavailable(team, `has more than ${maxPages} pages of users`);
  }

  async #stop(
    team: NamedTeam,
    name: string,
    signal: AbortSignal,
  ): Promise<'stopped' | 'stopping' | HubRefusal> {
    const request: HubRequest = { method: 'DELETE', path: `/users/${segment(name)}/server` };
    const answer = await this.#wire.send(team, request, signal);
    if (answer.status === 204) return 'stopped';
    if (answer.status === 202) return 'stopping';
    const refusal = refusalOf(answer, this.#clock.now());
    if (refusal !== undefined) return refusal;
    // There is no message for a server that cannot be stopped yet: one that is not checked, or a start that is not
    // cancelled within a second (stop_single_user raises RuntimeError).
    const pending =
      answer.status === 500 ? (await this.#user(team, name, signal))?.server?.pending : undefined;
    switch (pending) {
      case 'stop':
        return 'stopping';
      case 'check':
        return {
          refused: 'pending_check',
          message: 'The hub has just started and has not checked the server yet.',
        };
      case 'spawn':
        return { refused: 'pending_spawn', message: 'The start is not cancelled yet.' };
      default:
        throw unexpected(team, answer);
    }
  }
}

/** Aborts when a stream sends nothing for too long; a slow consumer does not count. */
class IdleTimeout {
  readonly #controller = new AbortController();
  readonly #firstByteMs: number;
  readonly #betweenMs: number;
  #timer: NodeJS.Timeout | undefined;

  constructor(firstByteMs: number, betweenMs: number) {
    this.#firstByteMs = firstByteMs;
    this.#betweenMs = betweenMs;
  }

  get signal(): AbortSignal {
    return this.#controller.signal;
  }

  async during<T>(work: Promise<T>): Promise<T> {
    this.#arm(this.#firstByteMs);
    try {
      return await work;
    } finally {
      this.end();
    }
  }

  async *between(stream: AsyncIterable<Uint8Array>): AsyncGenerator<Uint8Array> {
    this.#arm(this.#betweenMs);
    for await (const chunk of stream) {
      this.end();
      yield chunk;
      this.#arm(this.#betweenMs);
    }
    this.end();
  }

  end(): void {
    clearTimeout(this.#timer);
  }

  #arm(ms: number): void {
    this.#timer = setTimeout(() => this.#controller.abort(), ms);
  }
}

async function* noChunks(): AsyncGenerator<Uint8Array> {}

/** `5` of `5.5.0`. */
const majorOf = (version: string): number => Number.parseInt(version, 10);

/** An unexpected answer, which is treated as no answer. */
const unexpected = (team: NamedTeam, answer: HubAnswer): Unavailable => {
  const message = messageOf(answer);
  return unavailable(team, `answered with ${answer.status}${message === '' ? '' : `: ${message}`}`);
};
