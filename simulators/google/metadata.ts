import { once } from 'node:events';
import { createServer } from 'node:http';

/** The Kubernetes service account that a pod runs as, and the Google one that it is annotated with. */
export interface Workload {
  readonly namespace: string;
  readonly serviceAccount: string;
  readonly googleServiceAccount: string;
}

export interface MetadataServer {
  /** For GCE_METADATA_HOST. */
  readonly host: string;
  close(): Promise<void>;
}

const cloudPlatform = 'https://www.googleapis.com/auth/cloud-platform';

/**
 * GKE’s metadata server as one pod sees it (Workload Identity): issues tokens of the pod’s Google service account, as
 * long as IAM allows its Kubernetes service account. `token` returns one, or undefined when IAM refuses.
 */
export const startMetadata = async (
  options: Workload & {
    readonly project: string;
    readonly token: () => { readonly accessToken: string; readonly seconds: number } | undefined;
  },
): Promise<MetadataServer> => {
  const { project, googleServiceAccount: email } = options;
  const answers: Readonly<Record<string, () => string | undefined>> = {
    '': () => 'computeMetadata/\n',
    '/computeMetadata/v1': () => 'instance/\nproject/\n',
    '/computeMetadata/v1/instance': () => 'service-accounts/\n',
    '/computeMetadata/v1/project/project-id': () => project,
    '/computeMetadata/v1/instance/service-accounts': () => `default/\n${email}/\n`,
    '/computeMetadata/v1/instance/service-accounts/default': () =>
      'aliases\nemail\nidentity\nscopes\ntoken\n',
    '/computeMetadata/v1/instance/service-accounts/default/email': () => email,
    '/computeMetadata/v1/instance/service-accounts/default/scopes': () => `${cloudPlatform}\n`,
    '/computeMetadata/v1/universe/universe-domain': () => 'googleapis.com',
  };
  const server = createServer((request, response) => {
    const { pathname, searchParams } = new URL(request.url ?? '/', 'http://metadata');
    const path = pathname.replace(/\/$/, '');
    const isRecursive = searchParams.get('recursive')?.toLowerCase() === 'true';
    const send = (status: number, body: string, type = 'application/text') =>
      response.writeHead(status, { 'metadata-flavor': 'Google', 'content-type': type }).end(body);
    if (request.headers['metadata-flavor'] !== 'Google') {
      send(403, 'Missing required header "Metadata-Flavor": "Google"\n');
      return;
    }
    if (path === '/computeMetadata/v1/instance/service-accounts/default/token') {
      const token = options.token();
      if (token === undefined) {
        send(
          403,
          "Unable to generate access token; IAM returned 403 Forbidden: Permission 'iam.serviceAccounts.getAccessToken' denied on resource (or it may not exist).\n",
        );
        return;
      }
      const { accessToken: access_token, seconds: expires_in } = token;
      send(200, JSON.stringify({ access_token, expires_in, token_type: 'Bearer' }), 'application/json');
      return;
    }
    // The contents of a folder as one document; Google’s client for Python asks for this one only.
    if (isRecursive && path === '/computeMetadata/v1/instance/service-accounts/default') {
      const account = { aliases: ['default'], email, scopes: [cloudPlatform] };
      send(200, JSON.stringify(account), 'application/json');
      return;
    }
    const answer = answers[path]?.();
    if (answer === undefined) send(404, 'Not Found\n');
    else send(200, answer);
  });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  const address = server.address();
  if (typeof address !== 'object' || address === null) throw new Error('The metadata server has no port.');
  return {
    host: `127.0.0.1:${address.port}`,
    close: async () => {
      const closed = once(server, 'close');
      server.close();
      server.closeAllConnections();
      await closed;
    },
  };
};
