import type { Content, Image } from './image.ts';

export interface Repository {
  /** GHCR: whether anonymous clients may pull. In Artifact Registry the token decides. */
  visibility: 'public' | 'private';
  /** In the order in which they were first pushed, as GHCR lists them. */
  readonly tags: Map<string, string>;
  readonly manifests: Map<string, Content & { readonly pushedAt: string }>;
  readonly blobs: Map<string, Content>;
}

export interface PushOptions {
  readonly tag?: string | undefined;
  /** ISO 8601; now, when left out. */
  readonly pushedAt?: string | undefined;
}

/** What the simulated registries hold, by the name under /v2/. Blobs belong to their repository, as access does. */
export class RegistryContent {
  readonly #repositories = new Map<string, Repository>();
  readonly #now: () => number;
  constructor(now: () => number) {
    this.#now = now;
  }

  get(path: string): Repository | undefined {
    return this.#repositories.get(path);
  }

  /** The names below a prefix, sorted. */
  below(prefix: string): readonly string[] {
    return [...this.#repositories.keys()].filter((path) => path.startsWith(prefix)).toSorted();
  }

  /** Creates a repository at its first push: private, as in GHCR. */
  ensure(path: string): Repository {
    const known = this.#repositories.get(path);
    if (known !== undefined) return known;
    const created: Repository = {
      visibility: 'private',
      tags: new Map(),
      manifests: new Map(),
      blobs: new Map(),
    };
    this.#repositories.set(path, created);
    return created;
  }

  putManifest(path: string, content: Content, options: PushOptions = {}): void {
    const repository = this.ensure(path);
    const pushedAt = options.pushedAt ?? new Date(this.#now()).toISOString();
    repository.manifests.set(content.digest, { ...content, pushedAt });
    if (options.tag !== undefined) repository.tags.set(options.tag, content.digest);
  }

  push(path: string, image: Image, options: PushOptions = {}): string {
    const repository = this.ensure(path);
    for (const blob of image.blobs) repository.blobs.set(blob.digest, blob);
    for (const child of image.children) this.putManifest(path, child, { ...options, tag: undefined });
    this.putManifest(path, image.top, options);
    return image.top.digest;
  }
}
