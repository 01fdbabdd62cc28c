import type { NamedTeam } from '../model/names.ts';

/** JupyterHub’s pending action; `check`: the hub has just started and does not know yet whether the server is running. */
export type HubPending = 'spawn' | 'stop' | 'check';

/** A member’s default server as the hub sees it. Instants are ISO 8601 UTC by our clock, whatever the hub’s says. */
export interface HubServer {
  /** Neither running nor pending. */
  readonly stopped: boolean;
  readonly ready: boolean;
  readonly pending: HubPending | null;
  readonly startedAt: string | null;
  readonly lastActivityAt: string | null;
  /** The KubeSpawner profile that was chosen last; null when none was. */
  readonly profile: string | null;
  /** The revision of the profiles when it was chosen; absent when that is not recorded. */
  readonly profileChosenAt?: number;
}

export interface HubUser {
  readonly name: string;
  /** null when this user never had a server. */
  readonly server: HubServer | null;
}

/** One progress event of a start. */
export interface SpawnProgress {
  /** 0 to 100. */
  readonly progress: number;
  readonly message: string;
  readonly outcome?: 'ready' | 'failed';
}

/** The hub refused: JupyterHub’s 400, 404 and 429 in our terms. */
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
 * throws Unavailable('hub') when the hub is unavailable or its answer is invalid, which must never be shown as stopped.
 * Every call but `progress` is safe to repeat.
 */
export interface Hubs {
  /** The hub’s version, such as 5.5.0. */
  version(team: NamedTeam, signal: AbortSignal): Promise<string>;
  /** Every user, all pages; `active`: only those with a server that is running or pending. */
  users(
    team: NamedTeam,
    signal: AbortSignal,
    options?: { readonly active?: boolean },
  ): Promise<readonly HubUser[]>;
  user(team: NamedTeam, name: string, signal: AbortSignal): Promise<HubUser | undefined>;
  addUser(team: NamedTeam, name: string, signal: AbortSignal): Promise<'added' | 'exists'>;
  /** Tokens and sessions go too; the home stays. `stopping`: the server stops first, call again. */
  removeUser(team: NamedTeam, name: string, signal: AbortSignal): Promise<'removed' | 'absent' | 'stopping'>;
  /**
   * `revision`: the hub waits for these profiles. `chosenAt`: the revision when the profile was chosen; the hub starts the
   * team’s image instead when that was ordered later (src/notebooks/hub-config.ts).
   */
  start(
    team: NamedTeam,
    name: string,
    options: { readonly profile: string; readonly revision: number; readonly chosenAt: number },
    signal: AbortSignal,
  ): Promise<'ready' | 'starting' | HubRefusal>;
  /** Also cancels a pending start. */
  stop(team: NamedTeam, name: string, signal: AbortSignal): Promise<'stopped' | 'stopping' | HubRefusal>;
  /** The progress of a start until it ends or the signal aborts. Ends at once when nothing is starting. */
  progress(team: NamedTeam, name: string, signal: AbortSignal): AsyncIterable<SpawnProgress>;
  /** Reports activity at this instant (ISO 8601, by our clock). The hub only moves its last activity forward. */
  reportActivity(team: NamedTeam, name: string, at: string, signal: AbortSignal): Promise<void>;
  /**
   * Whether a kernel of the running server is busy. The server itself is asked, with a token for this server that expires
   * within a minute and is deleted afterwards; our service’s token is never sent there.
   */
  isBusy(team: NamedTeam, name: string, signal: AbortSignal): Promise<boolean>;
}
