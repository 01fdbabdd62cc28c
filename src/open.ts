import { openDnsResolver } from './adapters/dns.ts';
import { openServiceAccounts } from './adapters/iam.ts';
import { openHubs } from './adapters/jupyterhub.ts';
import { openCluster } from './adapters/kubernetes.ts';
import { openRegistries } from './adapters/oci-registry.ts';
import { openPythonReleases } from './adapters/python-releases.ts';
import { openSecretManager } from './adapters/secret-manager.ts';
import type { Config } from './config.ts';
import { hubToken } from './notebooks/keys.ts';
import type { Cluster } from './ports/cluster.ts';
import type { DnsResolver } from './ports/dns.ts';
import type { Hubs } from './ports/hubs.ts';
import type { PythonReleases, Registries } from './ports/registries.ts';
import type { Clock } from './ports/runtime.ts';
import type { SecretManager } from './ports/secret-manager.ts';
import type { ServiceAccounts } from './ports/service-accounts.ts';
import type { Store } from './ports/store.ts';

/** The outside world as the configuration names it. */
export interface Outside {
  readonly store: Store;
  readonly cluster: Cluster;
  readonly hubs: Hubs;
  readonly dns: DnsResolver;
  readonly registries: Registries;
  readonly pythonReleases: PythonReleases;
  readonly secretManager: SecretManager;
  readonly serviceAccounts: ServiceAccounts;
  readonly clock: Clock;
  close(): Promise<void>;
}

const systemClock: Clock = { now: () => Date.now() };

/** Only the store that is used is loaded: Firestore’s client is heavy. */
const openStore = async ({ store, googleProject }: Config): Promise<Store> => {
  switch (store.kind) {
    case 'sqlite': {
      const { openSqliteStore } = await import('./adapters/sqlite.ts');
      return openSqliteStore({ file: store.file });
    }
    case 'firestore': {
      const { openFirestoreStore } = await import('./adapters/firestore.ts');
      return openFirestoreStore({ projectId: googleProject, databaseId: store.database });
    }
  }
};

/** Opens every adapter; nothing is connected to before it is needed. */
export const openOutside = async (config: Config): Promise<Outside> => {
  const store = await openStore(config);
  const cluster = openCluster(config.cluster);
  const google = { project: config.googleProject, endpoints: config.googleEndpoints };
  const wire = { clock: systemClock, garRegion: config.region, origins: config.images.origins };
  return {
    store,
    cluster,
    hubs: openHubs({
      urlTemplate: config.hub.apiUrlTemplate,
      tokens: (id) => config.hub.masterKeys.map((key) => hubToken(id, key)),
      clock: systemClock,
    }),
    dns: openDnsResolver({ servers: config.egress.dnsServers }),
    registries: openRegistries({ ...wire, garProject: config.images.garProject }),
    pythonReleases: openPythonReleases(wire),
    secretManager: openSecretManager({ ...google, region: config.region }),
    serviceAccounts: openServiceAccounts(google),
    clock: systemClock,
    async close() {
      await cluster.close();
      await store.close();
    },
  };
};
