import Type, { type Static } from 'typebox';
import { closed, Instant, nullable, oneOf, ref } from '../lib/schema.ts';

export const imageWarnings = ['digest_decides', 'moving_tag', 'created_unknown', 'old'] as const;

export const ImageWarning = closed(
  { code: oneOf(imageWarnings), message: Type.String() },
  { $id: 'ImageWarning', description: 'A hint about an image that can still be used.' },
);
export type ImageWarning = Static<typeof ImageWarning>;

export const ResolvedImage = closed(
  {
    reference: Type.String({ description: 'The canonical form of the requested reference.' }),
    digest: Type.String({
      description: 'The digest that would run.',
      examples: [`sha256:${'a'.repeat(64)}`],
    }),
    platforms: Type.Array(Type.String({ examples: ['linux/amd64'] })),
    sizeBytes: Type.Integer({
      minimum: 0,
      description: 'The compressed size that a node pulls for linux/amd64.',
    }),
    createdAt: nullable({
      ...Instant,
      description: 'When the image was built; null when the image does not say.',
    }),
    warnings: Type.Array(ref(ImageWarning)),
  },
  { $id: 'ResolvedImage', description: 'An image as it is in its registry now.' },
);
export type ResolvedImage = Static<typeof ResolvedImage>;

export const TeamImage = closed(
  {
    image: Type.String({ description: 'Without a tag.', examples: ['ghcr.io/navikt/my-notebook'] }),
    registry: oneOf(['gar', 'ghcr']),
    updatedAt: nullable({
      ...Instant,
      description: 'When a build was last pushed; null when the registry does not say.',
    }),
  },
  { $id: 'TeamImage' },
);
export type TeamImage = Static<typeof TeamImage>;

export const TeamImages = closed(
  {
    items: Type.Array(ref(TeamImage)),
    unknown: Type.Array(Type.String(), {
      description: 'One sentence for each source that could not be listed; items may be incomplete.',
    }),
  },
  { $id: 'TeamImages' },
);
export type TeamImages = Static<typeof TeamImages>;

export const ImageTagItem = closed(
  {
    tag: Type.String(),
    digest: nullable(Type.String({ description: 'null when the registry lists tags without it.' })),
    pushedAt: nullable({ ...Instant, description: 'null when the registry lists tags without it.' }),
  },
  { $id: 'ImageTagItem' },
);
export type ImageTagItem = Static<typeof ImageTagItem>;
