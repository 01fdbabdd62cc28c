import type { Config } from '../config.ts';
import { hubToken } from '../notebooks/keys.ts';
import type {
  Clock,
  Cluster,
  Hubs,
  Identities,
  Names,
  PythonReleases,
  Registries,
  Store,
  Vault,
} from '../ports.ts';
import { openNames } from './dns.ts';
import { openIdentities } from './iam.ts';
import { openHubs } from './jupyterhub.ts';
import { openCluster } from './kubernetes.ts';
import { openRegistries } from './oci-registry.ts';
import { openPythonReleases } from './python-releases.ts';
import { openVault } from './secret-manager.ts';

/** The outside world as the configuration names it. */
export interface Outside {
  readonly store: Store;
  readonly cluster: Cluster;
  readonly hubs: Hubs;
  readonly names: Names;
  readonly registries: Registries;
  readonly pythonReleases: PythonReleases;
  readonly vault: Vault;
  readonly identities: Identities;
  readonly clock: Clock;
  close(): Promise<void>;
}

const systemClock: Clock = { now: () => Date.now() };

/** Only the store that is used is loaded: Firestore’s client is heavy. */
const openStore = async ({ store, googleProject }: Config): Promise<Store> => {
  switch (store.kind) {
    case 'sqlite': {
      const { openSqliteStore } = await import('./sqlite.ts');
      return openSqliteStore({ file: store.file });
    }
    case 'firestore': {
      const { openFirestoreStore } = await import('./firestore.ts');
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
    names: openNames({ servers: config.egress.dnsServers }),
    registries: openRegistries({ ...wire, garProject: config.images.garProject }),
    pythonReleases: openPythonReleases(wire),
    vault: openVault({ ...google, region: config.region }),
    identities: openIdentities(google),
    clock: systemClock,
    async close() {
      await cluster.close();
      await store.close();
    },
  };
};
