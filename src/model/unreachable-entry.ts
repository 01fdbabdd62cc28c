import Type, { type Static } from 'typebox';
import { answer, known } from '../lib/schema.ts';

/** An entry of an allowlist that notebooks cannot reach now, or only in part. */
export const UnreachableEntry = answer(
  {
    entry: Type.String({ description: 'In canonical form.', examples: ['db.example.com:1521'] }),
    status: known(['unresolved', 'blocked_private_answer', 'too_many_addresses', 'ipv6_only'], {
      description: 'As in EgressEntry. too_many_addresses: only some of its addresses are open.',
      examples: ['blocked_private_answer'],
    }),
    message: Type.String({ description: 'For people.', examples: ['resolves to a private address'] }),
  },
  { $id: 'UnreachableEntry' },
);
export type UnreachableEntry = Static<typeof UnreachableEntry>;
