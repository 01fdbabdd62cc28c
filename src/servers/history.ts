import { graceMs } from '../culling/rules.ts';
import { isoOf } from '../lib/time.ts';
import type { OperationKind, OperationRecord } from '../model/operation.ts';
import type { CullingState, TeamRecord } from '../model/record.ts';
import type { Decision } from '../ports/store.ts';
import { authorOf } from '../teams/rules.ts';

const actions = {
  start: 'server_started',
  stop: 'server_stopped',
  restart: 'server_restarted',
  restart_hub: 'hub_restarted',
  retry_notebook: 'notebook_retried',
  delete_notebook: 'notebook_deleted',
  delete_team: 'team_deleted',
} as const satisfies Record<OperationKind, string>;

/** An operation ends what is remembered of the run, but not when a stop was last requested. */
const memoryAfter = (
  culling: CullingState,
  user: string,
  { kind, createdAt }: OperationRecord,
  lastActivityAt: string | null,
): CullingState => {
  const { [user]: before, ...servers } = culling.servers;
  const isStop = kind === 'stop' || kind === 'restart';
  const stopped = isStop ? { lastActivityAt, stoppedAt: createdAt } : before?.stopped;
  return { ...culling, servers: stopped === undefined ? servers : { ...servers, [user]: { stopped } } };
};

/** Records an opened operation in the team’s history. `lastActivityAt`: of the run that it ends, as far as known. */
export const recordOpened = (
  team: TeamRecord,
  operation: OperationRecord,
  lastActivityAt: string | null = null,
): Decision => {
  const { kind, user, createdAt, force } = operation;
  return {
    next:
      user === null ? team : { ...team, culling: memoryAfter(team.culling, user, operation, lastActivityAt) },
    event: {
      at: createdAt,
      ...authorOf(operation),
      action: actions[kind],
      revision: null,
      changes: [],
      ...(user === null ? {} : { reason: `The server of ${user}${force ? ', by force' : ''}.` }),
    },
  };
};

/** Records in the team’s history that an operation has failed, beside the entry of its opening. */
export const recordFailed = (team: TeamRecord, operation: OperationRecord): Decision => ({
  next: team,
  event: {
    at: operation.updatedAt,
    ...authorOf(operation),
    action: actions[operation.kind],
    revision: null,
    changes: [],
    reason: `Failed${operation.user === null ? '' : ` for the server of ${operation.user}`}: ${operation.message}`,
  },
});

/** The earlier of two instants, where the first may be missing. */
export const earlier = (a: string | null, b: string): string => (a !== null && a < b ? a : b);

/** Schedules the culling’s first check of a server that just became ready. */
export const scheduleCullingAfterStart = (team: TeamRecord, now: number): Decision | undefined => {
  if (team.notebook === null) return undefined;
  const dueAt = earlier(team.culling.dueAt, isoOf(now + graceMs));
  return dueAt === team.culling.dueAt
    ? undefined
    : { next: { ...team, culling: { ...team.culling, dueAt } } };
};
