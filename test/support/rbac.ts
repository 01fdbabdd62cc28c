import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { ApiServer } from '@knada/simulators/real/kube-apiserver.ts';
import { stringify } from 'yaml';
import type { ClusterAccess } from '../../src/adapters/kubernetes-connection.ts';
import { applyAll, deployed, deployedUser, type Send, until } from './cluster-files.ts';

/** Where a clean-up is left: a test’s context, or node:test’s own `after` for a suite. */
interface After {
  after(cleanUp: () => Promise<void>): void;
}
type KubeconfigAccess = ClusterAccess & { readonly kind: 'kubeconfig'; readonly file: string };

/** Raw requests to the API server, as its administrator or by another token. */
export const sender =
  (server: Pick<ApiServer, 'fetch'>, token?: string): Send =>
  async (method, path, body, contentType = 'application/json') => {
    const response = await server.fetch(path, {
      method,
      headers: {
        'content-type': contentType,
        ...(token === undefined ? {} : { authorization: `Bearer ${token}` }),
      },
      ...(body === undefined ? {} : { body: JSON.stringify(body) }),
    });
    const text = await response.text();
    return { code: response.status, body: text.startsWith('{') ? JSON.parse(text) : text };
  };

/** Writes a kubeconfig for the server, by default its administrator’s; the file goes with the test. */
export const kubeconfig = async (
  t: After,
  { url, ca, adminToken }: Pick<ApiServer, 'url' | 'ca' | 'adminToken'>,
  token = adminToken,
): Promise<KubeconfigAccess> => {
  const folder = await mkdtemp(join(tmpdir(), 'knada-kubeconfig-'));
  t.after(() => rm(folder, { recursive: true }));
  const file = join(folder, 'config');
  const config = {
    apiVersion: 'v1',
    kind: 'Config',
    clusters: [
      {
        name: 'test',
        cluster: { server: url, 'certificate-authority-data': Buffer.from(ca).toString('base64') },
      },
    ],
    users: [{ name: 'test', user: { token } }],
    contexts: [{ name: 'test', context: { cluster: 'test', user: 'test' } }],
    'current-context': 'test',
  };
  await writeFile(file, stringify(config), { mode: 0o600 });
  return { kind: 'kubeconfig', file };
};

/**
 * The way in for the identity that deploy/rbac.yaml binds, with what that file grants and nothing more. Puts the
 * file in force and answers once it is.
 */
export const asDeployed = async (t: After, server: ApiServer): Promise<KubeconfigAccess> => {
  await applyAll(sender(server), deployed('rbac.yaml'));
  const token = await server.tokenFor(deployedUser);
  const send = sender(server, token);
  await until(async () => (await send('GET', '/api/v1/pods?limit=1')).code === 200);
  return kubeconfig(t, server, token);
};
