import Type, { type Static } from 'typebox';
import { closed, Instant, nullable, oneOf, ref } from '../lib/schema.ts';

export const imageWarnings = ['digest_decides', 'moving_tag', 'created_unknown', 'old'] as const;

export const ImageWarning = closed(
  { code: oneOf(imageWarnings), message: Type.String() },
  { $id: 'ImageWarning', description: 'Nothing that stands in the way, but worth knowing.' },
);
export type ImageWarning = Static<typeof ImageWarning>;

export const ResolvedImage = closed(
  {
    reference: Type.String({ description: 'The canonical form of what was asked.' }),
    digest: Type.String({ description: 'What would run.', examples: [`sha256:${'a'.repeat(64)}`] }),
    platforms: Type.Array(Type.String({ examples: ['linux/amd64'] })),
    sizeBytes: Type.Integer({ minimum: 0, description: 'What a node pulls for linux/amd64, compressed.' }),
    createdAt: nullable({ ...Instant, description: 'When it was built; null when its build hides that.' }),
    warnings: Type.Array(ref(ImageWarning)),
  },
  { $id: 'ResolvedImage', description: 'An image as its registry has it now.' },
);
export type ResolvedImage = Static<typeof ResolvedImage>;

export const TeamImage = closed(
  {
    image: Type.String({ description: 'Without a tag.', examples: ['ghcr.io/navikt/my-notebook'] }),
    registry: oneOf(['gar', 'ghcr']),
    updatedAt: nullable({ ...Instant, description: 'When a build was last pushed; null: not told.' }),
  },
  { $id: 'TeamImage' },
);
export type TeamImage = Static<typeof TeamImage>;

export const TeamImages = closed(
  {
    items: Type.Array(ref(TeamImage)),
    unknown: Type.Array(Type.String(), {
      description: 'What could not be listed, a sentence each: images may exist that are not in items.',
    }),
  },
  { $id: 'TeamImages' },
);
export type TeamImages = Static<typeof TeamImages>;

export const ImageTagItem = closed(
  {
    tag: Type.String(),
    digest: nullable(Type.String({ description: 'null: this registry lists tags without it.' })),
    pushedAt: nullable({ ...Instant, description: 'null: this registry lists tags without it.' }),
  },
  { $id: 'ImageTagItem' },
);
export type ImageTagItem = Static<typeof ImageTagItem>;
