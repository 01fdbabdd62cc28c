/** The result of a reconcile: done until something changes, or to be repeated after a delay. */
export type Outcome = { readonly againMs: number } | undefined;

export interface WorkQueue {
  /** Queues a key; a key that is already queued is reconciled once. */
  add(key: string): void;
  /** Aborts running reconciles by their signal, and starts no others. */
  close(): Promise<void>;
}

const retryMs = 500;

/**
 * A level-triggered work queue as in Kubernetes controllers: one reconcile per key at a time, another one when
 * the key was added meanwhile, and a retry after a failure.
 */
export const startWorkQueue = (
  reconcile: (key: string, signal: AbortSignal) => Promise<Outcome>,
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
      const outcome = await reconcile(key, stop.signal);
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
