import { randomUUID } from 'node:crypto';
import type { RegistryContent, Repository } from './content.ts';
import { type Answer, basicOf, bearerOf, type Call, json } from './http.ts';
import { type Content, digestOf, types } from './image.ts';

/** Tokens as ghcr.io/token issues them, with their access. */
export class Tokens {
  readonly #scopes = new Map<string, ReadonlySet<string>>();

  issue(scopes: readonly string[]): string {
    const token = randomUUID();
    this.#scopes.set(token, new Set(scopes));
    return token;
  }

  allows(token: string | undefined, scope: string): boolean {
    return token !== undefined && this.#scopes.get(token)?.has(scope) === true;
  }

  revokeAll(): void {
    this.#scopes.clear();
  }
}

export interface DockerOptions {
  readonly content: RegistryContent;
  readonly tokens: Tokens;
  /** Paths of Artifact Registry begin with its project. */
  readonly garProject: string;
  /** The expired Google token. Every other token is accepted. */
  readonly expiredGoogleToken: string;
}

const pageSizes = { usual: 100, most: 1000 };

const refusal = (
  status: number,
  code: string,
  message: string,
  headers: Readonly<Record<string, string>> = {},
): Answer => json(status, { errors: [{ code, message }] }, headers);

/** GHCR’s message, the same for private and for missing repositories. */
const denied = () => refusal(403, 'DENIED', 'requested access to the resource is denied');

/** `GET /token?service=ghcr.io&scope=repository:<name>:pull`: anonymous for public repositories, with a login for others. */
export const issueToken = ({ url, headers }: Call, { content, tokens }: DockerOptions): Answer => {
  const [kind, path = '', actions = ''] = (url.searchParams.get('scope') ?? '').split(':');
  if (kind !== 'repository' || path === '') return refusal(400, 'UNSUPPORTED', 'scope is missing');
  const isSignedIn = (basicOf(headers.authorization)?.password ?? '') !== '';
  const isPublic = content.get(path)?.visibility === 'public';
  if (!isSignedIn && (!isPublic || actions !== 'pull')) return denied();
  return json(200, { token: tokens.issue(actions.split(',').map((action) => `${path}:${action}`)) });
};

const isGoogle = (call: Call, { expiredGoogleToken }: DockerOptions): boolean => {
  const basic = basicOf(call.headers.authorization);
  const token =
    basic?.user === 'oauth2accesstoken' ? basic.password : (bearerOf(call.headers.authorization) ?? '');
  return token !== '' && token !== expiredGoogleToken;
};

/** Why a call is refused; undefined when it is allowed. */
const guard = (call: Call, path: string, options: DockerOptions): Answer | undefined => {
  const action = call.method === 'GET' || call.method === 'HEAD' ? 'pull' : 'push';
  const origin = call.url.origin;
  if (path.startsWith(`${options.garProject}/`)) {
    if (isGoogle(call, options)) {
      const [project = '', team = ''] = path.split('/');
      // A push does not create a repository in Artifact Registry.
      if (options.content.below(`${project}/${team}/`).length > 0) return undefined;
      return refusal(
        403,
        'DENIED',
        `Permission "artifactregistry.repositories.downloadArtifacts" denied on resource "projects/${project}/locations/europe-north1/repositories/${team}" (or it may not exist)`,
      );
    }
    return refusal(401, 'UNAUTHORIZED', 'authentication failed', {
      'www-authenticate': `Bearer realm="${origin}/v2/token",service="europe-north1-docker.pkg.dev"`,
    });
  }
  if (options.tokens.allows(bearerOf(call.headers.authorization), `${path}:${action}`)) return undefined;
  return refusal(401, 'UNAUTHORIZED', 'authentication required', {
    'www-authenticate': `Bearer realm="${origin}/token",service="ghcr.io",scope="repository:${path}:${action === 'pull' ? 'pull' : 'pull,push'}"`,
  });
};

const listTags = ({ url }: Call, path: string, repository: Repository): Answer => {
  const all = [...repository.tags.keys()];
  const asked = url.searchParams.get('n');
  const size = Math.min(asked === null ? pageSizes.usual : Number(asked), pageSizes.most);
  if (!Number.isInteger(size) || size < 1) return refusal(400, 'PAGINATION_NUMBER_INVALID', 'invalid n');
  const last = url.searchParams.get('last');
  const start = last === null ? 0 : all.indexOf(last) + 1;
  const tags = all.slice(start, start + size);
  const more = start + size < all.length;
  const next = new URLSearchParams({ last: tags.at(-1) ?? '', n: String(size) });
  const link = more ? { link: `</v2/${path}/tags/list?${next}>; rel="next"` } : {};
  return json(200, { name: path, tags }, link);
};

const send = (call: Call, { mediaType, digest, bytes }: Content): Answer => ({
  status: 200,
  headers: {
    'content-type': mediaType,
    'docker-content-digest': digest,
    'content-length': String(bytes.length),
  },
  ...(call.method === 'HEAD' ? {} : { body: bytes }),
});

const getManifest = (call: Call, repository: Repository, reference: string): Answer => {
  const digest = reference.startsWith('sha256:') ? reference : repository.tags.get(reference);
  const manifest = digest === undefined ? undefined : repository.manifests.get(digest);
  if (manifest === undefined) return refusal(404, 'MANIFEST_UNKNOWN', 'manifest unknown');
  if (manifest.mediaType === types.index && !(call.headers.accept ?? '').includes(types.index)) {
    const why = 'OCI index found, but Accept header does not support OCI indexes';
    return refusal(404, 'MANIFEST_UNKNOWN', why);
  }
  return send(call, manifest);
};

/** GHCR stores blobs elsewhere and redirects clients there. */
const getBlob = (call: Call, path: string, repository: Repository, digest: string): Answer => {
  const blob = repository.blobs.get(digest);
  if (blob === undefined) return refusal(404, 'BLOB_UNKNOWN', 'blob unknown to registry');
  if (call.method === 'HEAD') return send(call, { ...blob, mediaType: 'application/octet-stream' });
  return { status: 307, headers: { location: `${call.url.origin}/storage/${path}/${digest}?sig=1` } };
};

/** The blob storage: the signed address is enough, and a second kind of credentials is refused. */
export const fromStorage = (call: Call, { content }: DockerOptions): Answer => {
  const [, path = '', digest = ''] = /^\/storage\/(.+)\/(sha256:[a-f0-9]{64})$/.exec(call.url.pathname) ?? [];
  const blob = content.get(path)?.blobs.get(digest);
  if (call.headers.authorization !== undefined) return { status: 400, body: 'InvalidAuthenticationInfo' };
  if (blob === undefined || call.url.searchParams.get('sig') !== '1') return { status: 403 };
  return { status: 200, headers: { 'content-type': 'application/octet-stream' }, body: blob.bytes };
};

/** Blob uploads in one piece or in chunks, as docker and skopeo make them. */
export class Uploads {
  readonly #open = new Map<string, Buffer>();

  answer(call: Call, path: string, repository: Repository, id: string): Answer {
    if (call.method === 'POST') {
      const started = randomUUID();
      this.#open.set(started, Buffer.alloc(0));
      return { status: 202, headers: { location: `/v2/${path}/blobs/uploads/${started}`, range: '0-0' } };
    }
    const known = this.#open.get(id);
    if (known === undefined) return refusal(404, 'BLOB_UPLOAD_UNKNOWN', 'blob upload unknown');
    const bytes = Buffer.concat([known, call.body]);
    if (call.method === 'PATCH') {
      this.#open.set(id, bytes);
      const location = `/v2/${path}/blobs/uploads/${id}`;
      return { status: 202, headers: { location, range: `0-${bytes.length - 1}` } };
    }
    if (call.method !== 'PUT') return refusal(405, 'UNSUPPORTED', 'method not allowed');
    const digest = digestOf(bytes);
    if (digest !== call.url.searchParams.get('digest')) {
      return refusal(400, 'DIGEST_INVALID', 'provided digest did not match uploaded content');
    }
    this.#open.delete(id);
    repository.blobs.set(digest, { digest, mediaType: 'application/octet-stream', bytes });
    return {
      status: 201,
      headers: { location: `/v2/${path}/blobs/${digest}`, 'docker-content-digest': digest },
    };
  }
}

const putManifest = (call: Call, path: string, reference: string, content: RegistryContent): Answer => {
  const digest = digestOf(call.body);
  const isDigest = reference.startsWith('sha256:');
  if (isDigest && reference !== digest) return refusal(400, 'DIGEST_INVALID', 'digest does not match');
  const mediaType = call.headers['content-type'] ?? types.manifest;
  content.putManifest(
    path,
    { digest, mediaType, bytes: call.body },
    { tag: isDigest ? undefined : reference },
  );
  return {
    status: 201,
    headers: { location: `/v2/${path}/manifests/${digest}`, 'docker-content-digest': digest },
  };
};

const route =
  /^\/v2\/(.+)\/(tags\/list|manifests\/([^/]+)|blobs\/uploads\/([^/]*)|blobs\/(sha256:[a-f0-9]{64}))$/;

/** Docker’s registry protocol, version 2, as GHCR and Artifact Registry speak it. */
export const docker = (call: Call, options: DockerOptions, uploads: Uploads): Answer => {
  if (call.url.pathname === '/v2/') {
    if (call.headers.authorization !== undefined) return json(200, {});
    return refusal(401, 'UNAUTHORIZED', 'authentication required', {
      'www-authenticate': `Bearer realm="${call.url.origin}/token",service="ghcr.io",scope="repository:user/image:pull"`,
    });
  }
  const found = route.exec(decodeURIComponent(call.url.pathname));
  if (found === null) return refusal(404, 'NOT_FOUND', 'page not found');
  const [, path = '', , reference, upload, blob] = found;
  const refused = guard(call, path, options);
  if (refused !== undefined) return refused;
  const isRead = call.method === 'GET' || call.method === 'HEAD';
  const repository = isRead ? options.content.get(path) : options.content.ensure(path);
  if (upload !== undefined && repository !== undefined) return uploads.answer(call, path, repository, upload);
  if (call.method === 'PUT' && reference !== undefined)
    return putManifest(call, path, reference, options.content);
  if (!isRead) return refusal(405, 'UNSUPPORTED', 'The operation is unsupported.');
  if (repository === undefined) {
    return reference === undefined
      ? refusal(404, 'NAME_UNKNOWN', 'repository name not known to registry')
      : refusal(404, 'MANIFEST_UNKNOWN', `manifest unknown: Failed to fetch "${reference}"`);
  }
  if (reference !== undefined) return getManifest(call, repository, reference);
  if (blob !== undefined) return getBlob(call, path, repository, blob);
  return listTags(call, path, repository);
};
