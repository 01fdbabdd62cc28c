import { at } from '../lib/json.ts';
import { Lru } from '../lib/lru.ts';
import { UpstreamMessage } from '../lib/redaction.ts';
import { addressFrom, type NamedTeam } from '../model/names.ts';
import type { Clock } from '../ports/runtime.ts';
import { Unavailable } from '../ports/unavailable.ts';

/** Limits of every call to a hub. */
export const limits = {
  callMs: 10_000,
  /** A stop answers when it is done, or after JupyterHub’s `slow_stop_timeout` of ten seconds plus one second. */
  stopCallMs: 15_000,
  /** For deleting a token after the call’s own deadline. */
  cleanupMs: 3000,
  bodyBytes: 8 * 1024 * 1024,
} as const;

export interface HubRequest {
  readonly method: 'GET' | 'POST' | 'DELETE';
  /** Begins with a slash; below `/hub/api`. */
  readonly path: string;
  readonly accept?: string;
  readonly body?: unknown;
}

export interface HubAnswer {
  readonly status: number;
  readonly headers: Headers;
  readonly body: string;
  /** The hub’s error message; empty when the body is not its JSON, such as an HTML page. */
  readonly message: UpstreamMessage;
}

export interface HubHttpOptions {
  readonly urlTemplate: string;
  /** The tokens that a team’s hub may know, newest first. */
  readonly tokens: (id: string) => readonly string[];
  readonly clock: Clock;
}

const hubsRemembered = 5000;
const versionHeader = 'x-jupyterhub-version';

/** With these messages the hub has recognized the token, so another one would not help. */
const knowsUs = /current scopes|no permissions/i;
const visible = /^[\x21-\x7e]+$/;

/** A failure that names the hub and reveals no secret. */
export const unavailable = (team: NamedTeam, what: string, cause?: unknown): Unavailable =>
  new Unavailable('hub', `The hub of ${team.slug} ${what}.`, cause === undefined ? undefined : { cause });

/** A user name as one segment of a path. */
export const segment = (name: string): string => {
  // The URL parser would resolve these segments, and the request would go to another resource.
  if (name === '' || name === '.' || name === '..') throw new TypeError('Not a user name.');
  return encodeURIComponent(name);
};

const messageIn = (body: string): string => {
  try {
    const message = at(JSON.parse(body), 'message');
    return typeof message === 'string' ? message : '';
  } catch {
    return '';
  }
};

const longestMessage = 1000;

/** The hub’s error message for people, without our tokens, which it may quote. */
export const messageOf = ({ message }: HubAnswer): string => `${message}`.slice(0, longestMessage);

/**
 * HTTP to the hubs’ REST API as our service: selects the token that a hub accepts, tracks its version, bounds bodies.
 * Redirects are not followed: the hub’s API never redirects, so a redirect comes from something else.
 */
export class HubHttp {
  readonly #options: HubHttpOptions;
  readonly #accepted = new Lru<string>(hubsRemembered);
  readonly #versions = new Lru<string>(hubsRemembered);
  readonly #skews = new Lru<number>(hubsRemembered);

  constructor(options: HubHttpOptions) {
    this.#options = options;
  }

  /** The hub’s base URL, without a trailing slash. */
  baseOf({ slug, id, names: { namespace } }: NamedTeam): string {
    return addressFrom(this.#options.urlTemplate, { slug, id, namespace });
  }

  /** The version in the hub’s latest answer; undefined before the first one. */
  versionOf(team: NamedTeam): string | undefined {
    return this.#versions.get(team.id);
  }

  /**
   * An answer from the hub itself. Throws Unavailable for everything else, including a hub that accepts none of our tokens
   * or denies our service the operation.
   */
  async send(team: NamedTeam, request: HubRequest, signal: AbortSignal): Promise<HubAnswer> {
    return this.#withEachToken(team, async (token) =>
      this.#readWhole(team, await this.#open(team, request, token, signal), signal),
    );
  }

  /** What the hub says about a failure. It may quote our tokens. */
  upstreamMessage(team: NamedTeam, text: string): UpstreamMessage {
    return new UpstreamMessage(text, this.#options.tokens(team.id));
  }

  /** How far the hub’s clock is ahead of ours, in milliseconds, by its latest answer; 0 when it is about right. */
  skewMs(team: NamedTeam): number {
    return this.#skews.get(team.id) ?? 0;
  }

  /** As `send`, but leaves the body of a 200 to the caller. */
  async stream(team: NamedTeam, request: HubRequest, signal: AbortSignal): Promise<HubAnswer | Response> {
    return this.#withEachToken(team, async (token) => {
      const response = await this.#open(team, request, token, signal);
      return response.status === 200 ? response : this.#readWhole(team, response, signal);
    });
  }

  /** Without a token: what the hub answers to anyone. */
  async ask(team: NamedTeam, path: string, signal: AbortSignal): Promise<HubAnswer> {
    return this.#readWhole(team, await this.#open(team, { method: 'GET', path }, undefined, signal), signal);
  }

  async #readWhole(team: NamedTeam, response: Response, signal: AbortSignal): Promise<HubAnswer> {
    const body = await readBody(team, response, signal);
    const message = this.upstreamMessage(team, messageIn(body));
    return { status: response.status, headers: response.headers, body, message };
  }

  async #withEachToken<T extends HubAnswer | Response>(
    team: NamedTeam,
    attempt: (token: string) => Promise<T>,
  ): Promise<T> {
    const tokens = this.#tokensOf(team);
    for (const token of tokens) {
      const answer = await attempt(token);
      const isDenied = answer.status === 401 || answer.status === 403;
      if (!isDenied) {
        this.#accepted.set(team.id, token);
        return answer;
      }
      if (!(answer instanceof Response) && answer.message.exec(knowsUs) !== null)
        throw unavailable(team, `denies our service this operation: ${messageOf(answer)}`);
    }
    throw unavailable(team, `accepts none of our tokens (${tokens.length} tried)`);
  }

  /** The token accepted last, then the others, newest first. */
  #tokensOf({ id }: NamedTeam): readonly string[] {
    const tokens = this.#options.tokens(id);
    if (!tokens.every((token) => visible.test(token)))
      throw new TypeError('A hub token contains invalid characters.');
    const accepted = this.#accepted.get(id);
    if (accepted === undefined || !tokens.includes(accepted)) return tokens;
    return [accepted, ...tokens.filter((token) => token !== accepted)];
  }

  /** One request to the REST API, answered by the hub itself: proxies in between do not send its version header. */
  async #open(
    team: NamedTeam,
    { method, path, accept = 'application/json', body }: HubRequest,
    token: string | undefined,
    signal: AbortSignal,
  ): Promise<Response> {
    const response = await send(
      team,
      `${this.baseOf(team)}/hub/api${path}`,
      {
        method,
        headers: {
          accept,
          ...(token !== undefined && { authorization: `token ${token}` }),
          ...(body !== undefined && { 'content-type': 'application/json' }),
        },
        ...(body !== undefined && { body: JSON.stringify(body) }),
      },
      signal,
    );
    const version = response.headers.get(versionHeader);
    if (version === null || !/^[0-9]+\.[0-9]+/.test(version)) {
      await discard(response);
      throw unavailable(team, `was not reached: something else answered with ${response.status}`);
    }
    this.#versions.set(team.id, version);
    this.#skews.set(team.id, skewIn(response.headers, this.#options.clock.now()));
    return response;
  }
}

/** HTTP dates have a resolution of a second, and an answer takes its time: a smaller difference is none. */
const negligibleSkewMs = 30_000;

/** How far the clock of an answer’s Date header is ahead of ours; JupyterHub sends one with every answer. */
const skewIn = (headers: Headers, now: number): number => {
  const skewMs = Date.parse(headers.get('date') ?? '') - now;
  return Math.abs(skewMs) > negligibleSkewMs ? skewMs : 0;
};

/** Sends a request and answers with the response’s headers; a redirect is an error. */
export const send = async (
  team: NamedTeam,
  url: string,
  init: RequestInit & { readonly headers: Readonly<Record<string, string>> },
  signal: AbortSignal,
): Promise<Response> => {
  let response: Response;
  try {
    response = await fetch(url, {
      ...init,
      headers: { 'user-agent': 'knada-notebooks', ...init.headers },
      redirect: 'manual',
      signal,
    });
  } catch (cause) {
    throw unavailable(team, signal.aborted ? 'did not answer in time' : 'cannot be reached', cause);
  }
  if (response.status >= 300 && response.status < 400) {
    await discard(response);
    throw unavailable(team, 'answered with a redirect');
  }
  return response;
};

const discard = async (response: Response): Promise<void> => {
  await response.body?.cancel().catch(() => undefined);
};

/** The whole body as text, up to the limit. */
export const readBody = async (team: NamedTeam, response: Response, signal: AbortSignal): Promise<string> => {
  if (response.body === null) return '';
  const chunks: Uint8Array[] = [];
  let length = 0;
  const stream: AsyncIterable<Uint8Array> = response.body;
  try {
    for await (const chunk of stream) {
      length += chunk.byteLength;
      if (length > limits.bodyBytes) break;
      chunks.push(chunk);
    }
  } catch (cause) {
    throw unavailable(
      team,
      signal.aborted ? 'did not answer in time' : 'closed the connection in the middle of its answer',
      cause,
    );
  }
  if (length > limits.bodyBytes) throw unavailable(team, `answered with more than ${limits.bodyBytes} bytes`);
  return Buffer.concat(chunks).toString('utf8');
};
