import { Lru } from '../lib/lru.ts';
import type { TeamRecord } from '../model/record.ts';

const everyMs = 1_000;

/** Teams that are watched at the same time on one instance; one more is only observed once more. */
const remembered = 1_000;

/** Observes a team at most once a second, and shares what it found, or why it failed, with everyone who asks meanwhile. */
export const sharedLooks = <T>(
  observe: (team: TeamRecord) => Promise<T>,
  elapsedMs: () => number,
): ((team: TeamRecord) => Promise<T>) => {
  const latest = new Lru<{ readonly at: number; readonly seen: Promise<T> }>(remembered);
  return (team) => {
    const known = latest.get(team.id);
    if (known !== undefined && elapsedMs() - known.at < everyMs) return known.seen;
    const seen = observe(team);
    latest.set(team.id, { at: elapsedMs(), seen });
    return seen;
  };
};
