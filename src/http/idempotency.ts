import { createHash, createHmac } from 'node:crypto';
import Type from 'typebox';
import { canonicalJson } from '../lib/json.ts';
import { isoOf } from '../lib/time.ts';
import type { IdempotencyRecord, KeptAnswer } from '../model/idempotency.ts';
import { Problem } from '../model/problems.ts';
import type { Clock } from '../ports/runtime.ts';
import type { IdempotencyStore } from '../ports/store.ts';

/** The header of an operation that creates something, for a route’s schema. */
export const IdempotencyHeaders = Type.Object({
  'idempotency-key': Type.Optional(
    Type.String({
      minLength: 1,
      maxLength: 255,
      pattern: '^[\\x21-\\x7e]+$',
      description:
        'A new random value, such as a UUID, for each thing to create; the same one when you repeat a request whose answer you did not get. For 24 hours, a request with the same key and body gets the first answer and creates nothing again. With another body it is rejected.',
      examples: ['5f7c1c0a-9d8e-4f2b-8a53-3c1d4c2f6a10'],
    }),
  ),
});

/** The problems of an operation that takes an Idempotency-Key. */
export const idempotencyProblems = ['idempotency_key_in_use', 'idempotency_key_reused'] as const;

const keptMs = 24 * 3_600_000;

/** Longer than any request may take. */
const attemptMs = 120_000;

export interface IdempotencyDeps {
  readonly store: IdempotencyStore;
  readonly clock: Clock;
  /** Keys of the hash of a body, newest first. Secrets. */
  readonly fingerprintKeys: readonly string[];
  readonly newAttempt: () => string;
}

interface KeyedRequest {
  /** The value of the header; undefined without one, and then nothing is stored. */
  readonly key: string | undefined;
  readonly caller: string;
  /** The operation and what it acts on. */
  readonly operation: string;
  readonly body: unknown;
}

/** What one attempt does. */
interface Attempt {
  /** The same for every attempt with this key and caller; undefined without a key. */
  readonly seed: string | undefined;
}

interface Work<Body> {
  readonly run: (attempt: Attempt) => Promise<KeptAnswer & { readonly body: Body }>;
  /** Whether an attempt may be repeated that has ended without an answer, because its process ended. */
  readonly isRepeatable: boolean;
  /**
   * Whether a failed attempt may have taken effect all the same, so that repeating it could create a second thing. Such a
   * key answers `idempotency_key_in_use` until it expires.
   */
  readonly mayHaveHappened: () => boolean;
}

const inUse = (isRunning: boolean): Problem =>
  new Problem('idempotency_key_in_use', {
    detail: isRunning
      ? 'The first request with this Idempotency-Key is still running. Repeat the request shortly.'
      : 'The first request with this Idempotency-Key ended without an answer, so it may or may not have taken effect. Check the resource before you send the request with a new key.',
    ...(isRunning ? { retryAfterSeconds: 2 } : {}),
  });

/**
 * Runs a request once per key and caller. Throws Problem `idempotency_key_in_use` while another attempt is running, and
 * `idempotency_key_reused` for another operation or body under the key. A refused request leaves its key unused.
 */
export const once = async <Body>(
  { store, clock, fingerprintKeys, newAttempt }: IdempotencyDeps,
  { key, caller, operation, body }: KeyedRequest,
  work: Work<Body>,
): Promise<KeptAnswer & { readonly body: Body }> => {
  if (key === undefined) return work.run({ seed: undefined });
  const id = createHash('sha256')
    .update(JSON.stringify([caller, key]))
    .digest('hex');
  const text = canonicalJson([operation, body ?? null]);
  const fingerprints = fingerprintKeys.map((secret) =>
    createHmac('sha256', secret).update(text).digest('hex'),
  );
  const [fingerprint] = fingerprints;
  if (fingerprint === undefined) throw new TypeError('The hash of a request needs a key.');
  const attempt = newAttempt();
  const now = clock.now();
  const claim: IdempotencyRecord = {
    id,
    fingerprint,
    attempt,
    runsUntil: isoOf(now + attemptMs),
    answer: null,
    expiresAt: isoOf(now + keptMs),
  };
  const isAbandoned = ({ answer, runsUntil, fingerprint: before }: IdempotencyRecord): boolean =>
    answer === null && runsUntil <= isoOf(now) && fingerprints.includes(before);
  const held = await store.changeRequest(id, isoOf(now), (current) =>
    current === undefined || (work.isRepeatable && isAbandoned(current)) ? claim : undefined,
  );
  if (held === undefined) throw new TypeError('A request that was stored is gone.');
  if (held.attempt !== attempt) {
    if (!fingerprints.includes(held.fingerprint)) throw new Problem('idempotency_key_reused');
    // The fingerprint names the operation, so the answer is one of its own.
    if (held.answer !== null) return held.answer as KeptAnswer & { readonly body: Body };
    throw inUse(held.runsUntil > isoOf(now));
  }

  const settle = (next: IdempotencyRecord | 'remove') =>
    store.changeRequest(id, isoOf(clock.now()), (current) =>
      current?.attempt === attempt ? next : undefined,
    );
  let answer: KeptAnswer & { readonly body: Body };
  try {
    answer = await work.run({ seed: id });
  } catch (error) {
    const isOver = { ...claim, runsUntil: isoOf(clock.now()) };
    // The error is the answer, also when the store is away: then the key is in use until it expires.
    await settle(work.mayHaveHappened() ? isOver : 'remove').catch(() => undefined);
    throw error;
  }
  await settle({ ...claim, answer }).catch(() => undefined);
  return answer;
};
