import Type, { type Static } from 'typebox';
import { answer, known, nullable, ref } from '../lib/schema.ts';
import { pageOf } from './page.ts';

export const profileKinds = ['own', 'standard'] as const;
export type ProfileKind = (typeof profileKinds)[number];

/** A profile’s slug as it is asked for. */
export const ProfileSlug = Type.String({
  minLength: 1,
  maxLength: 100,
  description: 'Slug of an offered profile.',
  examples: ['python-3-13'],
});

const slug = Type.String({ description: 'What a start or a restart names.', examples: ['python-3-13'] });
const displayName = Type.String({ description: 'The name for people.', examples: ['Python 3.13'] });

/** An environment that a member’s server can start with. */
export const NotebookProfile = answer(
  {
    slug,
    displayName,
    kind: known(profileKinds, {
      description: 'own: the team’s own image. standard: an environment of the platform.',
      examples: ['standard'],
    }),
    python: nullable(
      Type.String({ description: 'Python version; null for an own image.', examples: ['3.13'] }),
    ),
    image: nullable(
      Type.String({
        description: 'The image with its tag; null for a retired profile that runs nowhere.',
        examples: ['ghcr.io/navikt/knada-images/jupyter:20251124-120000-3.13'],
      }),
    ),
    digest: nullable(
      Type.String({
        description: 'The digest that runs; null where image is null.',
        examples: [`sha256:${'a'.repeat(64)}`],
      }),
    ),
    drivers: Type.Array(Type.String({ examples: ['Oracle'] }), {
      description:
        'The database drivers that the image includes. Empty for an own image, which nobody has checked.',
    }),
    default: Type.Boolean({ description: 'Preselected for a member who has chosen nothing.' }),
    retired: Type.Boolean({
      description:
        'No longer offered: a server still runs on it, or it is a member’s last choice. A restart brings the default.',
      examples: [false],
    }),
    chosen: nullable(
      Type.Boolean({
        description:
          'Whether the caller’s server starts with it next if the start names no profile. At most one profile is chosen, and none for a caller who is no member; null while the hub does not answer.',
        examples: [true],
      }),
    ),
  },
  { $id: 'NotebookProfile' },
);
export type NotebookProfile = Static<typeof NotebookProfile>;

export const NotebookProfilePage = pageOf(ref(NotebookProfile), 'NotebookProfilePage');

/** The profile that a server runs. */
export const ServerProfile = answer(
  { slug, displayName },
  {
    $id: 'ServerProfile',
    description:
      'The profile that the server’s pod runs; absent without a pod, and for one without a profile.',
  },
);
export type ServerProfile = Static<typeof ServerProfile>;
