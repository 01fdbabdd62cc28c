import Type, { type Static } from 'typebox';
import { answer, known, nullable, ref } from '../lib/schema.ts';
import { LocalizedText } from './localized-text.ts';
import { pageOf } from './page.ts';

/** A code or a reason with its texts, for a frontend to show. */
export const Code = answer(
  {
    code: Type.String({ description: 'Unique within its kind.', examples: ['quota_exceeded'] }),
    kind: known(
      [
        'problem',
        'fault',
        'allowlist',
        'image_warning',
        'team_warning',
        'condition_reason',
        'operation_reason',
      ],
      {
        description:
          'Where the code occurs. problem: `code` of a problem. fault: `code` of an item of its errors. allowlist: the same for an allowlist entry, and its warnings. image_warning: warnings about an image. team_warning: warnings of a team. condition_reason: `reason` of a condition. operation_reason: why an operation failed, or what keeps a server from starting.',
        examples: ['problem'],
      },
    ),
    status: nullable(
      Type.Integer({
        minimum: 400,
        maximum: 599,
        description: 'The HTTP status of a problem; null for the other kinds.',
        examples: [409],
      }),
    ),
    title: ref(LocalizedText),
    help: ref(LocalizedText),
  },
  {
    $id: 'Code',
    examples: [
      {
        code: 'not_found',
        kind: 'problem',
        status: 404,
        title: { en: 'Not found', nb: 'Ikke funnet' },
        help: {
          en: 'The resource does not exist, or you do not have access to it.',
          nb: 'Ressursen finnes ikke, eller du har ikke tilgang til den.',
        },
      },
    ],
  },
);
export type Code = Static<typeof Code>;

export const CodePage = pageOf(ref(Code), 'CodePage');
