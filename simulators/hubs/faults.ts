/** What somebody who plays with a hub has asked for, by team and user. */
export class Faults {
  readonly #failures = new Map<string, string>();
  readonly #limits = new Map<string, number>();
  readonly #holds = new Map<string, PromiseWithResolvers<void>>();

  /** The next start of this server fails with this sentence. */
  failNextSpawn(slug: string, user: string, message: string): void {
    this.#failures.set(`${slug}/${user}`, message);
  }

  /** Why the start that begins now fails; asked once for each. */
  takeFailure(slug: string, user: string): string | undefined {
    const message = this.#failures.get(`${slug}/${user}`);
    this.#failures.delete(`${slug}/${user}`);
    return message;
  }

  /** How many servers of this hub may be starting at once, in place of what its values say. */
  limitSpawns(slug: string, limit: number): void {
    this.#limits.set(slug, limit);
  }

  spawnLimit(slug: string): number | undefined {
    return this.#limits.get(slug);
  }

  /** Starts, or stops, of this server stay pending from now on; the answer ends that. */
  hold(slug: string, user: string, what: 'start' | 'stop'): () => void {
    const key = `${slug}/${user}/${what}`;
    const hold = this.#holds.get(key) ?? Promise.withResolvers<void>();
    this.#holds.set(key, hold);
    return () => {
      this.#holds.delete(key);
      hold.resolve();
    };
  }

  /** Resolves when nothing holds it; rejects when the signal comes first. */
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
