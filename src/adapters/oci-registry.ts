import { createHash } from 'node:crypto';
import { Lru } from '../lib/lru.ts';
import { digestForm, repositoryName, tagName } from '../lib/oci.ts';
import { isoOf } from '../lib/time.ts';
import {
  type GarImage,
  type ImageDetails,
  type ImageRepository,
  type Missing,
  platformCaller,
  type Registries,
  type RegistryAnswer,
  type RegistryCaller,
  type TagList,
} from '../ports/registries.ts';
import type { Clock } from '../ports/runtime.ts';
import type { ArtifactRegistry } from './artifact-registry.ts';
import { tokenSource } from './google-endpoints.ts';
import { type Endpoints, endpointsOf, type Host, type Origins } from './oci-registry-endpoints.ts';
import { NoAnswer, operation, Wire, type WireAnswer, type WireOptions } from './oci-registry-http.ts';
import {
  manifestTypes,
  type ReadManifest,
  readConfig,
  readErrors,
  readManifest,
  readTags,
  readToken,
} from './oci-registry-manifest.ts';

export interface RegistriesOptions extends WireOptions {
  readonly garRegion: string;
  readonly garProject: string;
  /** Other origins for the fixed hosts (`REGISTRY_ENDPOINTS`). */
  readonly origins?: Origins;
  /** A Google access token of this service; by default that of its own identity. */
  readonly accessToken?: () => Promise<string>;
  /** Tags per page. */
  readonly pageSize?: number;
}

/** How long answers are cached. The content of a digest never changes, so it is cached without an expiry. */
const keptMs = {
  digest: 5 * 60_000,
  tags: 60_000,
  /** A list that cannot be refreshed is shown this long. */
  staleTags: 10 * 60_000,
  garImages: 60_000,
  absent: { repository: 60_000, manifest: 30_000, part: 30_000 },
} as const;

/** A token is renewed before it expires, so it is valid for the whole request. */
const tokenMarginMs = 15_000;
const entriesKept = 2000;
const maxPages = 20;
const amd64 = 'linux/amd64';

/** What every request of one operation has in common. */
interface OperationRequest {
  readonly signal: AbortSignal;
  readonly caller: RegistryCaller;
}

interface Kept<T> {
  readonly answer: RegistryAnswer<T>;
  readonly atMs: number;
}

/** The registry answered in its own form that something is absent. */
class Absent extends Error {
  override readonly name = 'Absent';
  readonly missing: Missing;
  constructor(missing: Missing) {
    super(missing);
    this.missing = missing;
  }
}

/**
 * The registries that images come from, over the OCI distribution protocol: GHCR anonymously, which proves that the
 * cluster can pull, and Google Artifact Registry with our own identity. No other registry is connected to.
 */
export const openRegistries = (options: RegistriesOptions): Registries => {
  const endpoints = endpointsOf(options.garRegion, options.origins);
  const wire = new Wire(options);
  const accessToken = options.accessToken ?? tokenSource(endpoints.gar.origin);
  let gar: Promise<ArtifactRegistry> | undefined;
  const artifactRegistry = () => {
    const { garProject: project, garRegion: region } = options;
    gar ??= import('./artifact-registry.ts').then(({ openArtifactRegistry }) =>
      openArtifactRegistry({ project, region, endpoints, accessToken, wire }),
    );
    return gar;
  };
  const { clock, pageSize = 1000 } = options;
  return new OciRegistries({ endpoints, wire, clock, accessToken, artifactRegistry, pageSize });
};

interface Parts {
  readonly endpoints: Endpoints;
  readonly wire: Wire;
  readonly clock: Clock;
  readonly accessToken: () => Promise<string>;
  readonly artifactRegistry: () => Promise<ArtifactRegistry>;
  readonly pageSize: number;
}

class OciRegistries implements Registries {
  readonly #parts: Parts;
  readonly #tokens = new Lru<{ token: string; untilMs: number }>(entriesKept);
  readonly #digests = new Lru<Kept<string>>(entriesKept);
  readonly #details = new Lru<Kept<ImageDetails>>(entriesKept);
  readonly #tags = new Lru<Kept<TagList>>(200);
  readonly #garImages = new Lru<Kept<readonly GarImage[]>>(200);

  constructor(parts: Parts) {
    this.#parts = parts;
  }

  digest: Registries['digest'] = async (image, signal, { fresh = false, caller = platformCaller } = {}) => {
    const host = this.#hostOf(image);
    if (!tagName.test(image.tag)) throw new TypeError('Not a tag.');
    const key = `${image.host}/${image.path}:${image.tag}`;
    return this.#answering(this.#digests, key, { fresh, goodMs: keptMs.digest }, async () => {
      const request = { signal: operation(signal), caller };
      const head = await this.#ask(host, image, 'HEAD', `manifests/${image.tag}`, request);
      if (head.status === 200 && isManifest(head)) {
        const stated = head.headers.get('docker-content-digest');
        if (stated !== null && digestForm.test(stated)) return stated;
      }
      // GET returns the content to compute the digest from, or the reason of a refusal, which HEAD does not.
      const whole = await this.#get(host, image, `manifests/${image.tag}`, 'manifest', request);
      if (!isManifest(whole) || readManifest(whole.body) === undefined) throw nonsense(host);
      return digestOf(whole.body);
    });
  };

  inspect: Registries['inspect'] = async (image, signal, { fresh = false, caller = platformCaller } = {}) => {
    const host = this.#hostOf(image);
    if (!digestForm.test(image.digest)) throw new TypeError('Not a digest.');
    const key = `${image.host}/${image.path}@${image.digest}`;
    return this.#answering(this.#details, key, { fresh, goodMs: Infinity }, async () => {
      const request = { signal: operation(signal), caller };
      const read = async (digest: string, missing: Missing): Promise<ReadManifest> => {
        const { body } = await this.#verified(host, image, 'manifests', digest, missing, request);
        const manifest = readManifest(body);
        if (manifest === undefined) throw nonsense(host);
        return manifest;
      };
      const top = await read(image.digest, 'manifest');
      const child =
        top.kind === 'index' ? top.children.find(({ platform }) => platform === amd64) : undefined;
      const platforms = top.kind === 'index' ? top.children.map(({ platform }) => platform) : [];
      if (top.kind === 'index' && child === undefined) return { platforms: sorted(platforms), amd64: null };
      const manifest = child === undefined ? top : await read(child.digest, 'part');
      if (manifest.kind !== 'image') throw nonsense(host);
      const { body } = await this.#verified(host, image, 'blobs', manifest.config, 'part', request);
      const config = readConfig(body);
      if (config === undefined) throw nonsense(host);
      const runs = { sizeBytes: manifest.sizeBytes, createdAt: config.createdAt };
      return {
        platforms: sorted(top.kind === 'index' ? platforms : [config.platform]),
        amd64: config.platform === amd64 ? runs : null,
      };
    });
  };

  tags: Registries['tags'] = async (repository, signal, { fresh = false, caller = platformCaller } = {}) => {
    const host = this.#hostOf(repository);
    const key = `${repository.host}/${repository.path}`;
    const policy = { fresh, goodMs: keptMs.tags, staleMs: keptMs.staleTags };
    return this.#answering(this.#tags, key, policy, async () => {
      const asOf = isoOf(this.#parts.clock.now());
      const request = { signal: operation(signal), caller };
      if (host === this.#parts.endpoints.gar) {
        const listed = await (await this.#parts.artifactRegistry()).tags(
          repository.path,
          request.signal,
          caller,
        );
        if (listed === undefined) throw new Absent('repository');
        return { ...listed, asOf };
      }
      return { ...(await this.#pages(host, repository, request)), asOf };
    });
  };

  garImages: Registries['garImages'] = async (
    garTeam,
    signal,
    { fresh = false, caller = platformCaller } = {},
  ) => {
    const policy = { fresh, goodMs: keptMs.garImages };
    return this.#answering(this.#garImages, garTeam, policy, async () => {
      const images = await (await this.#parts.artifactRegistry()).images(garTeam, operation(signal), caller);
      if (images === undefined) throw new Absent('repository');
      return images;
    });
  };

  #hostOf({ host, path }: ImageRepository): Host {
    const { ghcr, gar } = this.#parts.endpoints;
    const found = [ghcr, gar].find(({ name }) => name === host);
    if (found === undefined || !repositoryName.test(path) || path.length > 255) {
      throw new TypeError('Not a repository of a supported registry.');
    }
    return found;
  }

  /** Answers from the cache while it is valid, else asks the registry; without an answer it is unknown. */
  async #answering<T>(
    memory: Lru<Kept<T>>,
    key: string,
    { fresh, goodMs, staleMs }: { fresh: boolean; goodMs: number; staleMs?: number },
    ask: () => Promise<T>,
  ): Promise<RegistryAnswer<T>> {
    const now = this.#parts.clock.now();
    const kept = memory.get(key);
    if (kept !== undefined && !fresh) {
      const { answer } = kept;
      if (now - kept.atMs < (answer.answer === 'absent' ? keptMs.absent[answer.missing] : goodMs))
        return answer;
    }
    try {
      const answer = { answer: 'found', value: await ask() } as const;
      memory.set(key, { answer, atMs: now });
      return answer;
    } catch (error) {
      if (error instanceof Absent) {
        const answer = { answer: 'absent', missing: error.missing } as const;
        memory.set(key, { answer, atMs: now });
        return answer;
      }
      if (!(error instanceof NoAnswer)) throw error;
      const isUsable = kept?.answer.answer === 'found' && now - kept.atMs < (staleMs ?? 0);
      if (isUsable && !fresh) return kept.answer;
      const { message, retryAfterSeconds } = error;
      return { answer: 'unknown', message, ...(retryAfterSeconds !== undefined && { retryAfterSeconds }) };
    }
  }

  async #pages(host: Host, repository: ImageRepository, request: OperationRequest) {
    const tags: string[] = [];
    let query: string | undefined = `?n=${this.#parts.pageSize}`;
    const seen = new Set<string>();
    for (let page = 0; query !== undefined; page += 1) {
      if (page >= maxPages || seen.has(query)) return listed(tags, true);
      seen.add(query);
      try {
        const answer = await this.#get(host, repository, `tags/list${query}`, 'repository', request);
        const more = readTags(answer.body);
        if (more === undefined) throw nonsense(host);
        // One at a time: a page may have more tags than a call can have arguments.
        for (const tag of more) if (tagName.test(tag)) tags.push(tag);
        query = nextQuery(host, repository, answer.headers.get('link'));
      } catch (error) {
        // The first page decides whether the repository exists; a failure on a later page makes the list partial.
        if (page === 0 || !(error instanceof NoAnswer)) throw error;
        return listed(tags, true);
      }
    }
    return listed(tags, false);
  }

  /** Content by its digest, verified. */
  async #verified(
    host: Host,
    repository: ImageRepository,
    kind: 'manifests' | 'blobs',
    digest: string,
    missing: Missing,
    request: OperationRequest,
  ): Promise<WireAnswer> {
    const answer = await this.#get(host, repository, `${kind}/${digest}`, missing, request);
    if (digestOf(answer.body) !== digest) throw nonsense(host);
    return answer;
  }

  async #get(
    host: Host,
    repository: ImageRepository,
    path: string,
    missing: Missing,
    request: OperationRequest,
  ): Promise<WireAnswer> {
    const answer = await this.#ask(host, repository, 'GET', path, request);
    if (answer.status === 200) return answer;
    throw this.#refusal(host, answer, missing);
  }

  /** An image is absent only when the registry said so in its own form. */
  #refusal(host: Host, { status, body }: WireAnswer, missing: Missing): Absent | NoAnswer {
    const codes = readErrors(body)?.map(({ code }) => code) ?? [];
    const isDenied = codes.includes('DENIED') || codes.includes('UNAUTHORIZED');
    // Without a valid token Google says nothing about the image; GHCR answers both for a missing repository.
    if (isDenied && (status === 403 || (status === 401 && host === this.#parts.endpoints.ghcr))) {
      return new Absent(missing === 'part' ? 'part' : 'repository');
    }
    if (status === 404 && codes.includes('NAME_UNKNOWN')) return new Absent('repository');
    if (status === 404 && codes.some((code) => /^(MANIFEST|BLOB)_UNKNOWN$|^NOT_FOUND$/.test(code))) {
      return new Absent(missing);
    }
    return new NoAnswer(`${host.name} answered ${status}.`);
  }

  /** One request with credentials; a rejected bearer token is renewed once. */
  async #ask(
    host: Host,
    repository: ImageRepository,
    method: 'GET' | 'HEAD',
    path: string,
    request: OperationRequest,
  ): Promise<WireAnswer> {
    const send = async (renew: boolean) =>
      this.#parts.wire.send(
        host,
        {
          method,
          path: `/v2/${repository.path}/${path}`,
          headers: {
            accept: path.startsWith('manifests/') ? manifestTypes : '*/*',
            authorization: await this.#authorization(host, repository, request, renew),
          },
        },
        request.signal,
        request.caller,
      );
    const answer = await send(false);
    if (answer.status !== 401 || host === this.#parts.endpoints.gar) return answer;
    return send(true);
  }

  async #authorization(host: Host, repository: ImageRepository, request: OperationRequest, renew: boolean) {
    if (host === this.#parts.endpoints.gar) {
      const token = await this.#parts.accessToken().catch((cause: unknown) => {
        throw new NoAnswer('Google gave no access token for this service’s identity.', { cause });
      });
      return `Basic ${Buffer.from(`oauth2accesstoken:${token}`).toString('base64')}`;
    }
    const kept = this.#tokens.get(repository.path);
    if (kept !== undefined && !renew && kept.untilMs > this.#parts.clock.now()) return `Bearer ${kept.token}`;
    // The realm is fixed, not taken from a challenge: no response decides where credentials are requested.
    const scope = `repository:${repository.path}:pull`;
    const query = new URLSearchParams({ service: host.name, scope });
    const now = this.#parts.clock.now();
    const answer = await this.#parts.wire.send(
      host,
      { method: 'GET', path: `/token?${query}` },
      request.signal,
      request.caller,
    );
    if (answer.status !== 200) throw this.#refusal(host, answer, 'repository');
    const issued = readToken(answer.body);
    if (issued === undefined) throw nonsense(host);
    const untilMs = now + issued.seconds * 1000 - tokenMarginMs;
    this.#tokens.set(repository.path, { token: issued.token, untilMs });
    return `Bearer ${issued.token}`;
  }
}

const digestOf = (body: Buffer): string => `sha256:${createHash('sha256').update(body).digest('hex')}`;

const sorted = (platforms: readonly string[]): string[] => [...new Set(platforms)].toSorted();

const listed = (tags: readonly string[], partial: boolean) => ({
  tags: tags.map((tag, index) => ({ tag, index })),
  partial,
});

/** Google answers some malformed names with 200 and an HTML page. */
const isManifest = ({ headers }: WireAnswer): boolean => /json/.test(headers.get('content-type') ?? 'json');

const nonsense = (host: Host): NoAnswer => new NoAnswer(`${host.name} returned an invalid response.`);

/** The query of the next page. Only the query is taken from the Link header, never the host or path. */
const nextQuery = (host: Host, { path }: ImageRepository, link: string | null): string | undefined => {
  if (link === null) return undefined;
  const target = /<([^>]{1,2048})>\s*;\s*rel="?next"?/.exec(link)?.[1];
  if (target === undefined) return undefined;
  const own = `/v2/${path}/tags/list`;
  const url = URL.parse(target, `${host.origin}${own}`);
  const isOwn =
    url !== null && (url.origin === host.origin || url.host === host.name) && url.pathname === own;
  if (!isOwn) throw nonsense(host);
  return url.search;
};
