import type { RegistryCaller } from '../ports/registries.ts';

export interface QueueOptions {
  readonly requestsPerSecond: number;
  /** Requests that may wait in all, and of one caller. */
  readonly maxWaiting: number;
  readonly maxWaitingPerCaller: number;
  /** Epoch milliseconds. */
  readonly now: () => number;
  readonly wait: (ms: number) => Promise<void>;
}

/** There was no room in the queue, or room was made for a caller who has fewer requests in it. */
export class QueueFull extends Error {
  override readonly name = 'QueueFull';
}

interface Waiting {
  readonly proceed: () => void;
  readonly refuse: (reason: unknown) => void;
}

type Lane = RegistryCaller['purpose'];

/** One in this many turns is a look-up’s even while orders wait, so neither starves. */
const lookupEvery = 4;

/**
 * The turns of requests to one host: `requestsPerSecond` of them at once, then one each time that one is free again.
 * Callers take turns, however many requests each has waiting, and orders go before look-ups. The number of waiting
 * requests is bounded. A turn is taken only when a request proceeds: one that is aborted while it waits costs none.
 */
export class RequestQueue {
  readonly #options: QueueOptions;
  readonly #everyMs: number;
  #freeAt = Number.NEGATIVE_INFINITY;
  /** Waiting requests by caller; the caller whose turn is next comes first. */
  readonly #lanes: Readonly<Record<Lane, Map<string, Waiting[]>>> = { order: new Map(), lookup: new Map() };
  #waiting = 0;
  #turns = 0;
  #isDispatching = false;

  constructor(options: QueueOptions) {
    this.#options = options;
    this.#everyMs = 1000 / options.requestsPerSecond;
  }

  /** Resolves when the request may proceed. Rejects with QueueFull, and with the signal’s reason when it is aborted. */
  async enter({ name, purpose }: RegistryCaller, signal: AbortSignal): Promise<void> {
    signal.throwIfAborted();
    const lane = this.#lanes[purpose];
    const own = lane.get(name) ?? [];
    if (own.length >= this.#options.maxWaitingPerCaller) throw new QueueFull();
    if (this.#waiting >= this.#options.maxWaiting) this.#makeRoom(own.length);
    const { promise, resolve: proceed, reject: refuse } = Promise.withResolvers<void>();
    const entry = { proceed, refuse };
    lane.set(name, [...own, entry]);
    this.#waiting += 1;
    const leave = () => {
      if (this.#remove(lane, name, entry)) refuse(signal.reason);
    };
    signal.addEventListener('abort', leave, { once: true });
    try {
      void this.#dispatch();
      await promise;
    } finally {
      signal.removeEventListener('abort', leave);
    }
  }

  async #dispatch(): Promise<void> {
    if (this.#isDispatching) return;
    this.#isDispatching = true;
    try {
      while (this.#waiting > 0) {
        const waitMs = this.#untilFree();
        if (waitMs > 0) await this.#options.wait(waitMs);
        // Chosen after the wait, so callers that came or left meanwhile count.
        const next = this.#next();
        if (next === undefined) return;
        this.#freeAt = this.#earliest() + this.#everyMs;
        next.proceed();
      }
    } catch (error) {
      for (let next = this.#next(); next !== undefined; next = this.#next()) next.refuse(error);
    } finally {
      this.#isDispatching = false;
    }
  }

  /** When the next request may proceed, which is at most one turn away: a clock that is set back delays none. */
  #earliest(): number {
    const now = this.#options.now();
    const burstMs = 1000 - this.#everyMs;
    return Math.min(Math.max(this.#freeAt, now - burstMs), now + this.#everyMs);
  }

  #untilFree(): number {
    return Math.max(0, this.#earliest() - this.#options.now());
  }

  #next(): Waiting | undefined {
    const { order, lookup } = this.#lanes;
    const isLookupsTurn = this.#turns % lookupEvery === lookupEvery - 1;
    const lane = lookup.size > 0 && (isLookupsTurn || order.size === 0) ? lookup : order;
    const [first] = lane;
    if (first === undefined) return undefined;
    const [name, [next, ...others]] = first;
    // The caller goes to the end of the line.
    lane.delete(name);
    if (others.length > 0) lane.set(name, others);
    this.#waiting -= 1;
    this.#turns += 1;
    return next;
  }

  /** Refuses the newest request of the caller with the most waiting, look-ups first. */
  #makeRoom(own: number): void {
    for (const lane of [this.#lanes.lookup, this.#lanes.order]) {
      const [longest] = [...lane].toSorted(([, a], [, b]) => b.length - a.length);
      const newest = longest?.[1].at(-1);
      if (longest === undefined || newest === undefined || longest[1].length <= own + 1) continue;
      this.#remove(lane, longest[0], newest);
      newest.refuse(new QueueFull());
      return;
    }
    throw new QueueFull();
  }

  /** Whether it was still waiting. */
  #remove(lane: Map<string, Waiting[]>, name: string, entry: Waiting): boolean {
    const entries = lane.get(name) ?? [];
    const left = entries.filter((other) => other !== entry);
    if (left.length === entries.length) return false;
    if (left.length > 0) lane.set(name, left);
    else lane.delete(name);
    this.#waiting -= 1;
    return true;
  }
}
