import Type, { type Static } from 'typebox';
import { imagePattern, referencePattern } from '../lib/oci.ts';
import { answer, closed, enforcedByHandler, Instant, known, nullable, oneOf, ref } from '../lib/schema.ts';
import { ImageWarningCode } from './image-warnings.ts';
import { pageOf } from './page.ts';
import { Slug } from './team.ts';

/** The registries that a team’s own images come from. */
export const imageRegistries = ['gar', 'ghcr'] as const;

export const ImageWarning = answer(
  { code: ImageWarningCode, message: Type.String() },
  { $id: 'ImageWarning', description: 'A hint about an image that can still be used.' },
);
export type ImageWarning = Static<typeof ImageWarning>;

export const ResolvedImage = answer(
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

export const TeamImage = answer(
  {
    image: Type.String({ description: 'Without a tag.', examples: ['ghcr.io/navikt/my-notebook'] }),
    registry: known(imageRegistries),
    updatedAt: nullable({
      ...Instant,
      description: 'When a build was last pushed; null when the registry does not say.',
    }),
  },
  { $id: 'TeamImage' },
);
export type TeamImage = Static<typeof TeamImage>;

export const TeamImagePage = answer(
  {
    ...pageOf(ref(TeamImage), 'TeamImagePage').properties,
    unknown: Type.Array(Type.String(), {
      description: 'One sentence for each source that could not be listed; items may be incomplete.',
    }),
  },
  { $id: 'TeamImagePage' },
);
export type TeamImagePage = Static<typeof TeamImagePage>;

export const ImageTag = answer(
  {
    tag: Type.String(),
    digest: nullable(Type.String({ description: 'null when the registry lists tags without it.' })),
    pushedAt: nullable({ ...Instant, description: 'null when the registry lists tags without it.' }),
  },
  { $id: 'ImageTag' },
);
export type ImageTag = Static<typeof ImageTag>;

/** Images as a client writes them; parsed by images/reference.ts. */
const text = {
  maxLength: 1024,
  examples: ['ghcr.io/navikt/team-notebook:20261115-090000-5d6e7f8'],
};

const ImageText = enforcedByHandler(
  Type.String({
    ...text,
    description: 'An image reference with a tag, a digest, or both; its path has at most 255 characters.',
  }),
  { pattern: referencePattern },
);

export const ImageName = enforcedByHandler(
  Type.String({
    ...text,
    description: 'An image reference; a tag and a digest are ignored. Its path has at most 255 characters.',
  }),
  { pattern: imagePattern },
);

export const ImageOrder = closed(
  {
    image: ImageText,
    team: Type.Optional({
      ...Slug,
      description: 'The team whose images in Google Artifact Registry are allowed.',
    }),
  },
  { $id: 'ImageOrder' },
);

export const ImageScaffoldOrder = closed(
  {
    registry: oneOf(imageRegistries),
    team: enforcedByHandler(
      Type.String({
        maxLength: 63,
        description:
          'The team’s name on the Nais platform, which is the name of its repository in Google Artifact Registry: lower-case letters, digits and single hyphens, starting with a letter.',
        examples: ['team-a'],
      }),
      { pattern: '^[a-z][a-z0-9]*(-[a-z0-9]+)*$' },
    ),
    name: enforcedByHandler(
      Type.String({
        maxLength: 100,
        description:
          'The GitHub repository; the image is named after it. Lower-case letters and digits, separated by single dots, underscores or hyphens.',
        examples: ['my-notebook'],
      }),
      { pattern: '^[a-z0-9]+([._-][a-z0-9]+)*$' },
    ),
    python: Type.String({
      pattern: '^3\\.[0-9]{1,2}$',
      description: 'A version of listEnvironments.',
      examples: ['3.13'],
    }),
    requirements: Type.Optional(
      Type.String({
        description:
          'The content of requirements.txt: one requirement (PEP 508) a line, without options, paths and version control.',
        examples: ['pandas==2.3.3\npolars\n'],
      }),
    ),
  },
  { $id: 'ImageScaffoldOrder' },
);

export const ImageScaffold = answer(
  { files: Type.Record(Type.String(), Type.String(), { description: 'File contents by path.' }) },
  { $id: 'ImageScaffold', examples: [{ files: { 'requirements.txt': 'polars\n' } }] },
);

export const ImageTagPage = answer(
  {
    ...pageOf(ref(ImageTag), 'ImageTagPage').properties,
    partial: Type.Boolean({ description: 'Whether tags may exist that items does not list.' }),
    asOf: Instant,
  },
  { $id: 'ImageTagPage', description: 'The newest first, if the registry reports when tags were pushed.' },
);
