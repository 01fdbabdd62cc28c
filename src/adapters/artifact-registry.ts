import type { ArtifactRegistryClient } from '@google-cloud/artifact-registry';
import { isoOf } from '../lib/time.ts';
import type { GarImage, ImageTag } from '../ports/registries.ts';
import type { Endpoints } from './oci-registry-endpoints.ts';
import { type Attempt, limits, NoAnswer, type Wire } from './oci-registry-http.ts';

/**
 * Google Artifact Registry’s own API, for what Docker’s protocol does not tell: which images a team has, and when
 * each of their builds was pushed. Undefined: there is no such repository, or we may not read it.
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

/** gRPC’s codes, which the client maps HTTP’s to. */
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
  const [{ v1 }, { OAuth2Client }] = await Promise.all([
    import('@google-cloud/artifact-registry'),
    import('google-auth-library'),
  ]);
  const authClient = new OAuth2Client();
  // Whoever gives the token keeps it; a short life here only means that it is asked for.
  authClient.refreshHandler = async () => ({
    access_token: await accessToken(),
    expiry_date: Date.now() + 60_000,
  });
  const { protocol, hostname, port } = new URL(endpoints.garApi.origin);
  const isPlain = protocol === 'http:';
  return new v1.ArtifactRegistryClient({
    fallback: true,
    authClient,
    protocol: protocol.slice(0, -1),
    apiEndpoint: hostname,
    port: port === '' ? (isPlain ? 80 : 443) : Number(port),
  });
};

const codeOf = (error: unknown): number | undefined =>
  error instanceof Error && 'code' in error && typeof error.code === 'number' ? error.code : undefined;

/** Whether Google said it in its own form. The client makes a code of any status, also of a proxy's page. */
const isSaid = (error: unknown): boolean => error instanceof Error && 'details' in error;

interface GoogleTime {
  readonly seconds?: unknown;
}

/** To the second, as a list needs it. */
const instant = (time: GoogleTime | null | undefined): string | undefined => {
  const seconds = Number(time?.seconds);
  return seconds > 0 ? isoOf(seconds * 1000) : undefined;
};

/** The last part of a resource name; an image’s slashes are escaped in it. */
const leaf = (name: string | null | undefined): string => decodeURIComponent(name?.split('/').at(-1) ?? '');

/** Resolves with the signal’s end, so that a client that knows no signals does not outlast it. */
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

/** Opens Google’s client at the first question, not before: it takes a quarter of a second to load. */
export const openArtifactRegistry = (options: Options): ArtifactRegistry => {
  const { project, region, endpoints, wire } = options;
  const host = endpoints.garApi;
  let client: Promise<ArtifactRegistryClient> | undefined;
  const opened = () => {
    client ??= load(options);
    return client;
  };

  /** All pages, up to the cap; undefined when the parent is absent. A later page that fails cuts the list short. */
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
          if (isSaid(error) && (failed === code.notFound || failed === code.permissionDenied)) {
            return { done: undefined };
          }
          if (error instanceof NoAnswer || failed === undefined) throw error;
          if (!retried.has(failed)) throw new NoAnswer(`${host.name} refused us.`, { cause: error });
          return {
            failed: `${host.name} does not answer`,
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
      // Google’s order of versions is not documented; ours runs from old to new.
      tags.sort((a, b) => ((a.pushedAt ?? '') < (b.pushedAt ?? '') ? -1 : 1));
      return { tags: tags.map((tag, index) => ({ ...tag, index })), partial: found.partial };
    },
  };
};
