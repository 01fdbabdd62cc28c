import { createHash } from 'node:crypto';
import { gzipSync } from 'node:zlib';

export const types = {
  index: 'application/vnd.oci.image.index.v1+json',
  manifest: 'application/vnd.oci.image.manifest.v1+json',
  config: 'application/vnd.oci.image.config.v1+json',
  layer: 'application/vnd.oci.image.layer.v1.tar+gzip',
} as const;

export interface Content {
  readonly digest: string;
  readonly mediaType: string;
  readonly bytes: Buffer;
}

/** An image as a registry stores it: the manifest that a tag names, and its parts. The same input gives the same digests. */
export interface Image {
  readonly top: Content;
  /** Manifests below an index. */
  readonly children: readonly Content[];
  readonly blobs: readonly Content[];
}

export interface Build {
  /** os/architecture, one each; one builds a manifest, several an index. */
  readonly platforms: readonly string[];
  /** ISO 8601; null for a build that hides its time. */
  readonly created: string | null;
  /** The content of the image; another text gives another image. */
  readonly text: string;
  readonly labels?: Readonly<Record<string, string>>;
  /** An index with BuildKit’s provenance in it, whose platform is unknown/unknown. */
  readonly attested?: boolean;
}

export const digestOf = (bytes: Buffer): string =>
  `sha256:${createHash('sha256').update(bytes).digest('hex')}`;

const contentOf = (mediaType: string, value: object): Content => {
  const bytes = Buffer.from(JSON.stringify(value));
  return { digest: digestOf(bytes), mediaType, bytes };
};

const descriptorOf = ({ digest, mediaType, bytes }: Content) => ({ mediaType, digest, size: bytes.length });

/** A tar archive with one file in it. */
const tarOf = (name: string, text: string): Buffer => {
  const body = Buffer.from(text);
  const header = Buffer.alloc(512);
  header.write(name, 0);
  header.write('0000644\0', 100);
  header.write('0000000\0', 108);
  header.write('0000000\0', 116);
  header.write(`${body.length.toString(8).padStart(11, '0')}\0`, 124);
  header.write('00000000000\0', 136);
  header.write('        ', 148);
  header.write('0', 156);
  header.write('ustar\u000000', 257);
  const sum = header.reduce((total, byte) => total + byte, 0);
  header.write(`${sum.toString(8).padStart(6, '0')}\0 `, 148);
  const padded = Buffer.alloc(Math.ceil(body.length / 512) * 512);
  body.copy(padded);
  return Buffer.concat([header, padded, Buffer.alloc(1024)]);
};

const single = (platform: string, { created, text, labels = {} }: Build) => {
  const [os = '', architecture = ''] = platform.split('/');
  const tar = tarOf('notebook.txt', `${platform}: ${text}\n`);
  const bytes = gzipSync(tar);
  const layer = { digest: digestOf(bytes), mediaType: types.layer, bytes };
  const config = contentOf(types.config, {
    created: created ?? '1970-01-01T00:00:00Z',
    architecture,
    os,
    config: { User: '1000', Labels: labels },
    rootfs: { type: 'layers', diff_ids: [digestOf(tar)] },
    history: [],
  });
  const manifest = contentOf(types.manifest, {
    schemaVersion: 2,
    mediaType: types.manifest,
    config: descriptorOf(config),
    layers: [descriptorOf(layer)],
  });
  return { platform: { os, architecture }, manifest, blobs: [config, layer] };
};

export const buildImage = (build: Build): Image => {
  const singles = build.platforms.map((platform) => single(platform, build));
  const [only] = singles;
  if (only !== undefined && singles.length === 1 && build.attested !== true) {
    return { top: only.manifest, children: [], blobs: only.blobs };
  }
  const listed = singles.map(({ platform, manifest }) => ({ ...descriptorOf(manifest), platform }));
  const provenance = single('unknown/unknown', { ...build, text: `provenance of ${build.text}` });
  const attestation = {
    ...descriptorOf(provenance.manifest),
    platform: provenance.platform,
    annotations: {
      'vnd.docker.reference.type': 'attestation-manifest',
      'vnd.docker.reference.digest': only?.manifest.digest ?? '',
    },
  };
  const parts = build.attested === true ? [...singles, provenance] : singles;
  return {
    top: contentOf(types.index, {
      schemaVersion: 2,
      mediaType: types.index,
      manifests: build.attested === true ? [...listed, attestation] : listed,
    }),
    children: parts.map(({ manifest }) => manifest),
    blobs: parts.flatMap(({ blobs }) => blobs),
  };
};
