import { openDnsResolver } from './adapters/dns.ts';
import { openServiceAccounts } from './adapters/iam.ts';
import { openHubs } from './adapters/jupyterhub.ts';
import { openCluster } from './adapters/kubernetes.ts';
import { openRegistries } from './adapters/oci-registry.ts';
import { openPythonReleases } from './adapters/python-releases.ts';
import { openSecretManager } from './adapters/secret-manager.ts';
import { type Config, namingOf } from './config.ts';
import { hubToken } from './notebooks/keys.ts';
import type { Outside } from './ports/outside.ts';
import type { Clock, Log } from './ports/runtime.ts';
import type { Store } from './ports/store.ts';

const clock: Clock = { now: () => Date.now() };

/** Loads only the store that is used: Firestore’s client is heavy. */
const openStore = async (config: Config): Promise<Store> => {
  const { store, googleProject } = config;
  const naming = namingOf(config);
  switch (store.kind) {
    case 'sqlite': {
      const { openSqliteStore } = await import('./adapters/sqlite.ts');
      return openSqliteStore({ file: store.file, naming });
    }
    case 'firestore': {
      const { openFirestoreStore } = await import('./adapters/firestore.ts');
      return openFirestoreStore({ projectId: googleProject, databaseId: store.database, naming });
    }
  }
};

/** Opens every adapter that the configuration names. Nothing connects before it is used; the caller closes. */
export const openOutside = async (
  config: Config,
  log: Log,
): Promise<Outside & { close(): Promise<void> }> => {
  const { hub, egress, images, region, googleProject } = config;
  const store = await openStore(config);
  const cluster = openCluster(config.cluster);
  const google = { project: googleProject, endpoints: config.googleEndpoints };
  const wire = { clock, garRegion: region, origins: images.origins };
  return {
    store,
    cluster,
    hubs: openHubs({
      urlTemplate: hub.apiUrlTemplate,
      tokens: (id) => hub.masterKeys.map((key) => hubToken(id, key)),
      clock,
    }),
    dns: openDnsResolver({ servers: egress.dnsServers }),
    registries: openRegistries({ ...wire, garProject: images.garProject }),
    pythonReleases: openPythonReleases(wire),
    secretManager: openSecretManager({ ...google, region }),
    serviceAccounts: openServiceAccounts(google),
    clock,
    log,
    async close() {
      await cluster.close();
      await store.close();
    },
  };
};
