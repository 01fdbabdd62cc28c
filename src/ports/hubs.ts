import type { TeamName } from '../model/names.ts';

/** What JupyterHub has under way; `check`: the hub has just started and does not know yet whether the server runs. */
export type HubPending = 'spawn' | 'stop' | 'check';

/** A member’s default server as the hub knows it. Instants are ISO 8601 UTC. */
export interface HubServer {
  /** Neither running nor under way. */
  readonly stopped: boolean;
  readonly ready: boolean;
  readonly pending: HubPending | null;
  readonly startedAt: string | null;
  readonly lastActivityAt: string | null;
  /** The KubeSpawner profile of its last start; null when it was started without. */
  readonly profile: string | null;
}

export interface HubUser {
  readonly name: string;
  /** null when this user never had a server. */
  readonly server: HubServer | null;
}

/** One line of a start’s progress, as the hub tells it. */
export interface SpawnProgress {
  /** 0 to 100. */
  readonly progress: number;
  readonly message: string;
  readonly outcome?: 'ready' | 'failed';
}

/** A hub that said no: JupyterHub’s 400, 404 and 429 in our words. */
export interface HubRefusal {
  readonly refused:
    | 'no_such_user'
    | 'already_running'
    | 'pending_spawn'
    | 'pending_stop'
    | 'pending_check'
    | 'too_many_starts'
    | 'too_many_servers'
    | 'refused';
  readonly message: string;
  readonly retryAfterSeconds?: number;
}

/**
 * The teams’ JupyterHubs (5 and 6), over REST. Every call has the signal’s deadline and its own of 10 seconds, and
 * throws Unavailable('hub') when the hub is away or answers nonsense: that is never to be shown as stopped.
 * Every call but `progress` is safe to repeat.
 */
export interface Hubs {
  /** The hub’s version, such as 5.5.0. */
  version(team: TeamName, signal: AbortSignal): Promise<string>;
  /** Every user, all pages; `active`: only those with a server that runs or is under way. */
  users(
    team: TeamName,
    signal: AbortSignal,
    options?: { readonly active?: boolean },
  ): Promise<readonly HubUser[]>;
  user(team: TeamName, name: string, signal: AbortSignal): Promise<HubUser | undefined>;
  addUser(team: TeamName, name: string, signal: AbortSignal): Promise<'added' | 'exists'>;
  /** With tokens and sessions; the home stays. `stopping`: its server is on its way down first, ask again. */
  removeUser(team: TeamName, name: string, signal: AbortSignal): Promise<'removed' | 'absent' | 'stopping'>;
  /** `revision`: of the profiles, which the hub waits for (hub-config.ts). */
  start(
    team: TeamName,
    name: string,
    options: { readonly profile: string; readonly revision: number },
    signal: AbortSignal,
  ): Promise<'ready' | 'starting' | HubRefusal>;
  /** Also ends a start that is under way. */
  stop(team: TeamName, name: string, signal: AbortSignal): Promise<'stopped' | 'stopping' | HubRefusal>;
  /** What the hub tells of a start, until it ends or the signal does. Ends at once when nothing is starting. */
  progress(team: TeamName, name: string, signal: AbortSignal): AsyncIterable<SpawnProgress>;
  /** Tells the hub of activity at this instant (ISO 8601), which it takes only forward. */
  reportActivity(team: TeamName, name: string, at: string, signal: AbortSignal): Promise<void>;
  /**
   * Whether a kernel of the running server is busy, asked of the server itself with a token that is good for this
   * server and a minute alone, and is deleted afterwards; ours never travels there.
   */
  isBusy(team: TeamName, name: string, signal: AbortSignal): Promise<boolean>;
}
