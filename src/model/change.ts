import Type, { type Static } from 'typebox';
import { answer } from '../lib/schema.ts';

/** One difference between two configurations. */
export const Change = answer(
  {
    pointer: Type.String({ description: 'JSON pointer (RFC 6901).', examples: ['/culling/timeoutSeconds'] }),
    from: Type.Unknown({ examples: [3600] }),
    to: Type.Unknown({ examples: [7200] }),
  },
  { $id: 'Change' },
);
export type Change = Static<typeof Change>;
