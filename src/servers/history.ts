import { graceMs } from '../culling/rules.ts';
import type { OperationKind, OperationRecord } from '../model/operation.ts';
import type { TeamRecord } from '../model/record.ts';
import type { Decision } from '../ports/store.ts';

const actions = {
  start: 'server_started',
  stop: 'server_stopped',
  restart: 'server_restarted',
  restart_hub: 'hub_restarted',
} as const satisfies Record<OperationKind, string>;

const withoutMemory = (culling: TeamRecord['culling'], user: string): TeamRecord['culling'] => {
  const { [user]: _forgotten, ...servers } = culling.servers;
  return { ...culling, servers };
};

/** Records an opened operation in the team’s history. The culling’s memory of the server ends with it. */
export const recordOpened = (
  team: TeamRecord,
  { kind, user, by, createdAt, force }: OperationRecord,
): Decision => ({
  next: user === null ? team : { ...team, culling: withoutMemory(team.culling, user) },
  event: {
    at: createdAt,
    by,
    action: actions[kind],
    revision: null,
    changes: [],
    ...(user === null ? {} : { reason: `The server of ${user}${force ? ', by force' : ''}.` }),
  },
});

/** The earlier of two instants, where the first may be missing. */
export const earlier = (a: string | null, b: string): string => (a !== null && a < b ? a : b);

/** Schedules the culling’s first check of a server that just became ready. */
export const scheduleCullingAfterStart = (team: TeamRecord, now: number): Decision | undefined => {
  if (team.notebook === null) return undefined;
  const dueAt = earlier(team.culling.dueAt, new Date(now + graceMs).toISOString());
  return dueAt === team.culling.dueAt
    ? undefined
    : { next: { ...team, culling: { ...team.culling, dueAt } } };
};
