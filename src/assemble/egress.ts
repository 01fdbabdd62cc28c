import type { Config } from '../config.ts';
import { type AddressDeps, addressesFor } from '../egress/addresses.ts';
import type { RunDeps } from '../egress/airflow-runs.ts';
import { defaultEntryOptions, type EntryOptions } from '../egress/entry.ts';
import { chooseBackend } from '../egress/fqdn.ts';
import { defaultEgressSettings, type EgressSettings } from '../egress/policy.ts';
import { kinds } from '../model/kinds.ts';
import type { Outside } from '../ports/outside.ts';

const discoveryDeadlineMs = 5_000;

/** What notebooks may reach: the platform’s rules, the addresses of hosts, Airflow’s runs. */
export interface Egress {
  readonly settings: EgressSettings;
  readonly entries: EntryOptions;
  /** The settings with the backend that the cluster has now. */
  readonly currentSettings: () => Promise<EgressSettings>;
  readonly addresses: AddressDeps;
  readonly runs: RunDeps;
}

const settingsOf = ({ egress }: Config): EgressSettings => ({
  ...defaultEgressSettings,
  clusterRanges: egress.clusterRanges,
  privateRanges: egress.privateRanges,
  googleApis: egress.googleApis,
  backend: egress.backend,
  hostMap: new Map(Object.entries(egress.hostMap)),
  dnsServiceRanges: egress.dnsServiceRanges,
  airflowDestinations: egress.airflowDestinations,
  ...(egress.googleApiHosts.length === 0 ? {} : { googleApiHosts: egress.googleApiHosts }),
});

const entriesOf = ({ egress, limits }: Config): EntryOptions => ({
  ...defaultEntryOptions,
  clusterRanges: egress.clusterRanges,
  privateRanges: egress.privateRanges,
  allowCidr: egress.allowCidr,
  internalSuffixes: egress.internalSuffixes,
  maxEntries: limits.hostsMax,
  presets: new Map(Object.entries(egress.presets)),
});

export const wireEgress = (config: Config, { store, cluster, dns, clock, log }: Outside): Egress => {
  const settings = settingsOf(config);
  const entries = entriesOf(config);
  const addresses = { store, dns, clock, log, random: Math.random };
  return {
    settings,
    entries,
    async currentSettings() {
      if (settings.backend === 'ip') return settings;
      const signal = AbortSignal.timeout(discoveryDeadlineMs);
      const isServed = await cluster.serves(
        kinds.fqdnNetworkPolicy.apiVersion,
        kinds.fqdnNetworkPolicy.kind,
        signal,
      );
      return { ...settings, backend: chooseBackend(settings.backend, isServed ? ['v1alpha1'] : []) };
    },
    addresses,
    runs: {
      cluster,
      clock,
      log,
      settings,
      entries,
      addresses: (hosts, signal) => addressesFor(addresses, hosts, { isLive: true, signal }),
    },
  };
};
