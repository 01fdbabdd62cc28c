import type { Cluster } from './cluster.ts';
import type { DnsResolver } from './dns.ts';
import type { Hubs } from './hubs.ts';
import type { PythonReleases, Registries } from './registries.ts';
import type { Clock, Log } from './runtime.ts';
import type { SecretManager } from './secret-manager.ts';
import type { ServiceAccounts } from './service-accounts.ts';
import type { Store } from './store.ts';

/** Every system outside this process, and what the process itself provides: its clock and its log. */
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
  readonly log: Log;
}
