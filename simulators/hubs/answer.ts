/** An answer of a hub. */
export interface Answer {
  readonly status: number;
  readonly body?: unknown;
  readonly headers?: Readonly<Record<string, string>>;
  /** Sent part by part, instead of a body. */
  readonly stream?: (signal: AbortSignal) => AsyncIterable<string>;
}

/** A request that is refused, in JupyterHub’s own form. */
export class Refused extends Error {
  readonly answer: Answer;

  constructor(status: number, message: string, headers: Readonly<Record<string, string>> = {}) {
    super(message);
    this.answer = { status, body: { status, message }, headers };
  }
}

/** `isoformat` of jupyterhub/utils.py: microseconds, left out when there are none. */
export const isoformat = (instant: string | null): string | null =>
  instant === null
    ? null
    : new Date(instant)
        .toISOString()
        .replace(/\.(\d{3})Z$/, (_all, ms) => (ms === '000' ? 'Z' : `.${ms}000Z`));

/** A name in a URL, as `url_escape_path` writes it. */
export const escapePath = (name: string): string =>
  encodeURIComponent(name)
    .replace(/[!'()*]/g, (character) => `%${character.charCodeAt(0).toString(16).toUpperCase()}`)
    .replaceAll('%40', '@');

async function* once(part: string): AsyncGenerator<string> {
  yield part;
}

/** Text of any media type. */
export const text = (status: number, content: string, type = 'text/plain; charset=utf-8'): Answer => ({
  status,
  headers: { 'content-type': type },
  stream: () => once(content),
});

/** What an ingress answers for a Service without endpoints. */
export const unavailable: Answer = text(503, '503 Service Temporarily Unavailable\n', 'text/plain');
