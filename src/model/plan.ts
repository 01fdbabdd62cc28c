import Type, { type Static } from 'typebox';
import { closed, oneOf, ref } from '../lib/schema.ts';
import { Change } from './change.ts';
import { Manifest } from './manifest.ts';

export const Plan = closed(
  {
    changes: Type.Array(ref(Change)),
    restartsHub: Type.Boolean({
      description: 'Whether the change restarts the hub. No change of a notebook does.',
    }),
    runningServers: oneOf(['unaffected', 'next_start', 'now'], {
      description: 'When the change reaches the servers that are running now.',
    }),
    manifests: Type.Optional(Type.Array(ref(Manifest))),
  },
  { $id: 'Plan' },
);
export type Plan = Static<typeof Plan>;
