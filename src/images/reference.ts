import { digestForm, garHostOf, ghcrHost, tagName } from '../lib/oci.ts';

/**
 * The parts of a reference to a container image. `host` is in lower case; `path` is the repository name; when there is
 * both a tag and a digest, the digest is used.
 */
export interface ImageReference {
  readonly host: string;
  readonly path: string;
  readonly tag?: string;
  readonly digest?: string;
}

/** Where a team’s images may come from. Without a `garTeam` no image in Google Artifact Registry is allowed. */
export interface ImagePolicy {
  readonly ghcrOwner: string;
  readonly garRegion: string;
  readonly garProject: string;
  readonly garTeam?: string | null;
}

export type ReferenceCode = 'image_invalid' | 'tag_required' | 'registry_not_allowed' | 'image_not_allowed';

export interface ReferenceRefusal {
  readonly ok: false;
  readonly code: ReferenceCode;
  readonly message: string;
}

export type ParsedReference = { readonly ok: true; readonly reference: ImageReference } | ReferenceRefusal;

const MAX_LENGTH = 1024;
const MAX_PATH_LENGTH = 255;

// Each pattern is anchored and its neighbouring repetitions share no character, so none can backtrack.
const domain = /^[a-z0-9]+(?:-+[a-z0-9]+)*(?:\.[a-z0-9]+(?:-+[a-z0-9]+)*)*(?::[0-9]+)?$/i;
const ipv6Domain = /^\[[a-f0-9:]+\](?::[0-9]+)?$/i;
const pathComponent = /^[a-z0-9]+(?:(?:\.|__?|-+)[a-z0-9]+)*$/;
const bareDigest = /^[a-f0-9]{64}$/;
/** White space, control characters and everything outside ASCII: no part of a reference has any. */
const foreignCharacter = /[^\u0021-\u007e]/u;
const scheme = /^[a-z][a-z0-9+.-]*:\/\//i;

/**
 * Reads an image reference by the grammar of distribution/reference (`name[:tag][@digest]`, docker.io when no
 * host is named), narrowed: at most 1024 characters, digests are sha256, and the host is lower-cased. Outer
 * white space is dropped. Never throws.
 */
export function parseReference(text: string): ParsedReference {
  if (text.length > MAX_LENGTH) return invalid(`An image reference has at most ${MAX_LENGTH} characters.`);
  const trimmed = text.trim();
  if (trimmed === '') return invalid('Specify an image, for example ghcr.io/<owner>/<image>:<tag>.');
  const [foreign] = foreignCharacter.exec(trimmed) ?? [];
  if (foreign !== undefined) {
    return invalid(
      `The image reference contains ${codePointOf(foreign)}; only visible ASCII characters are allowed.`,
    );
  }
  if (scheme.test(trimmed)) {
    return invalid(`An image reference has no scheme: write ${quote(trimmed.replace(scheme, ''))}.`);
  }

  if (bareDigest.test(trimmed)) {
    return invalid('This is an image ID. Specify the registry, the image and its tag.');
  }
  const [named = '', digest, ...more] = trimmed.split('@');
  if (more.length > 0) return invalid('An image reference has at most one "@", before the digest.');
  if (digest !== undefined && !digestForm.test(digest)) {
    return invalid(
      `${quote(digest)} is not a digest: "@" is followed by sha256: and 64 hexadecimal digits in lower case.`,
    );
  }

  const { first, remainder } = splitHost(named);
  // Checked before it is lower-cased: some letters outside ASCII have an ASCII letter as their lower case.
  if (!domain.test(first) && !ipv6Domain.test(first)) return invalid(`${quote(first)} is not a host name.`);
  const host = canonicalHost(first);

  const colon = remainder.indexOf(':');
  const name = colon < 0 ? remainder : remainder.slice(0, colon);
  const tag = colon < 0 ? undefined : remainder.slice(colon + 1);
  const fault = pathFault(name) ?? tagFault(tag);
  if (fault !== undefined) return invalid(fault);
  if (!isHost(host)) {
    // Only upper case made this first part a host; in lower case it would name another image on Docker Hub.
    return refuse('registry_not_allowed', `${quote(host)} is not a registry.`);
  }

  const path = host === 'docker.io' && !name.includes('/') ? `library/${name}` : name;
  if (path.length > MAX_PATH_LENGTH) {
    return invalid(`The path of an image has at most ${MAX_PATH_LENGTH} characters.`);
  }
  return {
    ok: true,
    reference: { host, path, ...(tag !== undefined && { tag }), ...(digest !== undefined && { digest }) },
  };
}

/** The canonical text of a reference; parsing it gives the same reference again. */
export function printReference({ host, path, tag, digest }: ImageReference): string {
  return `${host}/${path}${tag === undefined ? '' : `:${tag}`}${digest === undefined ? '' : `@${digest}`}`;
}

/**
 * Decides whether a team may run this image: below the owner in GHCR, or in the repository of its `garTeam` in Google
 * Artifact Registry. The registry is checked first, then the path, then the tag: an image that is refused anyway needs
 * no tag. A digest without a tag is allowed: it names one build exactly.
 */
export function checkAllowed(
  reference: ImageReference,
  policy: ImagePolicy,
): { readonly ok: true } | ReferenceRefusal {
  const refusal =
    reference.host === ghcrHost
      ? ghcrRefusal(reference, policy)
      : reference.host === garHost(policy)
        ? garRefusal(reference, policy)
        : hostRefusal(reference, policy);
  if (refusal !== undefined) return refusal;
  if (reference.tag === undefined && reference.digest === undefined) {
    return refuse(
      'tag_required',
      `Specify a tag, for example ${printReference({ ...reference, tag: '<tag>' })}; there is no default tag.`,
    );
  }
  return { ok: true };
}

/** Parses a reference and decides whether the team may run it. */
export function parseTeamImage(text: string, policy: ImagePolicy): ParsedReference {
  const parsed = parseReference(text);
  if (!parsed.ok) return parsed;
  const allowed = checkAllowed(parsed.reference, policy);
  return allowed.ok ? parsed : allowed;
}

/** The host of Artifact Registry’s Docker endpoint in the configured region. */
export function garHost({ garRegion }: ImagePolicy): string {
  return garHostOf(garRegion);
}

function splitHost(named: string): { first: string; remainder: string } {
  const slash = named.indexOf('/');
  const first = named.slice(0, Math.max(slash, 0));
  if (slash < 0 || !(isHost(first) || first !== first.toLowerCase())) {
    return { first: 'docker.io', remainder: named };
  }
  return { first, remainder: named.slice(slash + 1) };
}

function canonicalHost(host: string): string {
  const lower = host.toLowerCase();
  return lower === 'index.docker.io' ? 'docker.io' : lower;
}

/** The first part of a name is a host when it could not be part of a path on Docker Hub. */
function isHost(first: string): boolean {
  return first === 'localhost' || first.includes('.') || first.includes(':');
}

function pathFault(path: string): string | undefined {
  if (path === '') return 'The image has no name.';
  const bad = path.split('/').find((component) => !pathComponent.test(component));
  if (bad === undefined) return undefined;
  if (bad === '')
    return 'The path of the image has an empty component: two slashes in a row, or one at the end.';
  if (bad !== bad.toLowerCase() && pathComponent.test(bad.toLowerCase())) {
    return `The path of an image must be in lower case: use ${quote(bad.toLowerCase())} for ${quote(bad)}.`;
  }
  return `${quote(bad)} is not a valid path component: use lower-case letters and digits, separated by ".", "_", "__" or "-".`;
}

function tagFault(tag: string | undefined): string | undefined {
  if (tag === undefined || tagName.test(tag)) return undefined;
  if (tag === '') return 'The tag after ":" is empty.';
  return `${quote(tag)} is not a tag: use at most 128 letters, digits, "_", "." and "-", not starting with "." or "-".`;
}

function ghcrRefusal(reference: ImageReference, policy: ImagePolicy): ReferenceRefusal | undefined {
  const owner = policy.ghcrOwner.toLowerCase();
  if (reference.path.startsWith(`${owner}/`)) return undefined;
  return refuse(
    'image_not_allowed',
    `Images in GHCR must have the form ${ghcrHost}/${owner}/<image>:<tag>; ${quote(reference.path)} is not below ${owner}.`,
  );
}

function garRefusal(reference: ImageReference, policy: ImagePolicy): ReferenceRefusal | undefined {
  if (!policy.garTeam) {
    return refuse(
      'image_not_allowed',
      `This team has no repository in Google Artifact Registry yet. Ask a platform administrator to set the team’s garTeam, or use ${ghcrHost}/${policy.ghcrOwner.toLowerCase()}/<image>:<tag>.`,
    );
  }
  const repository = `${policy.garProject}/${policy.garTeam}`;
  if (reference.path.startsWith(`${repository}/`)) return undefined;
  return refuse(
    'image_not_allowed',
    `This team’s images in Google Artifact Registry must have the form ${garHost(policy)}/${repository}/<image>:<tag>.`,
  );
}

function hostRefusal(reference: ImageReference, policy: ImagePolicy): ReferenceRefusal {
  const hostname = reference.host.replace(/:[0-9]+$/, '');
  if (hostname !== reference.host && (hostname === ghcrHost || hostname === garHost(policy))) {
    return refuse(
      'registry_not_allowed',
      `Omit the port: ${printReference({ ...reference, host: hostname })}.`,
    );
  }
  const gar = policy.garTeam
    ? ` or ${garHost(policy)}/${policy.garProject}/${policy.garTeam}/<image>:<tag>`
    : '';
  return refuse(
    'registry_not_allowed',
    `Images must have the form ${ghcrHost}/${policy.ghcrOwner.toLowerCase()}/<image>:<tag>${gar}, not from ${quote(reference.host)}.`,
  );
}

function refuse(code: ReferenceCode, message: string): ReferenceRefusal {
  return { ok: false, code, message };
}

function invalid(message: string): ReferenceRefusal {
  return refuse('image_invalid', message);
}

function codePointOf(character: string): string {
  return `U+${(character.codePointAt(0) ?? 0).toString(16).toUpperCase().padStart(4, '0')}`;
}

/** Quotes input in a message, shortened. */
function quote(text: string): string {
  return JSON.stringify(text.length > 80 ? `${text.slice(0, 80)}…` : text);
}
