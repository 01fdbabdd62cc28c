/**
 * A text without these secrets. For texts on their way out, to people, the store or the log, and never for data: a
 * secret may be a part of it.
 */
export const redact = (text: string, secrets: Iterable<string>): string => {
  let rest = text;
  for (const secret of secrets) if (secret !== '') rest = rest.replaceAll(secret, '…');
  return rest;
};

/**
 * What an outside system said about a failure. Some systems quote the request, headers included, so it is redacted
 * when it is rendered: in a template, as JSON, in a log. Decisions are made on the original, with `exec`.
 */
export class UpstreamMessage {
  readonly #original: string;
  readonly #secrets: readonly string[];

  /** `secrets`: what the system was sent and must not be repeated. */
  constructor(original: string, secrets: Iterable<string>) {
    this.#original = original;
    this.#secrets = [...secrets];
  }

  exec(pattern: RegExp): RegExpExecArray | null {
    return pattern.exec(this.#original);
  }

  toString(): string {
    return redact(this.#original, this.#secrets);
  }

  toJSON(): string {
    return this.toString();
  }
}
