import type { Client } from '../kubernetes/client.ts';
import { type KubeObject, uidOf } from '../kubernetes/object.ts';
import type { HubDatabase, UserRow } from './database.ts';
import type { Faults } from './faults.ts';
import type { HubConfiguration, Service } from './hub.ts';
import { Mount } from './mount.ts';
import type { Notebooks } from './notebooks.ts';
import type { Pods } from './pods.ts';
import { NotebookProfiles } from './profiles.ts';
import type { HubSettings } from './settings.ts';
import type { Timings } from './timings.ts';
import { type Surroundings, UserServer } from './user-server.ts';

interface HubOptions {
  readonly slug: string;
  readonly pod: KubeObject;
  readonly version: string;
  readonly configuration: HubConfiguration;
  readonly database: HubDatabase;
  readonly client: Client;
  readonly pods: Pods;
  readonly notebooks: Notebooks;
  readonly faults: Faults;
  readonly timings: Timings;
  readonly now: () => number;
  readonly onFailure: (what: string, error: unknown) => void;
}

/**
 * A running hub: the configuration that it read at its start, its database, and its users’ servers.
 * It ends as abruptly as a process; servers outlive it.
 */
export class HubProcess {
  readonly slug: string;
  /** Uid of its pod. */
  readonly pod: string;
  readonly version: string;
  readonly services: readonly Service[];
  readonly settings: HubSettings;
  readonly database: HubDatabase;
  readonly client: Client;
  readonly timings: Timings;
  readonly now: () => number;
  /** Aborts when the process ends or is frozen. */
  readonly #end = new AbortController();
  /** Aborts when the process ends. */
  readonly #gone = new AbortController();
  readonly #options: HubOptions;
  readonly #mount: Mount | undefined;
  readonly #surroundings: Surroundings;
  /** JupyterHub’s `user.spawners`: the servers that this process keeps in memory. */
  readonly #servers = new Map<string, UserServer>();
  readonly #timers: NodeJS.Timeout[] = [];

  private constructor(options: HubOptions, mount: Mount | undefined) {
    const { slug, pod, version, configuration, database, client, timings, now, notebooks } = options;
    this.slug = slug;
    this.pod = uidOf(pod);
    this.version = version;
    this.services = configuration.services;
    this.settings = configuration.settings;
    this.database = database;
    this.client = client;
    this.timings = timings;
    this.now = now;
    this.#options = options;
    this.#mount = mount;
    const { profiles: convention } = configuration.settings;
    this.#surroundings = {
      ...options,
      settings: configuration.settings,
      profiles:
        mount === undefined || convention === undefined
          ? undefined
          : new NotebookProfiles({
              convention,
              files: () => mount.files,
              waitMs: timings.profilesMs,
              pollMs: timings.profilesPollMs,
            }),
      ended: this.#end.signal,
      stopped: (user, forget) => {
        if (forget) this.#servers.delete(user);
        notebooks.end(slug, user);
      },
    };
  }

  static async start(options: HubOptions): Promise<HubProcess> {
    const { profiles } = options.configuration.settings;
    const mount =
      profiles === undefined
        ? undefined
        : new Mount(options.client, options.pod, profiles.folder, options.timings.syncMs);
    await mount?.sync();
    const hub = new HubProcess(options, mount);
    for (const { name, server } of hub.database.users) {
      if (server.active) hub.#keep(name, hub.server(name).check());
    }
    hub.#every(options.timings.pollMs, () => hub.#poll());
    hub.#every(options.timings.activityMs, () => hub.#collectActivity());
    return hub;
  }

  get major(): number {
    return Number.parseInt(this.version, 10);
  }

  /** How many servers may start at once; 0: no limit. */
  get spawnLimit(): number {
    return this.#options.faults.spawnLimit(this.slug) ?? this.settings.concurrentSpawnLimit;
  }

  /** Aborts when the process ends. */
  get gone(): AbortSignal {
    return this.#gone.signal;
  }

  get isFrozen(): boolean {
    return this.#end.signal.aborted && !this.#gone.signal.aborted;
  }

  /** The user’s server, if this process keeps it in memory. */
  known(user: string): UserServer | undefined {
    return this.#servers.get(user);
  }

  /** The user’s server. */
  server(user: string): UserServer {
    const known = this.#servers.get(user);
    if (known !== undefined) return known;
    const server = new UserServer(user, this.#surroundings);
    this.#servers.set(user, server);
    return server;
  }

  get servers(): readonly UserServer[] {
    return [...this.#servers.values()];
  }

  /** Removes the user and, depending on the values, the home. */
  async removeUser({ name }: UserRow, claim: string): Promise<void> {
    if (this.settings.deleteClaims) {
      await this.client.delete('persistentvolumeclaims', this.settings.spawner.namespace, claim);
    }
    this.#servers.delete(name);
    this.database.remove(name);
  }

  /** The kubelet has synchronised the pod. */
  podChanged(): void {
    if (this.#mount !== undefined) this.#keep('mount', this.#mount.sync());
  }

  /** It stops working and answering until it ends. */
  freeze(): void {
    this.#end.abort();
    for (const timer of this.#timers) clearInterval(timer);
  }

  end(): void {
    this.freeze();
    this.#mount?.close();
    this.#gone.abort();
  }

  async #poll(): Promise<void> {
    for (const server of this.servers) {
      if (server.ready) await server.poll();
    }
  }

  async #collectActivity(): Promise<void> {
    for (const { name, server } of this.database.users) {
      const seen = this.#options.notebooks.takeActivity(this.slug, name);
      if (seen === undefined || !server.active) continue;
      const lastActivity = [server.lastActivity ?? seen, seen].toSorted().at(-1) ?? seen;
      this.database.change(name, { lastActivity, server: { lastActivity } });
    }
  }

  #every(ms: number, work: () => Promise<void>): void {
    const timer = setInterval(() => this.#keep('poll', work()), ms);
    timer.unref();
    this.#timers.push(timer);
  }

  /** Reports a failure, unless the end of the process caused it. */
  #keep(what: string, work: Promise<void>): void {
    work.catch((error: unknown) => {
      if (!this.#end.signal.aborted) this.#options.onFailure(`Hub of ${this.slug}, ${what}`, error);
    });
  }
}
