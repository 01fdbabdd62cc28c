import { randomBytes } from 'node:crypto';
import type { Config } from './config.ts';
import type { Deps } from './deps.ts';
import { defaultEntryOptions, type EntryOptions } from './egress/entry.ts';
import { defaultEgressSettings, type EgressSettings } from './egress/policy.ts';
import { shippedCatalogue } from './environments/catalogue.ts';
import type { Environment } from './environments/environment.ts';
import type { ImagePolicy } from './images/reference.ts';
import { resolveImage } from './images/resolve.ts';
import { platformHash, releaseSpec } from './notebooks/desired.ts';
import type { Platform } from './notebooks/values.ts';
import type { Clock, Cluster, PythonReleases, Registries, Store } from './ports.ts';
import { boundedBy } from './reconcile/bounded.ts';
import type { Log } from './reconcile/look.ts';
import { reconcileWith } from './reconcile/reconcile.ts';
import type { RefreshDeps } from './reconcile/refresh.ts';
import { renderWith } from './reconcile/render.ts';
import { hasHomes } from './reconcile/teardown.ts';
import type { TickDeps } from './reconcile/tick.ts';
import type { TeamRecord } from './record.ts';

/** The outside world, opened; closed by whoever opened it. */
export interface Adapters {
  readonly store: Store;
  readonly cluster: Cluster;
  readonly registries: Registries;
  readonly pythonReleases: PythonReleases;
  readonly clock: Clock;
  readonly log: Log;
}

/** What the API’s routes are handed, and what the scheduler’s calls are. */
export interface Assembled {
  readonly deps: Deps;
  readonly tick: TickDeps;
  readonly refresh: RefreshDeps;
}

const homesDeadlineMs = 5_000;
const registryDeadlineMs = 10_000;

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

/** Puts configuration, adapters and rules together. Does no I/O and starts nothing. */
export const assemble = (config: Config, adapters: Adapters): Assembled => {
  const { store, cluster, registries, pythonReleases, clock, log } = adapters;
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
  };
  const imagePolicy = (garTeam: string | null): ImagePolicy => ({
    ghcrOwner: config.images.ghcrOwner,
    garRegion: config.region,
    garProject: config.images.garProject,
    garTeam,
  });
  const catalogue = async () => (await store.catalogue()) ?? shippedCatalogue(standardImages, clock.now());
  const render = async (team: TeamRecord) =>
    renderWith({
      googleProject: config.googleProject,
      masterKeys: config.hub.masterKeys,
      environments: team.notebook === null ? [] : (await catalogue()).items.map(asProfile),
      egress: { settings, entries: allowlist },
    })(team);
  const reconcile = reconcileWith({ store, cluster, clock, render, log });
  const bounded = boundedBy({ reconcile, elapsedMs: () => performance.now(), log });
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
        const { digest } = await resolveImage(asked, image, AbortSignal.timeout(registryDeadlineMs));
        return { reference: image, digest, resolvedAt: new Date(now).toISOString(), newerDigest: null };
      },
      newSuffix: () => randomBytes(2).toString('hex'),
      newRelease: (team) => ({ platformHash: hash, spec: releaseSpec(team, platform) }),
      render,
      reconcile: bounded.afterWrite,
      look: bounded.whileUnderWay,
      hasHomes: ({ id }) => hasHomes(cluster, id, AbortSignal.timeout(homesDeadlineMs)),
    },
    tick: {
      store,
      clock,
      log,
      reconcile,
      rolloutPerTick: config.rolloutPerTick,
      platform: { hash, releaseSpec: (team) => releaseSpec(team, platform) },
    },
    refresh: { store, clock, log, registries, pythonReleases, standardImages },
  };
};
