/** The answer of a request, as it is sent again. */
export interface KeptAnswer {
  readonly status: number;
  readonly headers: Readonly<Record<string, string>>;
  readonly body: unknown;
}

/** A request that was sent with an Idempotency-Key. Instants are ISO 8601 UTC. */
export interface IdempotencyRecord {
  /** A hash of the caller and the key. */
  readonly id: string;
  /** A keyed hash of the operation and the body, which may be a secret. */
  readonly fingerprint: string;
  /** Names the attempt that is running, or that has answered. */
  readonly attempt: string;
  /** Until then the attempt may be running; no attempt takes that long. */
  readonly runsUntil: string;
  /** null while the attempt is running, and when it has ended without an answer. */
  readonly answer: KeptAnswer | null;
  readonly expiresAt: string;
}
