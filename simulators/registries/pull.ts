import type { RegistryContent } from './content.ts';

const played = /^(ghcr\.io|[a-z0-9-]+-docker\.pkg\.dev)\/([^:@]+)(?::([^@]+))?(?:@(sha256:[0-9a-f]{64}))?$/;

/**
 * Whether a node can pull this image. A digest takes precedence over a tag; GHCR serves public images, and
 * nodes may read Artifact Registry. Images of registries that are not simulated can always be pulled.
 */
export const isPullable = (content: RegistryContent, image: string): boolean => {
  const [, host, path = '', tag = 'latest', digest] = played.exec(image) ?? [];
  if (host === undefined) return true;
  const repository = content.get(path);
  if (repository === undefined || (host === 'ghcr.io' && repository.visibility === 'private')) return false;
  return repository.manifests.has(digest ?? repository.tags.get(tag) ?? '');
};
