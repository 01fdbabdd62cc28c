import { Lru } from '../lib/lru.ts';
import { redact } from '../lib/redaction.ts';
import { hubUrl, type TeamName } from '../model/names.ts';
import { Unavailable } from '../ports/unavailable.ts';

/** Policy of every call to a hub. */
export const limits = {
  callMs: 10_000,
  /** A stop answers when it is done, or after JupyterHub’s `slow_stop_timeout` of ten seconds and one of its own. */
  stopCallMs: 15_000,
  /** Of the deletion of a token, which comes after whatever the call was given. */
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
}

export interface WireOptions {
  readonly urlTemplate: string;
  /** The tokens that a team’s hub may know, newest first. */
  readonly tokens: (id: string) => readonly string[];
}

const hubsRemembered = 5000;
const versionHeader = 'x-jupyterhub-version';

/** With these the hub knows who we are, and another token would not help. */
const knowsUs = /current scopes|no permissions/i;
const visible = /^[\x21-\x7e]+$/;

/** A failure that says which hub it was, and nothing that is secret. */
export const unavailable = (team: TeamName, what: string, cause?: unknown): Unavailable =>
  new Unavailable('hub', `The hub of ${team.slug} ${what}.`, cause === undefined ? undefined : { cause });

/** A user’s name as one segment of a path. */
export const segment = (name: string): string => {
  // The URL parser would take these for a way up, and another resource would be meant.
  if (name === '' || name === '.' || name === '..') throw new TypeError('Not a name of a user.');
  return encodeURIComponent(name);
};

/** The hub’s own words about an error; what it says in HTML is none. */
export const messageOf = ({ body }: HubAnswer): string => {
  try {
    const parsed: unknown = JSON.parse(body);
    const message =
      typeof parsed === 'object' && parsed !== null && 'message' in parsed ? parsed.message : '';
    return typeof message === 'string' ? message.slice(0, 1000) : '';
  } catch {
    return '';
  }
};

/**
 * HTTP to the hubs’ REST API, as our service: which token a hub takes, which version it is, deadlines, capped bodies.
 * Redirects are not followed: no API of a hub redirects, so whoever does is somebody else.
 */
export class HubWire {
  readonly #options: WireOptions;
  readonly #accepted = new Lru<string>(hubsRemembered);
  readonly #versions = new Lru<string>(hubsRemembered);

  constructor(options: WireOptions) {
    this.#options = options;
  }

  /** Where the hub is, without a slash at its end. */
  baseOf(team: TeamName): string {
    return hubUrl(this.#options.urlTemplate, team);
  }

  /** The version by the hub’s latest answer; undefined before the first one. */
  versionOf(team: TeamName): string | undefined {
    return this.#versions.get(team.id);
  }

  /**
   * An answer that the hub itself gave. Throws Unavailable for everything else, also when the hub knows none of our
   * tokens or our service may not do this.
   */
  async send(team: TeamName, request: HubRequest, signal: AbortSignal): Promise<HubAnswer> {
    return this.#trying(team, async (token) =>
      this.#whole(team, await this.#open(team, request, token, signal), signal),
    );
  }

  /** What a hub says, without the tokens that it may quote. */
  withoutTokens(team: TeamName, text: string): string {
    return redact(text, this.#options.tokens(team.id));
  }

  /** As `send`, but the body is left to the caller while the answer is 200. */
  async stream(team: TeamName, request: HubRequest, signal: AbortSignal): Promise<HubAnswer | Response> {
    return this.#trying(team, async (token) => {
      const response = await this.#open(team, request, token, signal);
      return response.status === 200 ? response : this.#whole(team, response, signal);
    });
  }

  /** Without a token: what the hub tells everybody. */
  async ask(team: TeamName, path: string, signal: AbortSignal): Promise<HubAnswer> {
    return this.#whole(team, await this.#open(team, { method: 'GET', path }, undefined, signal), signal);
  }

  async #whole(team: TeamName, response: Response, signal: AbortSignal): Promise<HubAnswer> {
    const body = this.withoutTokens(team, await read(team, response, signal));
    return { status: response.status, headers: response.headers, body };
  }

  async #trying<T extends HubAnswer | Response>(
    team: TeamName,
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
      const message = answer instanceof Response ? '' : messageOf(answer);
      if (knowsUs.test(message)) throw unavailable(team, `does not let us do this: ${message}`);
    }
    throw unavailable(team, `accepts no token of ours (${tokens.length} tried)`);
  }

  /** The one that worked last, then the others, newest first. */
  #tokensOf({ id }: TeamName): readonly string[] {
    const tokens = this.#options.tokens(id);
    if (!tokens.every((token) => visible.test(token))) throw new TypeError('A token of a hub is not usable.');
    const accepted = this.#accepted.get(id);
    if (accepted === undefined || !tokens.includes(accepted)) return tokens;
    return [accepted, ...tokens.filter((token) => token !== accepted)];
  }

  /** One request to the REST API, answered by the hub: nobody on the way sends its version along. */
  async #open(
    team: TeamName,
    { method, path, accept = 'application/json', body }: HubRequest,
    token: string | undefined,
    signal: AbortSignal,
  ): Promise<Response> {
    const response = await exchange(
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
      throw unavailable(team, `is not there: something else answered with ${response.status}`);
    }
    this.#versions.set(team.id, version);
    return response;
  }
}

/** A request with its answer’s head, from wherever; a redirect is no answer. */
export const exchange = async (
  team: TeamName,
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
    throw unavailable(team, 'sent us somewhere that we do not go');
  }
  return response;
};

const discard = async (response: Response): Promise<void> => {
  await response.body?.cancel().catch(() => undefined);
};

/** The whole body as text, up to the cap. */
export const read = async (team: TeamName, response: Response, signal: AbortSignal): Promise<string> => {
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
    throw unavailable(team, signal.aborted ? 'did not answer in time' : 'broke off its answer', cause);
  }
  if (length > limits.bodyBytes) throw unavailable(team, `answered with more than ${limits.bodyBytes} bytes`);
  return Buffer.concat(chunks).toString('utf8');
};
