import Type, { type Static } from 'typebox';
import { answer, known, ref } from '../lib/schema.ts';
import { Change } from './change.ts';
import { Manifest } from './manifest.ts';

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

export const Plan = answer(
  {
    changes: Type.Array(ref(PlannedChange)),
    restartsHub: Type.Boolean({
      description: 'Whether the change restarts the hub. No change of a notebook does.',
    }),
    runningServers: known(['unaffected', 'next_start', 'now'], {
      description: 'When the first of the changes reaches the servers that are running now.',
    }),
    manifests: Type.Optional(Type.Array(ref(Manifest))),
  },
  { $id: 'Plan' },
);
export type Plan = Static<typeof Plan>;
