import Type, { type Static } from 'typebox';
import { answer } from '../lib/schema.ts';

/** A text in the languages of the product. */
export const LocalizedText = answer(
  {
    en: Type.String({ description: 'English.', examples: ['Quota exceeded'] }),
    nb: Type.String({ description: 'Norwegian Bokmål.', examples: ['Kvoten er brukt opp'] }),
  },
  { $id: 'LocalizedText' },
);
export type LocalizedText = Static<typeof LocalizedText>;
