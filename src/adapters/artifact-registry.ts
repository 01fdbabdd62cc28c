import type { ArtifactRegistryClient } from '@google-cloud/artifact-registry';
import { isoOf } from '../lib/time.ts';
import type { GarImage, ImageTag } from '../ports/registries.ts';
import { clientOptions, codeOf, isGoogleAnswer } from './google-client.ts';
import type { Endpoints } from './oci-registry-endpoints.ts';
import { type Attempt, limits, NoAnswer, type Wire } from './oci-registry-http.ts';

/**
 * Artifact Registry’s own API, for what the OCI distribution protocol does not offer: which images a team has, and when
 * each build was pushed. Undefined: there is no such repository, or we are not allowed to read it.
 */
export interface ArtifactRegistry {
  images(garTeam: string, signal: AbortSignal): Promise<readonly GarImage[] | undefined>;
  /** `path`: `<project>/<team>/<image>`. */
  tags(
    path: string,
    signal: AbortSignal,
  ): Promise<{ readonly tags: readonly ImageTag[]; readonly partial: boolean } | undefined>;
}

const pageSize = 1000;
const maxPages = 20;

/** The gRPC codes that the client maps HTTP status codes to. */
const code = {
  deadlineExceeded: 4,
  notFound: 5,
  permissionDenied: 7,
  exhausted: 8,
  internal: 13,
  unavailable: 14,
};

const retried = new Set([code.deadlineExceeded, code.exhausted, code.internal, code.unavailable]);

interface Options {
  readonly project: string;
  readonly region: string;
  readonly endpoints: Endpoints;
  readonly accessToken: () => Promise<string>;
  readonly wire: Wire;
}

/** Google’s client over HTTP: gRPC would be a second protocol to load and to simulate for two lists. */
const load = async ({ endpoints, accessToken }: Options): Promise<ArtifactRegistryClient> => {
  const [{ v1 }, client] = await Promise.all([
    import('@google-cloud/artifact-registry'),
    clientOptions(endpoints.garApi.origin, accessToken),
  ]);
  return new v1.ArtifactRegistryClient(client);
};

interface GoogleTime {
  readonly seconds?: unknown;
}

/** With a precision of seconds. */
const instant = (time: GoogleTime | null | undefined): string | undefined => {
  const seconds = Number(time?.seconds);
  return seconds > 0 ? isoOf(seconds * 1000) : undefined;
};

/** The last segment of a resource name, in which an image’s slashes are escaped. */
const leaf = (name: string | null | undefined): string => decodeURIComponent(name?.split('/').at(-1) ?? '');

/** Ends with the signal, also for a client that does not support signals. */
const withDeadline = async <T>(work: Promise<T>, signal: AbortSignal, host: string): Promise<T> => {
  const { promise, reject } = Promise.withResolvers<never>();
  const stop = () => reject(new NoAnswer(`${host} did not answer in time.`));
  if (signal.aborted) stop();
  signal.addEventListener('abort', stop, { once: true });
  work.catch(() => {});
  try {
    return await Promise.race([work, promise]);
  } finally {
    signal.removeEventListener('abort', stop);
  }
};

type PageOf<T> = readonly [readonly T[], { readonly pageToken?: string | null } | null, unknown];

/** Loads Google’s client with the first call: loading takes a quarter of a second. */
export const openArtifactRegistry = (options: Options): ArtifactRegistry => {
  const { project, region, endpoints, wire } = options;
  const host = endpoints.garApi;
  let client: Promise<ArtifactRegistryClient> | undefined;
  const opened = () => {
    client ??= load(options);
    return client;
  };

  /** All pages, up to the limit; undefined when the parent is absent. A failure on a later page makes it partial. */
  const all = async <T>(
    page: (pageToken: string, client: ArtifactRegistryClient) => Promise<PageOf<T>>,
    signal: AbortSignal,
  ): Promise<{ items: T[]; partial: boolean } | undefined> => {
    const items: T[] = [];
    let pageToken = '';
    for (let pages = 0; pages < maxPages; pages += 1) {
      const token = pageToken;
      const attempt = async (): Promise<Attempt<PageOf<T> | undefined>> => {
        try {
          return { done: await withDeadline(page(token, await opened()), signal, host.name) };
        } catch (error) {
          const failed = codeOf(error);
          if (isGoogleAnswer(error) && (failed === code.notFound || failed === code.permissionDenied)) {
            return { done: undefined };
          }
          if (error instanceof NoAnswer || failed === undefined) throw error;
          if (!retried.has(failed))
            throw new NoAnswer(`${host.name} rejected the request.`, { cause: error });
          return {
            failed: `${host.name} is not available`,
            throttled: failed === code.exhausted,
            cause: error,
          };
        }
      };
      let answer: PageOf<T> | undefined;
      try {
        answer = await wire.trying(host, signal, attempt);
      } catch (error) {
        if (pages === 0 || !(error instanceof NoAnswer)) throw error;
        return { items, partial: true };
      }
      if (answer === undefined) return pages === 0 ? undefined : { items, partial: true };
      items.push(...answer[0]);
      pageToken = answer[1]?.pageToken ?? '';
      if (pageToken === '') return { items, partial: false };
    }
    return { items, partial: true };
  };

  const repositories = `projects/${project}/locations/${region}/repositories`;
  const once = { autoPaginate: false, timeout: limits.requestMs };
  return {
    async images(garTeam, signal) {
      const parent = `${repositories}/${garTeam}`;
      const found = await all(
        async (pageToken, google) => google.listPackages({ parent, pageSize, pageToken }, once),
        signal,
      );
      return found?.items
        .map(({ name, updateTime }) => {
          const updatedAt = instant(updateTime);
          const path = `${project}/${garTeam}/${leaf(name)}`;
          return { host: endpoints.gar.name, path, ...(updatedAt !== undefined && { updatedAt }) };
        })
        .toSorted((a, b) => (a.path < b.path ? -1 : 1));
    },
    async tags(path, signal) {
      const [, team = '', ...image] = path.split('/');
      const parent = `${repositories}/${team}/packages/${encodeURIComponent(image.join('/'))}`;
      const found = await all(
        async (pageToken, google) => google.listVersions({ parent, pageSize, pageToken, view: 'FULL' }, once),
        signal,
      );
      if (found === undefined) return undefined;
      const tags = found.items.flatMap(({ name, relatedTags, updateTime, createTime }) => {
        const pushedAt = instant(updateTime) ?? instant(createTime);
        const version = { digest: leaf(name), ...(pushedAt !== undefined && { pushedAt }) };
        return (relatedTags ?? []).map((tag) => ({ tag: leaf(tag.name), ...version }));
      });
      // Google does not document the order of versions; ours is from old to new.
      tags.sort((a, b) => ((a.pushedAt ?? '') < (b.pushedAt ?? '') ? -1 : 1));
      return { tags: tags.map((tag, index) => ({ ...tag, index })), partial: found.partial };
    },
  };
};
