/** Failures and delays that a test or a person has requested, by hub and user. */
export class Faults {
  readonly #failures = new Map<string, string>();
  readonly #limits = new Map<string, number>();
  readonly #holds = new Map<string, PromiseWithResolvers<void>>();

  /** The next start of this server fails with this message. */
  failNextSpawn(slug: string, user: string, message: string): void {
    this.#failures.set(`${slug}/${user}`, message);
  }

  /** Why the start that begins now fails; each failure is answered once. */
  takeFailure(slug: string, user: string): string | undefined {
    const message = this.#failures.get(`${slug}/${user}`);
    this.#failures.delete(`${slug}/${user}`);
    return message;
  }

  /** How many servers of this hub may start at once, instead of the limit in its values. */
  limitSpawns(slug: string, limit: number): void {
    this.#limits.set(slug, limit);
  }

  spawnLimit(slug: string): number | undefined {
    return this.#limits.get(slug);
  }

  /** Starts, or stops, of this server stay pending until the returned function is called. */
  hold(slug: string, user: string, what: 'start' | 'stop'): () => void {
    const key = `${slug}/${user}/${what}`;
    const hold = this.#holds.get(key) ?? Promise.withResolvers<void>();
    this.#holds.set(key, hold);
    return () => {
      this.#holds.delete(key);
      hold.resolve();
    };
  }

  /** Resolves when nothing holds the server; rejects when the signal aborts first. */
  async free(slug: string, user: string, what: 'start' | 'stop', signal: AbortSignal): Promise<void> {
    const hold = this.#holds.get(`${slug}/${user}/${what}`);
    if (hold === undefined) return;
    const { promise, reject } = Promise.withResolvers<never>();
    const ended = (): void => reject(signal.reason);
    signal.addEventListener('abort', ended);
    try {
      signal.throwIfAborted();
      await Promise.race([hold.promise, promise]);
    } finally {
      signal.removeEventListener('abort', ended);
    }
  }
}
