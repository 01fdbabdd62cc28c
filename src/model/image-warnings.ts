import { keysOf } from '../lib/keys.ts';
import { known } from '../lib/schema.ts';
import type { CodeText } from './code-text.ts';

/** Remarks about an image that can be used. Codes are part of the API. */
export const imageWarnings = {
  digest_decides: ['Tag ignored', 'The reference has a digest, which is used instead of the tag.'],
  moving_tag: [
    'Moving tag',
    'The tag usually moves to newer builds. The notebook keeps the digest of today until it is refreshed.',
  ],
  created_unknown: ['Build time unknown', 'The image does not say when it was built.'],
  old: ['Old build', 'The image was built long ago, so its packages are outdated. Build it again.'],
} as const satisfies Record<string, CodeText>;

export type ImageWarningCode = keyof typeof imageWarnings;

export const ImageWarningCode = known(keysOf(imageWarnings));
