import Type, { type Static } from 'typebox';
import { answer, known, nullable, ref } from '../lib/schema.ts';
import { Change } from './change.ts';
import { Manifest } from './manifest.ts';
import { UnreachableEntry } from './unreachable-entry.ts';

/** One difference that a plan would make, and when it reaches servers. */
export const PlannedChange = answer(
  {
    ...Change.properties,
    takesEffect: known(['immediately', 'next_start', 'new_homes'], {
      description:
        'immediately: also for running servers. next_start: for each server when it is started the next time. new_homes: for home volumes created from then on; existing ones grow to a larger size without a restart.',
      examples: ['immediately'],
    }),
  },
  { $id: 'PlannedChange' },
);
export type PlannedChange = Static<typeof PlannedChange>;

/** A running server that waits for a restart. */
export const ServerPendingRestart = answer(
  {
    user: Type.String({ description: 'Hub user name.', examples: ['kari.nordmann@nav.no'] }),
    pendingChanges: Type.Array(ref(Change), {
      description: 'What a restart would change, as in Server.',
    }),
  },
  { $id: 'ServerPendingRestart' },
);
export type ServerPendingRestart = Static<typeof ServerPendingRestart>;

export const Plan = answer(
  {
    changes: Type.Array(ref(PlannedChange)),
    restartsHub: Type.Boolean({
      description: 'Whether the change restarts the hub. No change of a notebook does.',
    }),
    runningServers: known(['unaffected', 'next_start', 'now'], {
      description: 'When the first of the changes reaches the servers that are running now.',
    }),
    serversPendingRestart: nullable(
      Type.Array(ref(ServerPendingRestart), {
        description:
          'The running servers that wait for a restart once the plan is carried out, including those that wait already; null when hub or cluster do not answer.',
      }),
    ),
    unreachableEntries: Type.Array(ref(UnreachableEntry), {
      description:
        'Entries of the planned allowlist that notebooks could not reach now, as far as their addresses are known or DNS answers within three seconds. Empty if the allowlist is not enabled.',
    }),
    manifests: Type.Optional(Type.Array(ref(Manifest))),
  },
  { $id: 'Plan' },
);
export type Plan = Static<typeof Plan>;
