import { setTimeout as sleep } from 'node:timers/promises';
import { Problem } from '../model/problems.ts';

/**
 * How often a lost race is retried, and the delay in between: a random time from `minWaitMs` up to a bound that doubles
 * from `firstWaitMs` to `maxWaitMs`. After `tries` attempts the caller gets Problem `busy`.
 */
export const contention = {
  tries: 40,
  minWaitMs: 5,
  firstWaitMs: 20,
  maxWaitMs: 200,
  retryAfterSeconds: 1,
} as const;

/** The result of an attempt that lost to a concurrent write. */
export const lostRace = Symbol('lost race');

/** Returns a number from 0 up to, but not including, 1. */
export type Random = () => number;

/** Retries until an attempt succeeds. Throws Problem `busy` when the limit of attempts is reached. */
export const retryOnConflict = async <T>(
  attempt: () => T | typeof lostRace | Promise<T | typeof lostRace>,
  random: Random,
): Promise<T> => {
  const { tries, minWaitMs, firstWaitMs, maxWaitMs, retryAfterSeconds } = contention;
  for (let lost = 0; lost < tries; lost += 1) {
    if (lost > 0) {
      const bound = Math.min(maxWaitMs, firstWaitMs * 2 ** (lost - 1));
      await sleep(minWaitMs + random() * (bound - minWaitMs));
    }
    const outcome = await attempt();
    if (outcome !== lostRace) return outcome;
  }
  throw new Problem('busy', { retryAfterSeconds });
};
