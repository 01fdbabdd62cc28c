import { memoryOf } from '../culling/activity.ts';
import { pointerToken } from '../lib/json.ts';
import { isoOf } from '../lib/time.ts';
import { Problem } from '../model/problems.ts';
import type { TeamRecord } from '../model/record.ts';
import type { Decision } from '../ports/store.ts';
import { type Actor, authored } from '../teams/rules.ts';
import { earlier } from './history.ts';

const longestExtensionMs = 24 * 3_600_000;

/** The instant until which a server is kept running. Throws Problem `validation_failed` unless it is within the next 24 hours. */
export const extensionOf = (until: string, now: number): string => {
  const at = Date.parse(until);
  const fault = (message: string) =>
    new Problem('validation_failed', { errors: [{ pointer: '/until', code: 'out_of_range', message }] });
  if (!(at > now)) throw fault('Must lie in the future.');
  if (at > now + longestExtensionMs) throw fault('Must be at most 24 hours ahead.');
  return isoOf(at);
};

/** Keeps a server running until then, or shortens a longer extension. Undefined when nothing changes. */
export const extended = (team: TeamRecord, user: string, until: string, act: Actor): Decision | undefined => {
  const { culling } = team;
  const before = memoryOf(culling, user);
  if (before?.extendedUntil === until) return undefined;
  return {
    next: {
      ...team,
      culling: {
        // A shortened extension may make it due earlier.
        dueAt: culling.dueAt === null ? null : earlier(culling.dueAt, until),
        servers: { ...culling.servers, [user]: { ...before, extendedUntil: until } },
      },
    },
    event: {
      ...authored(act),
      action: 'server_extended',
      revision: null,
      changes: [
        {
          pointer: `/servers${pointerToken(user)}/extendedUntil`,
          from: before?.extendedUntil ?? null,
          to: until,
        },
      ],
      reason: `The server of ${user} is kept running until ${until}.`,
    },
  };
};
