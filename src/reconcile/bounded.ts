import { Lru } from '../lib/lru.ts';
import type { TeamRecord } from '../model/record.ts';
import type { Log } from '../ports/runtime.ts';
import { awaitsRetry } from './next-attempt.ts';
import type { Reconcile } from './reconcile.ts';

/** A write waits this long for the cluster; the tick does the rest. */
const afterWriteMs = 8_000;

/** A read waits less: the store has an answer already. */
const whileReadingMs = 2_000;
const reconcileEveryMs = 1_000;

/** Teams whose last attempt is remembered; a forgotten one is only reconciled once more. */
const remembered = 10_000;

interface BoundedDeps {
  readonly reconcile: Reconcile;
  /** Monotonic milliseconds. */
  readonly elapsedMs: () => number;
  readonly log: Log;
}

/** Reconciling within a request: for a bounded time, and never a reason to fail it. */
export interface BoundedReconcile {
  /** One attempt right after a write. */
  afterWrite(team: TeamRecord): Promise<TeamRecord | undefined>;
  /** One attempt while a team that is being changed is read; at most once a second per team and instance. */
  whileUnderWay(team: TeamRecord): Promise<TeamRecord | undefined>;
}

const isUnderWay = (team: TeamRecord): boolean => {
  const { status, deletion, notebook } = team;
  return (
    deletion !== null ||
    notebook?.deletion != null ||
    awaitsRetry(team, status) ||
    status.phase === 'Pending' ||
    status.phase === 'Applying'
  );
};

export const boundedBy = ({ reconcile, elapsedMs, log }: BoundedDeps): BoundedReconcile => {
  const attemptedAt = new Lru<number>(remembered);

  const attempt = async (team: TeamRecord, ms: number): Promise<TeamRecord | undefined> => {
    attemptedAt.set(team.id, elapsedMs());
    try {
      return await reconcile(team.slug, AbortSignal.timeout(ms));
    } catch (error) {
      // The order is stored and due, so the tick repeats it.
      log.warn({ team: team.slug, err: error }, 'reconcile failed');
      return team;
    }
  };

  return {
    afterWrite: (team) => attempt(team, afterWriteMs),
    async whileUnderWay(team) {
      const last = attemptedAt.get(team.id);
      if (!isUnderWay(team) || (last !== undefined && elapsedMs() - last < reconcileEveryMs)) return team;
      return attempt(team, whileReadingMs);
    },
  };
};
