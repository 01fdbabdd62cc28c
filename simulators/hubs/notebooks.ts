import type { IncomingHttpHeaders } from 'node:http';

/** A request that reached a notebook server. */
export interface ServerRequest {
  readonly slug: string;
  readonly user: string;
  readonly method: string;
  readonly path: string;
  readonly headers: IncomingHttpHeaders;
}

const mostRequests = 10_000;

/** The notebook servers of every hub: what their kernels are doing, when they were used, and who requested what. */
export class Notebooks {
  readonly #now: () => number;
  /** Whether the server’s one kernel is busy, by hub and user; absent: it has no kernel. */
  readonly #kernels = new Map<string, boolean>();
  /** The last activity that the proxies have seen since the hubs last asked them. */
  readonly #activity = new Map<string, string>();
  readonly #requests: ServerRequest[] = [];

  constructor(now: () => number) {
    this.#now = now;
  }

  /** The requests that reached them, the oldest first; only the latest 10,000 are kept. */
  get requests(): readonly ServerRequest[] {
    return [...this.#requests];
  }

  /** Records a request. Every request counts as activity: the proxy does not see who sends it. */
  record(request: ServerRequest): void {
    this.#requests.push(request);
    if (this.#requests.length > mostRequests) this.#requests.shift();
    this.#activity.set(`${request.slug}/${request.user}`, this.now);
  }

  setBusy(slug: string, user: string, busy: boolean): void {
    this.#kernels.set(`${slug}/${user}`, busy);
  }

  isBusy(slug: string, user: string): boolean {
    return this.kernel(slug, user) === true;
  }

  /** Whether the kernel is busy; undefined: the server has no kernel. */
  kernel(slug: string, user: string): boolean | undefined {
    return this.#kernels.get(`${slug}/${user}`);
  }

  /** When a server was last used, as its proxy reports it to the hub; answered once. */
  takeActivity(slug: string, user: string): string | undefined {
    const seen = this.#activity.get(`${slug}/${user}`);
    this.#activity.delete(`${slug}/${user}`);
    return seen;
  }

  /** The server has stopped. */
  end(slug: string, user: string): void {
    this.#kernels.delete(`${slug}/${user}`);
    this.#activity.delete(`${slug}/${user}`);
  }

  /** The hubs’ time, ISO 8601. */
  get now(): string {
    return new Date(this.#now()).toISOString();
  }
}
