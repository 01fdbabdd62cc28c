import { Lru } from '../lib/lru.ts';
import type { TeamRecord } from '../model/record.ts';
import type { Log } from '../ports/runtime.ts';
import type { Reconcile } from './reconcile.ts';

/** A write waits this long for the cluster; what is not done by then the tick does. */
const afterWriteMs = 8_000;

/** A read waits less: the store has an answer already. */
const whileReadingMs = 2_000;
const lookEveryMs = 1_000;

/** Teams whose last look is remembered; one that is forgotten is only looked at once more. */
const remembered = 10_000;

interface BoundedDeps {
  readonly reconcile: Reconcile;
  /** Monotonic milliseconds. */
  readonly elapsedMs: () => number;
  readonly log: Log;
}

/** Reconciling within a request: for a bounded time, and never a reason to fail it. */
export interface BoundedReconcile {
  /** One look right after a write. */
  afterWrite(team: TeamRecord): Promise<TeamRecord | undefined>;
  /** One look for whoever reads a team that is under way; at most once a second per team and instance. */
  whileUnderWay(team: TeamRecord): Promise<TeamRecord | undefined>;
}

const isUnderWay = ({ status, deletion, notebook }: TeamRecord): boolean =>
  deletion !== null ||
  notebook?.deletion != null ||
  status.phase === 'Pending' ||
  status.phase === 'Applying';

export const boundedBy = ({ reconcile, elapsedMs, log }: BoundedDeps): BoundedReconcile => {
  const lookedAt = new Lru<number>(remembered);

  const attempt = async (team: TeamRecord, ms: number): Promise<TeamRecord | undefined> => {
    lookedAt.set(team.id, elapsedMs());
    try {
      return await reconcile(team.slug, AbortSignal.timeout(ms));
    } catch (error) {
      // What was asked for is stored and due; the tick takes it from there.
      log.warn({ team: team.slug, err: error }, 'look failed');
      return team;
    }
  };

  return {
    afterWrite: (team) => attempt(team, afterWriteMs),
    async whileUnderWay(team) {
      const last = lookedAt.get(team.id);
      if (!isUnderWay(team) || (last !== undefined && elapsedMs() - last < lookEveryMs)) return team;
      return attempt(team, whileReadingMs);
    },
  };
};
