import { setTimeout as wait } from 'node:timers/promises';

/** How time passes for this process, whatever the clock says. */
export interface Timers {
  /** Monotonic milliseconds. */
  readonly elapsedMs: () => number;
  readonly pause: (ms: number) => Promise<void>;
}

export const systemTimers: Timers = { elapsedMs: () => performance.now(), pause: (ms) => wait(ms) };
