import Type, { type Static } from 'typebox';
import { closed, oneOf, ref } from '../lib/schema.ts';
import { Change } from './change.ts';
import { Manifest } from './manifest.ts';

export const Plan = closed(
  {
    changes: Type.Array(ref(Change)),
    restartsHub: Type.Boolean({
      description: 'Whether members are cut off from the hub for a moment. No order does that.',
    }),
    runningServers: oneOf(['unaffected', 'next_start', 'now'], {
      description: 'When a server that runs now meets the change.',
    }),
    manifests: Type.Optional(Type.Array(ref(Manifest))),
  },
  { $id: 'Plan' },
);
export type Plan = Static<typeof Plan>;
