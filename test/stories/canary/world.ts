import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { startDeployments } from '@knada/simulators/cluster/deployments.ts';
import { startKubelet } from '@knada/simulators/cluster/kubelet.ts';
import { startDns } from '@knada/simulators/dns/server.ts';
import { googleEndpoints, startGoogle } from '@knada/simulators/google/server.ts';
import { startHelmController } from '@knada/simulators/helm-controller/controller.ts';
import { startHubs } from '@knada/simulators/hubs/server.ts';
import { startKubernetes } from '@knada/simulators/kubernetes/server.ts';
import { registryEndpoints, startRegistries } from '@knada/simulators/registries/server.ts';
import { hubConventions, registryContent } from '../../../local/conventions.ts';
import { openDnsResolver } from '../../../src/adapters/dns.ts';
import { openServiceAccounts } from '../../../src/adapters/iam.ts';
import { openHubs } from '../../../src/adapters/jupyterhub.ts';
import { openCluster } from '../../../src/adapters/kubernetes.ts';
import { openRegistries } from '../../../src/adapters/oci-registry.ts';
import { openPythonReleases } from '../../../src/adapters/python-releases.ts';
import { openSecretManager } from '../../../src/adapters/secret-manager.ts';
import { openSqliteStore } from '../../../src/adapters/sqlite.ts';
import { buildApp } from '../../../src/api/app.ts';
import { assemble } from '../../../src/assemble.ts';
import { openapiDocument } from '../../../src/http/openapi.ts';
import { createLogger } from '../../../src/logging.ts';
import { hubToken } from '../../../src/notebooks/keys.ts';
import type { Store } from '../../../src/ports/store.ts';
import { startIssuer } from '../../http/issuer.ts';
import { configFor } from '../../support/api.ts';
import { startMirror } from '../../support/mirror.ts';
import { aNaming } from '../../support/records.ts';
import { admissionSecret, googleToken, kubernetesToken, logged, masterKeys, storeWords } from './planted.ts';

/** The API and its functions on simulators, with a mirror before each that records credentials and can fail. */
export const startWorld = async () => {
  const folder = mkdtempSync(join(tmpdir(), 'canary-'));
  const onFailure = () => {};
  const issuer = await startIssuer();
  const kubernetes = await startKubernetes();
  const client = kubernetes.client('test');
  const registries = await startRegistries(registryContent);
  const dns = await startDns();
  const google = await startGoogle({ project: 'knada-gcp' });
  const parts = [
    startKubelet({ client, podReadyMs: 5, podStopMs: 5, onFailure }),
    startDeployments({ client, onFailure }),
    startHelmController({ client: kubernetes.client('helm-controller'), actionMs: 5, onFailure }),
  ];
  const timings = {
    checkMs: 20,
    pollMs: 50,
    progressMs: 20,
    profilesPollMs: 20,
    interruptMs: 20,
    slowStopMs: 500,
  };
  const hubs = await startHubs({
    port: 0,
    client: kubernetes.client('hub'),
    conventions: hubConventions,
    timings,
    onFailure,
  });
  const mirrors = {
    kubernetes: await startMirror(kubernetes.url, () => undefined),
    google: await startMirror(google.url, (given) =>
      given === `Bearer ${googleToken}` ? 'Bearer local' : given,
    ),
    hubs: await startMirror(`http://127.0.0.1:${hubs.port}`),
    registries: await startMirror(registries.url),
  };

  const kubeconfig = join(folder, 'kubeconfig.json');
  const named = { name: 'x' };
  writeFileSync(
    kubeconfig,
    JSON.stringify({
      apiVersion: 'v1',
      kind: 'Config',
      'current-context': 'x',
      contexts: [{ ...named, context: { cluster: 'x', user: 'x' } }],
      clusters: [{ ...named, cluster: { server: mirrors.kubernetes.url, 'insecure-skip-tls-verify': true } }],
      users: [{ ...named, user: { token: kubernetesToken } }],
    }),
  );
  const file = join(folder, 'store.sqlite');
  const config = configFor(issuer, {
    STORE: `sqlite:${file}`,
    HUB_URL_TEMPLATE: `${mirrors.hubs.url}/{slug}`,
    HUB_API_URL_TEMPLATE: `${mirrors.hubs.url}/{slug}`,
    HUB_MASTER_KEYS: masterKeys.map(({ id, key }) => `${id}:${key}`).join(','),
    ADMISSION_SECRETS: admissionSecret,
    REGISTRY_ENDPOINTS: registryEndpoints(mirrors.registries.url),
    GOOGLE_ENDPOINTS: googleEndpoints(mirrors.google.url),
    EGRESS_DNS_SERVERS: `127.0.0.1:${dns.port}`,
  });

  const clock = { now: () => Date.now() };
  const sqlite = openSqliteStore({ file, naming: aNaming });
  let isStoreBroken = false;
  const store = new Proxy<Store>(sqlite, {
    get(target, key) {
      const found: unknown = Reflect.get(target, key);
      if (typeof found !== 'function' || key === 'close') return found;
      return (...asked: unknown[]) => {
        if (isStoreBroken)
          return Promise.reject(new Error(`${storeWords} ${String(key)} ${JSON.stringify(asked)}`));
        return Reflect.apply(found, target, asked);
      };
    },
  });
  const log = createLogger('trace', { write: (line) => void logged.push(line) });
  const accessToken = async () => googleToken;
  const secretManagerOptions = {
    project: config.googleProject,
    endpoints: config.googleEndpoints,
    accessToken,
  };
  const wire = { clock, garRegion: config.region, origins: config.images.origins, accessToken };
  const cluster = openCluster({ kind: 'kubeconfig', file: kubeconfig });
  const parted = assemble(config, {
    store,
    cluster,
    hubs: openHubs({
      urlTemplate: config.hub.apiUrlTemplate,
      tokens: (id) => config.hub.masterKeys.map((key) => hubToken(id, key)),
      clock,
      callMs: 1_000,
    }),
    dns: openDnsResolver({ servers: config.egress.dnsServers }),
    registries: openRegistries({ ...wire, garProject: config.images.garProject }),
    pythonReleases: openPythonReleases(wire),
    secretManager: openSecretManager({ ...secretManagerOptions, region: config.region }),
    serviceAccounts: openServiceAccounts(secretManagerOptions),
    clock,
    log,
  });
  const app = await buildApp({ config, deps: parted.deps, logger: log });
  await app.listen({ port: 0, host: '127.0.0.1' });
  const document = await openapiDocument(app);
  const address = app.server.address();
  const port = typeof address === 'object' && address !== null ? address.port : 0;

  return {
    folder,
    file,
    issuer,
    kubernetes,
    client,
    google,
    hubs,
    dns,
    mirrors,
    store: sqlite,
    breakStore: (yes: boolean) => {
      isStoreBroken = yes;
    },
    log,
    app,
    document,
    port,
    url: `http://127.0.0.1:${port}`,
    parted,
    async close() {
      await app.close();
      await sqlite.close();
      await cluster.close();
      for (const mirror of Object.values(mirrors)) await mirror.close();
      await hubs.close();
      for (const part of parts.toReversed()) await part.close();
      await kubernetes.close();
      await google.close();
      await registries.close();
      await dns.close();
      await issuer[Symbol.asyncDispose]();
      rmSync(folder, { recursive: true });
    },
  };
};

export type World = Awaited<ReturnType<typeof startWorld>>;
