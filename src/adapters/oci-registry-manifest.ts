import Type, { type Static, type TSchema } from 'typebox';
import { Value } from 'typebox/value';
import { isoOf } from '../lib/time.ts';

const index = 'application/vnd.oci.image.index.v1+json';
const dockerIndex = 'application/vnd.docker.distribution.manifest.list.v2+json';
const image = 'application/vnd.oci.image.manifest.v1+json';
const dockerImage = 'application/vnd.docker.distribution.manifest.v2+json';

/** Always all four: a registry that has an index answers 404 to a client that accepts manifests only. */
export const manifestTypes = [index, dockerIndex, image, dockerImage].join(', ');

const Digest = Type.String({ pattern: '^sha256:[a-f0-9]{64}$' });
const Size = Type.Integer({ minimum: 0 });

const Index = Type.Object({
  manifests: Type.Array(
    Type.Object({
      digest: Digest,
      platform: Type.Optional(Type.Object({ os: Type.String(), architecture: Type.String() })),
      annotations: Type.Optional(Type.Record(Type.String(), Type.String())),
    }),
  ),
});

const Image = Type.Object({
  config: Type.Object({ digest: Digest, size: Size }),
  layers: Type.Array(Type.Object({ size: Size })),
});

const Config = Type.Object({
  os: Type.String(),
  architecture: Type.String(),
  created: Type.Optional(Type.Union([Type.String(), Type.Null()])),
});

const Errors = Type.Object({
  errors: Type.Array(
    Type.Object({ code: Type.String(), message: Type.Optional(Type.Union([Type.String(), Type.Null()])) }),
    { minItems: 1 },
  ),
});

const Tags = Type.Object({ tags: Type.Union([Type.Array(Type.String()), Type.Null()]) });

export type ReadManifest =
  | { readonly kind: 'index'; readonly children: readonly { digest: string; platform: string }[] }
  | { readonly kind: 'image'; readonly config: string; readonly sizeBytes: number };

const parse = <T extends TSchema>(schema: T, body: Buffer): Static<T> | undefined => {
  try {
    const value: unknown = JSON.parse(body.toString());
    return Value.Check(schema, value) ? value : undefined;
  } catch {
    return undefined;
  }
};

/** os/architecture; undefined for entries that are not images to run, such as BuildKit’s attestations. */
const platformOf = ({ platform, annotations }: Static<typeof Index>['manifests'][number]) => {
  if (annotations?.['vnd.docker.reference.type'] === 'attestation-manifest') return undefined;
  if (platform === undefined || platform.os === 'unknown' || platform.architecture === 'unknown')
    return undefined;
  return `${platform.os}/${platform.architecture}`;
};

/** An image index or image manifest; undefined for anything else. The size is compressed, as pulled. */
export const readManifest = (body: Buffer): ReadManifest | undefined => {
  const list = parse(Index, body);
  if (list !== undefined) {
    const children = list.manifests.flatMap((entry) => {
      const platform = platformOf(entry);
      return platform === undefined ? [] : [{ digest: entry.digest, platform }];
    });
    return { kind: 'index', children };
  }
  const single = parse(Image, body);
  if (single === undefined) return undefined;
  const sizeBytes = single.layers.reduce((sum, { size }) => sum + size, single.config.size);
  return { kind: 'image', config: single.config.digest, sizeBytes };
};

/** An image’s configuration. Reproducible builds set 1970 or the year 1, which is not a build time. */
export const readConfig = (body: Buffer): { platform: string; createdAt: string | null } | undefined => {
  const config = parse(Config, body);
  if (config === undefined) return undefined;
  const createdMs = Date.parse(config.created ?? '');
  return {
    platform: `${config.os}/${config.architecture}`,
    createdAt: createdMs > 0 ? isoOf(createdMs) : null,
  };
};

/** The codes of a registry’s error; undefined when the body is not one. */
export const readErrors = (body: Buffer): readonly { code: string; message: string }[] | undefined =>
  parse(Errors, body)?.errors.map(({ code, message }) => ({ code, message: message ?? '' }));

/** One page of tags; undefined when the body is not one. */
export const readTags = (body: Buffer): readonly string[] | undefined => {
  const page = parse(Tags, body);
  return page === undefined ? undefined : (page.tags ?? []);
};

const Token = Type.Object({
  token: Type.Optional(Type.String({ minLength: 1 })),
  access_token: Type.Optional(Type.String({ minLength: 1 })),
  expires_in: Type.Optional(Type.Number()),
});

/** A token and its lifetime; the default is 60 seconds (distribution’s token authentication specification). */
export const readToken = (body: Buffer): { token: string; seconds: number } | undefined => {
  const answer = parse(Token, body);
  const token = answer?.token ?? answer?.access_token;
  return token === undefined ? undefined : { token, seconds: answer?.expires_in ?? 60 };
};
