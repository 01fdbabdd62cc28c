import Type, { type Static } from 'typebox';
import { keysOf } from '../lib/keys.ts';
import { answer, known } from '../lib/schema.ts';
import type { CodeText } from './code-text.ts';

/** Remarks about a change of a team that was made all the same. Codes are part of the API. */
export const teamWarnings = {
  repository_not_found_or_private: [
    'Repository not found or private',
    'The repository does not exist in GHCR, or the platform is not allowed to read it. Check its name and its visibility.',
  ],
  repository_not_checked: [
    'Repository not checked',
    'GHCR gave no answer in time, so it is not known whether the repository exists.',
  ],
} as const satisfies Record<string, CodeText>;

export type TeamWarningCode = keyof typeof teamWarnings;

export const TeamWarning = answer(
  {
    pointer: Type.String({
      description: 'JSON pointer (RFC 6901) into the team that is answered.',
      examples: ['/ghcrRepositories/0'],
    }),
    code: known(keysOf(teamWarnings), { examples: ['repository_not_found_or_private'] }),
    message: Type.String({
      description: 'For people.',
      examples: [
        'ghcr.io/navikt/my-notebok does not exist, or the platform is not allowed to read it. Check its name and its visibility.',
      ],
    }),
  },
  { $id: 'TeamWarning' },
);
export type TeamWarning = Static<typeof TeamWarning>;
