import { once } from 'node:events';
import { createServer, type ServerResponse } from 'node:http';
import { type PushOptions, RegistryContent } from './content.ts';
import { type DockerOptions, docker, fromStorage, issueToken, Tokens, Uploads } from './docker.ts';
import { google } from './google.ts';
import { type Answer, type Call, json, readCall } from './http.ts';
import type { Image } from './image.ts';
import { isPullable } from './pull.ts';
import { quayTags, releaseCycle } from './releases.ts';
import { seed } from './seed.ts';

/** What happens instead of an answer. `reset` ends the connection; `garbage` is 200 with a page of HTML. */
export type Fault =
  | 'hang'
  | 'reset'
  | 'garbage'
  | { readonly status: number; readonly headers?: Readonly<Record<string, string>>; readonly body?: string };

export interface Registries {
  readonly url: string;
  readonly port: number;
  /** Every request since the start, the oldest first. */
  readonly requests: readonly { readonly method: string; readonly path: string }[];
  /** How many connections were opened. */
  readonly connections: number;
  /** Pushes an image; a new repository in GHCR is private. Returns the digest. */
  push(path: string, image: Image, options?: PushOptions): string;
  /** The digest of a tag. Throws when the tag does not exist. */
  digest(path: string, tag: string): string;
  /** Whether a node of the cluster can pull an image, given with its host. */
  pullable(image: string): boolean;
  /** Points a tag elsewhere. */
  moveTag(path: string, tag: string, digest: string): void;
  /** Removes a tag, or a manifest by its digest. */
  remove(path: string, reference: string): void;
  setVisibility(path: string, visibility: 'public' | 'private'): void;
  /** Issued tokens are no longer accepted. */
  revokeTokens(): void;
  /** Requests whose path matches meet the fault, at most `times`. Returns a function that ends it. */
  fault(path: RegExp, fault: Fault, times?: number): () => void;
  close(): Promise<void>;
}

/** The Google token that the simulator refuses; it accepts every other one. */
export const expiredGoogleToken = 'expired';

const page = '<!doctype html><title>Sign in</title>';

/**
 * Simulates ghcr.io, Google Artifact Registry (Docker’s protocol and its own API), quay.io and peps.python.org at one
 * address: their paths do not overlap. `docker push` and `skopeo copy` work against it.
 */
export const startRegistries = async (
  options: {
    readonly port?: number;
    readonly host?: string;
    readonly now?: () => number;
    /** The project of the repositories in Artifact Registry. */
    readonly garProject?: string;
    /** The owner of the repositories in GHCR. */
    readonly owner?: string;
    /** The owner’s repository with years of tags, the newest of them built weekly. */
    readonly standardRepository?: string;
  } = {},
): Promise<Registries> => {
  const { port = 0, host = '127.0.0.1', now = Date.now } = options;
  const { garProject = 'acme-images', owner = 'acme', standardRepository = 'images/jupyter' } = options;
  const content = new RegistryContent(now);
  seed(content, { garProject, owner, standardRepository }, now());
  const dockerOptions: DockerOptions = { content, tokens: new Tokens(), garProject, expiredGoogleToken };
  const uploads = new Uploads();
  const faults = new Set<{ path: RegExp; fault: Fault; left: number }>();
  const requests: { method: string; path: string }[] = [];
  let connections = 0;

  const answer = (call: Call): Answer => {
    const { pathname } = call.url;
    if (pathname === '/token') return issueToken(call, dockerOptions);
    if (pathname.startsWith('/v2/')) return docker(call, dockerOptions, uploads);
    if (pathname.startsWith('/storage/')) return fromStorage(call, dockerOptions);
    if (pathname.startsWith('/v1/projects/')) return google(call, { content, expiredGoogleToken });
    if (pathname === '/api/v1/repository/jupyter/base-notebook/tag/') return quayTags(call, now());
    if (pathname === '/api/release-cycle.json') return releaseCycle();
    // GitHub has no API for this, only a page of settings.
    const settings = /^\/settings\/(.+)$/.exec(pathname)?.[1];
    const visibility = call.url.searchParams.get('visibility');
    const repository = settings === undefined ? undefined : content.get(settings);
    if (call.method === 'POST' && repository && (visibility === 'public' || visibility === 'private')) {
      repository.visibility = visibility;
      return json(200, { visibility });
    }
    return json(404, { message: 'Not Found' });
  };

  const faultFor = (path: string): Fault | undefined => {
    for (const rule of faults) {
      if (rule.left <= 0 || !rule.path.test(path)) continue;
      rule.left -= 1;
      return rule.fault;
    }
    return undefined;
  };

  const write = (response: ServerResponse, { status, headers = {}, body = '' }: Answer): void => {
    response.writeHead(status, { 'docker-distribution-api-version': 'registry/2.0', ...headers });
    response.end(body);
  };

  const server = createServer(async (request, response) => {
    const call = await readCall(request);
    const path = `${call.url.pathname}${call.url.search}`;
    requests.push({ method: call.method, path });
    const fault = faultFor(path);
    if (fault === undefined) return write(response, answer(call));
    if (fault === 'hang') return undefined;
    if (fault === 'reset') return void request.socket.destroy();
    if (fault === 'garbage') {
      return write(response, { status: 200, headers: { 'content-type': 'text/html' }, body: page });
    }
    return write(response, fault);
  });
  server.on('connection', () => {
    connections += 1;
  });
  server.listen(port, host);
  await once(server, 'listening');
  const address = server.address();
  if (typeof address !== 'object' || address === null) throw new Error('The registries have no port.');

  return {
    url: `http://${host}:${address.port}`,
    port: address.port,
    requests,
    get connections() {
      return connections;
    },
    push: (path, image, pushed) => content.push(path, image, pushed),
    digest: (path, tag) => {
      const found = content.get(path)?.tags.get(tag);
      if (found === undefined) throw new Error(`${path} has no tag ${tag}.`);
      return found;
    },
    pullable: (image) => isPullable(content, image),
    moveTag: (path, tag, digest) => {
      content.ensure(path).tags.set(tag, digest);
    },
    remove: (path, reference) => {
      content.get(path)?.tags.delete(reference);
      content.get(path)?.manifests.delete(reference);
    },
    setVisibility: (path, visibility) => {
      content.ensure(path).visibility = visibility;
    },
    revokeTokens: () => dockerOptions.tokens.revokeAll(),
    fault: (path, fault, times = Number.POSITIVE_INFINITY) => {
      const rule = { path, fault, left: times };
      faults.add(rule);
      return () => faults.delete(rule);
    },
    close: async () => {
      const closed = once(server, 'close');
      server.close();
      server.closeAllConnections();
      await closed;
    },
  };
};

/** JSON: the simulated hosts, each with the address of the simulator. */
export const registryEndpoints = (url: string, garRegion = 'europe-north1'): string =>
  JSON.stringify(
    Object.fromEntries(
      [
        'ghcr.io',
        `${garRegion}-docker.pkg.dev`,
        'artifactregistry.googleapis.com',
        'quay.io',
        'peps.python.org',
      ].map((host) => [host, url]),
    ),
  );
