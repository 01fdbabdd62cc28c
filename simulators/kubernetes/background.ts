/** Work that follows from changes, one piece at a time, after the request that caused it was answered. */
export class Background {
  readonly #log: (message: string, error: unknown) => void;
  #tail: Promise<void> = Promise.resolve();
  #pending = 0;
  #closed = false;

  constructor(log: (message: string, error: unknown) => void) {
    this.#log = log;
  }

  /** Queues work; a failure is logged and does not stop what follows. */
  add(what: string, work: () => Promise<void>): void {
    if (this.#closed) return;
    this.#pending += 1;
    this.#tail = this.#tail
      .then(() => new Promise<void>((resolve) => setImmediate(resolve)))
      .then(() => (this.#closed ? undefined : work()))
      .catch((error: unknown) => this.#log(what, error))
      .finally(() => {
        this.#pending -= 1;
      });
  }

  /** Resolves when nothing is left to do. */
  async settled(): Promise<void> {
    while (this.#pending > 0) await this.#tail;
  }

  /** Drops what is queued and waits for what runs. */
  async close(): Promise<void> {
    this.#closed = true;
    await this.settled();
  }
}
