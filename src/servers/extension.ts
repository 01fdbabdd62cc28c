import { memoryOf } from '../culling/activity.ts';
import { pointerToken } from '../lib/json.ts';
import { isoOf } from '../lib/time.ts';
import { Problem } from '../model/problems.ts';
import type { TeamRecord } from '../model/record.ts';
import { type ExtendOrder, longestExtensionSeconds } from '../model/server.ts';
import type { Decision } from '../ports/store.ts';
import { type Actor, authored } from '../teams/rules.ts';
import { earlier } from './history.ts';

/**
 * The instant until which a server is kept running. Throws Problem `validation_failed` unless the order names one, once,
 * within the next 24 hours.
 */
export const extensionOf = ({ until, forSeconds }: ExtendOrder, now: number): string => {
  const fault = (code: 'required' | 'given_twice' | 'out_of_range', message: string) =>
    new Problem('validation_failed', { errors: [{ pointer: '/until', code, message }] });
  if (until !== undefined && forSeconds !== undefined)
    throw fault('given_twice', 'Send either until or forSeconds.');
  if (forSeconds !== undefined) return isoOf(now + forSeconds * 1_000);
  if (until === undefined) throw fault('required', 'Send either until or forSeconds.');
  const at = Date.parse(until);
  if (!(at > now)) throw fault('out_of_range', 'Must lie in the future.');
  if (at > now + longestExtensionSeconds * 1_000)
    throw fault('out_of_range', 'Must be at most 24 hours ahead.');
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
