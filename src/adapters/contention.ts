import { setTimeout as sleep } from 'node:timers/promises';
import { Problem } from '../model/problems.ts';

/**
 * How often a lost race is run again, and how long the loser waits: a random time from `minWaitMs` up to a
 * bound that doubles from `firstWaitMs` to `maxWaitMs`. After `tries` attempts the caller is told to retry later.
 */
export const contention = {
  tries: 40,
  minWaitMs: 5,
  firstWaitMs: 20,
  maxWaitMs: 200,
  retryAfterSeconds: 1,
} as const;

/** Returned by an attempt when another writer was faster. */
export const lostRace = Symbol('lost race');

/** Answers a number from 0 up to, but not including, 1. */
export type Random = () => number;

/** Retries until no other writer was faster. Throws Problem `busy` after the maximum number of attempts. */
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
