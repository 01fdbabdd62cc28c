/**
 * The grammar of the OCI distribution specification (v1.1) for the parts of a reference. Digests are narrowed to
 * sha256, the one algorithm that every registry takes.
 */
export const repositoryName =
  /^[a-z0-9]+(?:(?:\.|__?|-+)[a-z0-9]+)*(?:\/[a-z0-9]+(?:(?:\.|__?|-+)[a-z0-9]+)*)*$/;
export const tagName = /^[A-Za-z0-9_][A-Za-z0-9._-]{0,127}$/;
export const digestForm = /^sha256:[a-f0-9]{64}$/;

const inside = ({ source }: RegExp): string => source.slice(1, -1);

const hostLabel = '[A-Za-z0-9]+(-+[A-Za-z0-9]+)*';
const inRegistry = `${hostLabel}(\\.${hostLabel})+(:[0-9]+)?/${inside(repositoryName)}`;
const build = `(:${inside(tagName)}(@${inside(digestForm)})?|@${inside(digestForm)})`;

/** A reference with its registry, and with a tag, a digest or both, as a JSON Schema pattern. */
export const referencePattern = `^${inRegistry}${build}$`;

/** The same, where the tag and the digest may be left out. */
export const imagePattern = `^${inRegistry}${build}?$`;

/** GHCR’s host name. */
export const ghcrHost = 'ghcr.io';

/** The host name of Artifact Registry’s Docker endpoint in a region. */
export const garHostOf = (region: string): string => `${region.toLowerCase()}-docker.pkg.dev`;
