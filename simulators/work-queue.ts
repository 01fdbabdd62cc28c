/** How a piece of work ended: done until something changes, or to be looked at again after a while. */
export type Outcome = { readonly againMs: number } | undefined;

export interface WorkQueue {
  /** Looks at this key soon; asked for several times before that, it is looked at once. */
  add(key: string): void;
  /** Ends the looks that are running, by their signal, and starts no other. */
  close(): Promise<void>;
}

const retryMs = 500;

/**
 * Level-triggered work as a Kubernetes controller does it: never two looks at one key at a time, another one when
 * the key was added during a look, and again after a failure.
 */
export const startWorkQueue = (
  look: (key: string, signal: AbortSignal) => Promise<Outcome>,
  onFailure: (key: string, error: unknown) => void,
): WorkQueue => {
  const stop = new AbortController();
  const running = new Map<string, Promise<void>>();
  const again = new Set<string>();
  const timers = new Map<string, NodeJS.Timeout>();

  const later = (key: string, delayMs: number): void => {
    clearTimeout(timers.get(key));
    timers.set(
      key,
      setTimeout(() => add(key), delayMs),
    );
  };

  const run = async (key: string): Promise<void> => {
    try {
      const outcome = await look(key, stop.signal);
      if (outcome !== undefined && !stop.signal.aborted) later(key, outcome.againMs);
    } catch (error) {
      if (stop.signal.aborted) return;
      onFailure(key, error);
      later(key, retryMs);
    } finally {
      running.delete(key);
      if (again.delete(key)) add(key);
    }
  };

  const add = (key: string): void => {
    if (stop.signal.aborted) return;
    if (running.has(key)) {
      again.add(key);
      return;
    }
    clearTimeout(timers.get(key));
    timers.delete(key);
    running.set(key, run(key));
  };

  return {
    add,
    async close() {
      stop.abort();
      for (const timer of timers.values()) clearTimeout(timer);
      await Promise.all(running.values());
    },
  };
};
