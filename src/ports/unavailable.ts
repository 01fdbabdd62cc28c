/**
 * Errors of outside systems. Expected answers are values; an adapter throws `Unavailable` when its system gives none,
 * and another error only for the unexpected.
 */
/** The system did not answer in time, refused temporarily, or returned an invalid response. Safe to retry later. */
export class Unavailable extends Error {
  override readonly name = 'Unavailable';
  readonly system: string;
  constructor(system: string, message: string, options?: ErrorOptions) {
    super(message, options);
    this.system = system;
  }
}

/** Google answered that a quota is exhausted; the message names it. Retried with backoff. */
export class QuotaExceeded extends Unavailable {}
