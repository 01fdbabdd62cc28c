import type { RequestOptions } from 'node:https';
import type {
  ConfigurationOptions,
  CustomObjectsApi,
  KubeConfig,
  RequestContext,
  ResponseContext,
} from '@kubernetes/client-node';
import type { Dispatcher } from 'undici';
import { type Gke, openGke } from './gke.ts';

/** The cluster: from the configuration, or by a kubeconfig file. */
export type ClusterAccess =
  | { readonly kind: 'gke'; readonly name: string }
  | { readonly kind: 'kubeconfig'; readonly file?: string }
  | { readonly kind: 'url'; readonly url: string };

/** The connection to one cluster: its API, and the options of every request. */
export interface Connection {
  /** The group `''` is the core group. Bodies are plain JSON, so no model drops unknown fields. */
  readonly api: CustomObjectsApi;
  /** Options of one call. client-node accepts a deadline and a shared agent only through a middleware. */
  carrying(signal: AbortSignal, contentType?: string): ConfigurationOptions;
  /** The credential of the latest request; '' for none. */
  credential(): string;
  /** Closes its sockets once the requests on them are answered. */
  close(): Promise<void>;
}

const maxAnswerBytes = 64 * 1024 * 1024;

/** HTTP/1.1: a stalled or reset HTTP/2 session would fail every request in flight. */
const agentOptions = {
  allowH2: false,
  connections: 32,
  keepAliveTimeout: 30_000,
  maxResponseSize: maxAnswerBytes,
};

const load = async (config: KubeConfig, access: ClusterAccess, gke: Gke | undefined, signal: AbortSignal) => {
  switch (access.kind) {
    case 'kubeconfig':
      if (access.file === undefined) config.loadFromDefault();
      else config.loadFromFile(access.file);
      return;
    case 'url':
      config.loadFromClusterAndUser(
        // client-node refuses plain http:// (the sandbox, a proxy beside us) unless TLS is not asked for.
        { name: 'cluster', server: access.url, skipTLSVerify: access.url.startsWith('http:') },
        { name: 'user' },
      );
      return;
    case 'gke': {
      const google = gke ?? openGke(access.name);
      config.addAuthenticator({
        isAuthProvider: (user) => user.name === 'google',
        async applyAuthentication(_user, options) {
          options.headers = { ...options.headers, Authorization: `Bearer ${await google.token()}` };
        },
      });
      const found = await google.controlPlane(signal);
      config.loadFromClusterAndUser({ name: 'cluster', skipTLSVerify: false, ...found }, { name: 'google' });
      return;
    }
    default:
      return access satisfies never;
  }
};

const dispatcherOf = async (config: KubeConfig): Promise<Dispatcher> => {
  const { Agent, ProxyAgent } = await import('undici');
  const options: RequestOptions = {};
  await config.applyToHTTPSOptions(options);
  const { ca, cert, key, pfx, passphrase, rejectUnauthorized, servername } = options;
  const tls = { ca, cert, key, pfx, passphrase, rejectUnauthorized, servername };
  const proxy = config.getCurrentCluster()?.proxyUrl;
  if (proxy === undefined) return new Agent({ ...agentOptions, connect: tls });
  if (!proxy.startsWith('http'))
    throw new TypeError('The kubeconfig names a proxy that is not an HTTP proxy.');
  return new ProxyAgent({ ...agentOptions, uri: proxy, requestTls: tls });
};

/**
 * Loads the client (the imports take a third of a second, so only with the first call), finds the cluster and creates
 * the agent that all requests share: client-node would open a connection for each request.
 */
export const connect = async (
  access: ClusterAccess,
  gke: Gke | undefined,
  signal: AbortSignal,
): Promise<Connection> => {
  const { CustomObjectsApi, KubeConfig, Observable } = await import('@kubernetes/client-node');
  const config = new KubeConfig();
  await load(config, access, gke, signal);
  const dispatcher = await dispatcherOf(config);
  let credential = '';
  const unchanged = (response: ResponseContext) => new Observable(Promise.resolve(response));
  return {
    api: config.makeApiClient(CustomObjectsApi),
    credential: () => credential,
    carrying: (deadline, contentType) => ({
      middlewareMergeStrategy: 'append',
      middleware: [
        {
          pre(request: RequestContext) {
            credential = request.getHeaders().Authorization?.replace(/^[^ ]* /, '') ?? '';
            request.setDispatcher(dispatcher);
            request.setSignal(deadline);
            request.setUrl(request.getUrl().replace('/apis//', '/api/'));
            if (contentType !== undefined) request.setHeaderParam('Content-Type', contentType);
            const body = request.getBody();
            if (typeof body === 'string') request.setBody(escapeForYaml(body));
            return new Observable(Promise.resolve(request));
          },
          post: unchanged,
        },
      ],
    }),
    close: () => dispatcher.close(),
  };
};

/**
 * An apply goes through the server’s YAML parser, which refuses DEL, C1 controls and non-characters and reads
 * U+0085 as a space, although JSON allows all of them. It accepts them escaped.
 */
const escapeForYaml = (json: string): string =>
  json.replace(
    /[\u007f-\u009f\ufeff\ufffe\uffff]/g,
    (char) => `\\u${char.charCodeAt(0).toString(16).padStart(4, '0')}`,
  );
