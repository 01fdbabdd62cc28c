const unitMs: Readonly<Record<string, number>> = {
  h: 3_600_000,
  m: 60_000,
  s: 1000,
  ms: 1,
  µs: 0.001,
  // U+03BC, which looks the same as U+00B5.
  μs: 0.001,
  us: 0.001,
  ns: 0.000_001,
};

const duration = /^(?:[0-9]+(?:\.[0-9]+)?(?:ms|µs|μs|us|ns|h|m|s))+$/;
const amount = /([0-9]+(?:\.[0-9]+)?)(ms|µs|μs|us|ns|h|m|s)/g;
const inText = /retry-after:\s*([0-9.hmsnuµμ]{2,40})/i;

/** A duration as Go prints it (`880.092µs`, `1m30s`) in milliseconds. */
const goDurationMs = (text: string): number | undefined => {
  if (!duration.test(text)) return undefined;
  let ms = 0;
  for (const [, value, unit = ''] of text.matchAll(amount)) ms += Number(value) * (unitMs[unit] ?? 0);
  return ms;
};

/**
 * How long a registry asks to wait, in milliseconds: the Retry-After header in seconds or as a date, else GHCR’s own
 * form, which is only in the text of the error.
 */
export const retryAfterMs = (header: string | null, body: string, now: number): number | undefined => {
  if (header !== null) {
    if (/^[0-9]{1,9}$/.test(header)) return Number(header) * 1000;
    const at = Date.parse(header);
    if (!Number.isNaN(at)) return Math.max(0, at - now);
  }
  const text = inText.exec(body)?.[1];
  return text === undefined ? undefined : goDurationMs(text);
};

/**
 * A host’s share of requests: `burst` at once, then one each `everyMs`. Answers how long this request has to wait
 * for its turn; the turn is taken.
 */
export class Turns {
  #free = Number.NEGATIVE_INFINITY;
  readonly #everyMs: number;
  readonly #burst: number;
  constructor(everyMs: number, burst: number) {
    this.#everyMs = everyMs;
    this.#burst = burst;
  }

  take(now: number): number {
    const start = Math.max(this.#free, now - (this.#burst - 1) * this.#everyMs);
    this.#free = start + this.#everyMs;
    return Math.max(0, start - now);
  }
}
