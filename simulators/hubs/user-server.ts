import { randomUUID } from 'node:crypto';
import { STATUS_CODES } from 'node:http';
import { setTimeout as sleep } from 'node:timers/promises';
import { isReady } from '../cluster/kubelet.ts';
import type { Client } from '../kubernetes/client.ts';
import type { Json, JsonMap } from '../kubernetes/json.ts';
import { uidOf } from '../kubernetes/object.ts';
import { ApiError } from '../kubernetes/status.ts';
import { escapePath } from './answer.ts';
import type { HubDatabase, ServerRow } from './database.ts';
import type { Faults } from './faults.ts';
import { claimNameOf, claimOf, podNameOf, podOf, type Spawn, withProfile } from './kubespawner.ts';
import type { Pods } from './pods.ts';
import { type NotebookProfiles, SpawnRefused } from './profiles.ts';
import type { HubSettings } from './settings.ts';
import type { Timings } from './timings.ts';

/** What the servers of one hub share. */
export interface Surroundings {
  readonly slug: string;
  readonly version: string;
  readonly settings: HubSettings;
  readonly database: HubDatabase;
  readonly client: Client;
  readonly pods: Pods;
  /** undefined: every start uses the chart’s values alone. */
  readonly profiles: NotebookProfiles | undefined;
  readonly faults: Faults;
  readonly timings: Timings;
  readonly now: () => number;
  /** Aborts when the hub ends or is frozen; nothing is done or written afterwards. */
  readonly ended: AbortSignal;
  /** Called when a server has stopped; with `forget`, the next start creates a new one. */
  readonly stopped: (user: string, forget: boolean) => void;
  readonly onFailure: (what: string, error: unknown) => void;
}

export type SpawnEnd =
  | { readonly kind: 'ready' }
  | { readonly kind: 'cancelled' }
  | { readonly kind: 'failed'; readonly message: string };

/** One start of a server: JupyterHub’s `_spawn_future`. */
export interface Attempt {
  readonly done: Promise<SpawnEnd>;
  /** undefined while it is in progress. */
  readonly end: SpawnEnd | undefined;
  /** The uids of events older than its pod; undefined before the pod is created. */
  readonly formerEvents: ReadonlySet<string> | undefined;
}

interface OpenAttempt extends Attempt {
  readonly cancel: AbortController;
  done: Promise<SpawnEnd>;
  end: SpawnEnd | undefined;
  formerEvents: ReadonlySet<string> | undefined;
}

export type Pending = 'spawn' | 'stop' | 'check';

/** The text of kubernetes_asyncio’s ApiException. */
const apiException = (error: ApiError): string =>
  `(${error.code})\nReason: ${STATUS_CODES[error.code] ?? ''}\nHTTP response headers: <CIMultiDictProxy('Content-Type': 'application/json')>\nHTTP response body: ${JSON.stringify(error.body)}\n\n`;

const textOf = (error: unknown): string => {
  if (error instanceof ApiError) return apiException(error);
  return error instanceof Error ? error.message : String(error);
};

/**
 * A user’s default server as the hub’s process knows it: the state machine of jupyterhub/spawner.py and user.py, with
 * pods made as KubeSpawner makes them.
 */
export class UserServer {
  readonly user: string;
  readonly #hub: Surroundings;
  readonly #spawn: Spawn;
  #isSpawning = false;
  #isStopping = false;
  #isChecking = false;
  #attempt: OpenAttempt | undefined;

  constructor(user: string, hub: Surroundings) {
    this.user = user;
    this.#hub = hub;
    this.#spawn = { settings: hub.settings.spawner, user, hubVersion: hub.version };
  }

  get pending(): Pending | null {
    if (this.#isSpawning) return 'spawn';
    if (this.#isStopping) return 'stop';
    return this.#isChecking ? 'check' : null;
  }

  /** It is running and nothing is pending. */
  get ready(): boolean {
    return this.pending === null && this.#row?.active === true;
  }

  get active(): boolean {
    return this.pending !== null || this.ready;
  }

  /** The start in progress, or the last one if it failed. */
  get attempt(): Attempt | undefined {
    return this.#attempt;
  }

  get podName(): string {
    return podNameOf(this.user);
  }

  /** Begins a start. undefined: with the options of the last one. */
  start(options: Json | undefined): void {
    const asked = options ?? this.#row?.options ?? {};
    const cancel = new AbortController();
    this.#isSpawning = true;
    const attempt: OpenAttempt = {
      cancel,
      end: undefined,
      formerEvents: undefined,
      done: Promise.resolve({ kind: 'cancelled' }),
    };
    this.#attempt = attempt;
    attempt.done = this.#run(attempt, asked).then((end) => {
      attempt.end = end;
      this.#isSpawning = false;
      if (end.kind !== 'failed' && this.#attempt === attempt) this.#attempt = undefined;
      return end;
    });
  }

  /** Cancels a start in progress; what it has created stays. */
  async cancel(): Promise<void> {
    const attempt = this.#attempt;
    attempt?.cancel.abort();
    await attempt?.done;
  }

  /** Whether its pod exists. */
  async exists(): Promise<boolean> {
    return (await this.#hub.pods.get(this.#namespace, this.podName)) !== undefined;
  }

  /** JupyterHub’s `user.stop`: deletes the pod and records that the server is stopped. */
  async stop(): Promise<void> {
    const { pods, client, faults, timings, ended, slug } = this.#hub;
    this.#isSpawning = false;
    this.#isChecking = false;
    this.#isStopping = true;
    try {
      const pod = await pods.get(this.#namespace, this.podName);
      if (pod !== undefined) {
        await client.delete('pods', this.#namespace, this.podName, { gracePeriodSeconds: 1 });
        const isGone = (found: typeof pod | undefined): boolean =>
          found === undefined || uidOf(found) !== uidOf(pod);
        const inTime = AbortSignal.any([ended, AbortSignal.timeout(timings.startMs)]);
        await pods.until(this.#namespace, this.podName, isGone, inTime);
      }
      await faults.free(slug, this.user, 'stop', ended);
    } finally {
      if (!ended.aborted) this.#noteStopped();
    }
  }

  /** After a start of the hub: checks whether the server is still running. */
  async check(): Promise<void> {
    const { timings, ended, pods } = this.#hub;
    this.#isChecking = true;
    await sleep(timings.checkMs, undefined, { signal: ended });
    const inTime = AbortSignal.any([ended, AbortSignal.timeout(timings.answerMs)]);
    const answers = (await this.exists())
      ? await pods
          .until(this.#namespace, this.podName, (pod) => pod === undefined || isReady(pod), inTime)
          .then(
            (pod) => pod !== undefined,
            () => false,
          )
      : false;
    ended.throwIfAborted();
    if (!answers) await this.stop();
    this.#isChecking = false;
  }

  /** Records that it has stopped when its pod is gone. Returns whether it is running. */
  async poll(): Promise<boolean> {
    if (await this.exists()) return true;
    if (this.ready) await this.stop();
    return false;
  }

  get #row(): ServerRow | undefined {
    return this.#hub.database.user(this.user)?.server;
  }

  get #namespace(): string {
    return this.#hub.settings.spawner.namespace;
  }

  #iso(): string {
    return new Date(this.#hub.now()).toISOString();
  }

  #noteStopped(): void {
    const { database } = this.#hub;
    const token = this.#row?.token ?? null;
    const now = this.#iso();
    database.change(this.user, {
      lastActivity: now,
      server: { active: false, started: null, token: null, lastActivity: now },
    });
    if (token !== null) database.removeToken(token);
    this.#isStopping = false;
    const attempt = this.#attempt;
    const isKept = attempt !== undefined && (attempt.end === undefined || attempt.end.kind === 'failed');
    this.#hub.stopped(this.user, !isKept);
  }

  async #run(attempt: OpenAttempt, options: Json): Promise<SpawnEnd> {
    const { ended, onFailure } = this.#hub;
    const signal = AbortSignal.any([attempt.cancel.signal, ended]);
    try {
      await this.#bringUp(attempt, options, signal);
      return { kind: 'ready' };
    } catch (error) {
      if (signal.aborted) return { kind: 'cancelled' };
      await this.stop().catch((fault: unknown) => onFailure(`The server of ${this.user}`, fault));
      return { kind: 'failed', message: textOf(error) };
    }
  }

  async #bringUp(attempt: OpenAttempt, options: Json, signal: AbortSignal): Promise<void> {
    const { database, profiles, faults, timings, slug, pods } = this.#hub;
    const token = randomUUID().replaceAll('-', '');
    const now = this.#iso();
    const row = database.addToken(token, {
      user: this.user,
      scopes: [`users:activity!user=${this.user}`, `access:servers!server=${this.user}/`],
      note: `Server at /user/${escapePath(this.user)}/`,
      created: now,
      expiresAt: null,
    });
    database.change(this.user, {
      lastActivity: now,
      server: { options, active: true, started: now, lastActivity: now, token: row.id },
    });
    const fault = faults.takeFailure(slug, this.user);
    if (fault !== undefined) throw new SpawnRefused(fault);
    const chosen = await profiles?.choose(options, signal);
    // JupyterHub keeps what the hub’s code makes of the options.
    if (chosen !== undefined) database.change(this.user, { server: { options: chosen.options } });
    const traits = withProfile(this.#spawn, chosen?.profile.override ?? {});

    const deadline = AbortSignal.timeout(timings.startMs);
    const inTime = AbortSignal.any([signal, deadline]);
    try {
      attempt.formerEvents = await this.#events();
      await this.#ensureClaim(traits);
      await this.#createPod(podOf(this.#spawn, traits, token), inTime);
      const isUp = (pod: Parameters<typeof isReady>[0] | undefined): boolean =>
        pod !== undefined && isReady(pod);
      await pods.until(this.#namespace, this.podName, isUp, inTime);
      await faults.free(slug, this.user, 'start', inTime);
    } catch (error) {
      if (!deadline.aborted || signal.aborted) throw error;
      throw new Error(
        `pod ${this.#namespace}/${this.podName} did not start in ${timings.startMs / 1000} seconds!`,
      );
    }
  }

  async #events(): Promise<ReadonlySet<string>> {
    const fieldSelector = `involvedObject.kind=Pod,involvedObject.name=${this.podName}`;
    const events = await this.#hub.client.list('events', { namespace: this.#namespace, fieldSelector });
    return new Set(events.map(uidOf));
  }

  async #ensureClaim(traits: JsonMap): Promise<void> {
    const { client } = this.#hub;
    try {
      await client.create(claimOf(this.#spawn, traits));
    } catch (error) {
      if (!(error instanceof ApiError)) throw error;
      if (error.code === 409) return;
      // The quota is checked before the name, so an existing claim may answer 403.
      const claim = await client.get('persistentvolumeclaims', this.#namespace, claimNameOf(this.#spawn));
      if (error.code !== 403 || claim === undefined) throw error;
    }
  }

  /** An existing pod of this name is deleted first. */
  async #createPod(pod: JsonMap, signal: AbortSignal): Promise<void> {
    const { client, pods } = this.#hub;
    for (;;) {
      signal.throwIfAborted();
      try {
        await client.create(pod);
        return;
      } catch (error) {
        if (!(error instanceof ApiError) || error.code !== 409) throw error;
        await client.delete('pods', this.#namespace, this.podName, { gracePeriodSeconds: 0 });
        await pods.until(this.#namespace, this.podName, (found) => found === undefined, signal);
      }
    }
  }
}
