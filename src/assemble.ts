import { randomBytes } from 'node:crypto';
import { setTimeout as wait } from 'node:timers/promises';
import type { RouteDeps } from './api/app.ts';
import type { Config } from './config.ts';
import type { CullDeps } from './culling/cull.ts';
import { type AddressDeps, addressesFor, knownAddresses } from './egress/addresses.ts';
import { type AdmissionAnswer, type AdmissionRequest, admissionWith } from './egress/admission.ts';
import type { RunDeps } from './egress/airflow-runs.ts';
import { readCurrentEgress } from './egress/current-egress.ts';
import { defaultEntryOptions, type EntryOptions } from './egress/entry.ts';
import { chooseBackend } from './egress/fqdn.ts';
import { namesOf } from './egress/hosts.ts';
import type { LiveEgress } from './egress/live-egress.ts';
import { defaultEgressSettings, type EgressSettings } from './egress/policy.ts';
import { shippedCatalogue } from './environments/catalogue.ts';
import type { ImagePolicy } from './images/reference.ts';
import { resolveImage } from './images/resolve.ts';
import type { Environment } from './model/environment.ts';
import { kinds } from './model/kinds.ts';
import type { TeamRecord } from './model/record.ts';
import { platformHash, releaseSpec } from './notebooks/desired.ts';
import { isPlatformContentOf } from './notebooks/platform-content.ts';
import type { Platform } from './notebooks/values.ts';
import type { Cluster } from './ports/cluster.ts';
import type { DnsResolver } from './ports/dns.ts';
import type { Hubs } from './ports/hubs.ts';
import type { PythonReleases, Registries } from './ports/registries.ts';
import type { Clock, Log } from './ports/runtime.ts';
import type { SecretManager } from './ports/secret-manager.ts';
import type { ServiceAccounts } from './ports/service-accounts.ts';
import type { Store } from './ports/store.ts';
import { boundedBy } from './reconcile/bounded.ts';

import { reconcileWith } from './reconcile/reconcile.ts';
import type { RefreshDeps } from './reconcile/refresh.ts';
import { renderWith } from './reconcile/render.ts';
import { hasHomes } from './reconcile/teardown-notebook.ts';
import type { TickDeps } from './reconcile/tick.ts';
import { dismantleWith } from './secrets/dismantle.ts';
import { provisionWith } from './secrets/provision.ts';
import { secretExistsWith } from './secrets/team-secret.ts';
import type { EgressAccess } from './servers/calls.ts';
import { serversWith } from './servers/servers.ts';
import { isRestricted } from './teams/lifecycle.ts';

/** The outside world, opened; closed by whoever opened it. */
export interface Adapters {
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

/** What the API’s routes are handed, and what the scheduler’s calls are. */
export interface Assembled {
  readonly deps: RouteDeps;
  readonly tick: TickDeps;
  readonly refresh: RefreshDeps;
  readonly addresses: AddressDeps;
  readonly runs: RunDeps;
  readonly admission: (request: AdmissionRequest) => Promise<AdmissionAnswer>;
  readonly cull: CullDeps;
}

const homesDeadlineMs = 5_000;
const registryDeadlineMs = 10_000;
const discoveryDeadlineMs = 5_000;

const platformOf = (config: Config): Platform => ({
  chartVersion: config.hub.chartVersion,
  helmRepository: config.hub.helmRepository,
  hubUrlTemplate: config.hub.urlTemplate,
  googleProject: config.googleProject,
  keyId: config.hub.masterKeys[0]?.id ?? '',
  values: config.hub.values,
  backstop: {
    timeoutSeconds: config.limits.timeoutMaxSeconds,
    maxAgeSeconds: config.limits.maxAgeMaxSeconds,
  },
});

/** An environment as a profile needs it: with the drivers that are in it. */
const asProfile = ({ python, image, digest, drivers, default: isDefault }: Environment) => ({
  python,
  image,
  digest,
  drivers: drivers.flatMap(({ name, included, version }) =>
    included ? [version === undefined ? name : `${name} ${version}`] : [],
  ),
  default: isDefault,
});

/** How time passes for this process, whatever the clock says. */
export interface Timers {
  /** Monotonic milliseconds. */
  readonly elapsedMs: () => number;
  readonly pause: (ms: number) => Promise<void>;
}

const passing: Timers = { elapsedMs: () => performance.now(), pause: (ms) => wait(ms) };

/** Puts configuration, adapters and rules together. Does no I/O and starts nothing. */
export const assemble = (
  config: Config,
  adapters: Adapters,
  { elapsedMs, pause }: Timers = passing,
): Assembled => {
  const {
    store,
    cluster,
    hubs,
    dns,
    registries,
    pythonReleases,
    secretManager,
    serviceAccounts,
    clock,
    log,
  } = adapters;
  const { standardImages } = config;
  const platform = platformOf(config);
  const hash = platformHash(platform);
  const ranges = { clusterRanges: config.egress.clusterRanges, privateRanges: config.egress.privateRanges };
  const allowlist: EntryOptions = {
    ...defaultEntryOptions,
    ...ranges,
    allowCidr: config.egress.allowCidr,
    internalSuffixes: config.egress.internalSuffixes,
    maxEntries: config.limits.hostsMax,
  };
  const settings: EgressSettings = {
    ...defaultEgressSettings,
    ...ranges,
    googleApis: config.egress.googleApis,
    backend: config.egress.backend,
    hostMap: new Map(Object.entries(config.egress.hostMap)),
    dnsServiceRanges: config.egress.dnsServiceRanges,
    airflowDestinations: config.egress.airflowDestinations,
    ...(config.egress.googleApiHosts.length === 0 ? {} : { googleApiHosts: config.egress.googleApiHosts }),
  };
  /** GKE’s own policies are used where they are asked for and there. */
  const settingsNow = async (): Promise<EgressSettings> => {
    if (settings.backend === 'ip') return settings;
    const { apiVersion, kind } = kinds.fqdnNetworkPolicy;
    const isServed = await cluster.serves(apiVersion, kind, AbortSignal.timeout(discoveryDeadlineMs));
    return { ...settings, backend: chooseBackend(settings.backend, isServed ? ['v1alpha1'] : []) };
  };
  const imagePolicy = (garTeam: string | null): ImagePolicy => ({
    ghcrOwner: config.images.ghcrOwner,
    garRegion: config.region,
    garProject: config.images.garProject,
    garTeam,
  });
  const catalogue = async () => (await store.catalogue()) ?? shippedCatalogue(standardImages, clock.now());
  const egress = { settings, entries: allowlist };
  const renderLive = async (team: TeamRecord, live: LiveEgress) =>
    renderWith({
      googleProject: config.googleProject,
      masterKeys: config.hub.masterKeys,
      environments: team.notebook === null ? [] : (await catalogue()).items.map(asProfile),
      egress: { ...egress, settings: await settingsNow() },
    })(team, live);
  /** As it is while a notebook runs: what is planned and shown is all that a team may get. */
  const render = async (team: TeamRecord) =>
    renderLive(team, {
      addresses: await knownAddresses(store, namesOf(team, egress)),
      podsAlive: true,
      owners: [],
    });
  const googleDeps = {
    secretManager,
    serviceAccounts,
    clock,
    googleProject: config.googleProject,
    workloadPool: config.workloadPool,
    wait,
    random: Math.random,
  };
  const google = { provision: provisionWith(googleDeps), dismantle: dismantleWith(googleDeps) };
  const secretExists = secretExistsWith(googleDeps);
  const addresses = { store, dns, clock, log, random: Math.random };
  const isPlatformContent = isPlatformContentOf(config.hub.values, []);
  const reconcile = reconcileWith({
    ...addresses,
    cluster,
    hubs,
    render: renderLive,
    egress,
    google,
    isPlatformContent,
  });
  const access: EgressAccess = {
    async prepare(slug, signal) {
      await reconcile(slug, signal, { announced: true });
    },
    async isEffective(slug, signal) {
      const team = await reconcile(slug, signal);
      if (team === undefined || !isRestricted(team)) return true;
      return team.status.conditions.some(({ type, status }) => type === 'Applied' && status === 'True');
    },
  };
  const servers = serversWith(
    { store, hubs, cluster, clock, access, log },
    {
      hubUrlTemplate: config.hub.urlTemplate,
      render,
      newId: () => `op-${randomBytes(8).toString('hex')}`,
      elapsedMs,
      pause,
    },
  );
  const runs: RunDeps = {
    cluster,
    clock,
    log,
    settings,
    entries: allowlist,
    addresses: (hosts, signal) => addressesFor(addresses, hosts, { isLive: true, signal }),
  };
  const bounded = boundedBy({ reconcile, elapsedMs, log });
  return {
    deps: {
      store,
      clock,
      limits: config.limits,
      googleProject: config.googleProject,
      hubUrlTemplate: config.hub.urlTemplate,
      allowlist,
      catalogue,
      registries,
      ghcrOwner: config.images.ghcrOwner,
      imagePolicy,
      async pinImage(image, { garTeam }) {
        const now = clock.now();
        const asked = { registries, policy: imagePolicy(garTeam), now };
        const { reference, digest } = await resolveImage(
          asked,
          image,
          AbortSignal.timeout(registryDeadlineMs),
        );
        return { reference, digest, resolvedAt: new Date(now).toISOString(), newerDigest: null };
      },
      newSuffix: () => randomBytes(2).toString('hex'),
      newRelease: (team) => ({ platformHash: hash, spec: releaseSpec(team, platform) }),
      render,
      reconcile: bounded.afterWrite,
      look: bounded.whileUnderWay,
      servers,
      egress: {
        settings,
        look: (namespace, hosts, signal) => readCurrentEgress({ cluster, store }, namespace, hosts, signal),
      },
      secretManager,
      hasSecret: (team) => secretExists(team, AbortSignal.timeout(homesDeadlineMs)),
      hasHomes: ({ id }) => hasHomes(cluster, id, AbortSignal.timeout(homesDeadlineMs)),
    },
    tick: {
      store,
      clock,
      log,
      reconcile,
      cluster,
      hubs,
      advanceOperations: servers.tick,
      rolloutPerTick: config.rolloutPerTick,
      platform: { hash, releaseSpec: (team) => releaseSpec(team, platform) },
    },
    addresses,
    runs,
    admission: admissionWith({
      ...runs,
      store,
      secrets: config.admissionSecrets,
      announce: (slug, signal) => reconcile(slug, signal, { announced: true }),
    }),
    cull: { store, hubs, clock, log },
    refresh: { store, clock, log, registries, pythonReleases, standardImages },
  };
};
