import type { RegistryContent } from './content.ts';
import { type Answer, bearerOf, type Call, json } from './http.ts';

const pageSizes = { usual: 100, most: 1000 };

const failure = (status: number, name: string, message: string): Answer =>
  json(status, { error: { code: status, message, status: name } });

const pageOf = <T>({ url }: Call, key: string, all: readonly T[]): Answer => {
  const asked = Number(url.searchParams.get('pageSize') ?? 0);
  const size = Math.min(asked > 0 ? asked : pageSizes.usual, pageSizes.most);
  const token = url.searchParams.get('pageToken') ?? '';
  const start = token === '' ? 0 : Number(Buffer.from(token, 'base64url').toString());
  if (!Number.isInteger(start)) return failure(400, 'INVALID_ARGUMENT', 'Invalid page token.');
  const end = start + size;
  const nextPageToken = end < all.length ? Buffer.from(String(end)).toString('base64url') : '';
  return json(200, { [key]: all.slice(start, end), nextPageToken });
};

const route =
  /^\/v1\/projects\/([^/]+)\/locations\/([^/]+)\/repositories\/([^/]+)\/packages(?:\/([^/]+)\/(versions|tags)(?:\/([^/]+))?)?$/;

/** The view that has the tags of a version; the client sends enums as numbers. */
const full = new Set(['2', 'FULL']);

/** Artifact Registry’s REST API: the requests of its Node client that list packages, versions and tags. */
export const google = (
  call: Call,
  options: { readonly content: RegistryContent; readonly expiredGoogleToken: string },
): Answer => {
  const token = bearerOf(call.headers.authorization);
  if (token === undefined || token === options.expiredGoogleToken) {
    return failure(401, 'UNAUTHENTICATED', 'Request had invalid authentication credentials.');
  }
  const found = route.exec(call.url.pathname);
  if (found === null || call.method !== 'GET') return failure(404, 'NOT_FOUND', 'Not Found');
  const [, project = '', location = '', team = '', escaped, noun, id] = found;
  const parent = `projects/${project}/locations/${location}/repositories/${team}`;
  const prefix = `${project}/${team}/`;
  const paths = options.content.below(prefix);
  if (paths.length === 0) {
    const permission = 'artifactregistry.packages.list';
    return failure(
      403,
      'PERMISSION_DENIED',
      `Permission '${permission}' denied on resource '//artifactregistry.googleapis.com/${parent}' (or it may not exist).`,
    );
  }
  const packageName = (path: string) => `${parent}/packages/${encodeURIComponent(path.slice(prefix.length))}`;
  const newest = (path: string): string =>
    [...(options.content.get(path)?.manifests.values() ?? [])].reduce(
      (latest, { pushedAt }) => (pushedAt > latest ? pushedAt : latest),
      '1970-01-01T00:00:00Z',
    );
  if (escaped === undefined) {
    const packages = paths.map((path) => ({ name: packageName(path), updateTime: newest(path) }));
    return pageOf(call, 'packages', packages);
  }
  // In the resource name a slash of the image is %2F; in the address that is escaped once more.
  const path = `${prefix}${decodeURIComponent(decodeURIComponent(escaped))}`;
  const repository = options.content.get(path);
  if (repository === undefined) return failure(404, 'NOT_FOUND', 'Requested entity was not found.');
  const name = packageName(path);
  const tagged = [...repository.tags].map(([tag, digest]) => ({
    name: `${name}/tags/${tag}`,
    version: `${name}/versions/${digest}`,
  }));
  if (noun === 'tags') {
    if (id === undefined) return pageOf(call, 'tags', tagged);
    const tag = tagged.find((one) => one.name === `${name}/tags/${decodeURIComponent(id)}`);
    return tag === undefined ? failure(404, 'NOT_FOUND', 'Requested entity was not found.') : json(200, tag);
  }
  const hasTags = full.has(call.url.searchParams.get('view') ?? '');
  const versions = [...repository.manifests.values()].map(({ digest, mediaType, bytes, pushedAt }) => ({
    name: `${name}/versions/${digest}`,
    createTime: pushedAt,
    updateTime: pushedAt,
    metadata: { name: `${parent}/dockerImages/x@${digest}`, mediaType, imageSizeBytes: String(bytes.length) },
    ...(hasTags && { relatedTags: tagged.filter(({ version }) => version.endsWith(digest)) }),
  }));
  return pageOf(call, 'versions', versions);
};
