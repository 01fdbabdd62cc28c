import { randomBytes } from 'node:crypto';
import type { Config } from './config.ts';
import type { Deps } from './deps.ts';
import { defaultEntryOptions, type EntryOptions } from './egress/entry.ts';
import { defaultEgressSettings, type EgressSettings } from './egress/policy.ts';
import { platformHash, releaseSpec } from './notebooks/desired.ts';
import type { Platform } from './notebooks/values.ts';
import type { Clock, Cluster, Store } from './ports.ts';
import { boundedBy } from './reconcile/bounded.ts';
import type { Log } from './reconcile/look.ts';
import { reconcileWith } from './reconcile/reconcile.ts';
import { renderWith } from './reconcile/render.ts';
import { hasHomes } from './reconcile/teardown.ts';
import type { TickDeps } from './reconcile/tick.ts';

/** The outside world, opened; closed by whoever opened it. */
export interface Adapters {
  readonly store: Store;
  readonly cluster: Cluster;
  readonly clock: Clock;
  readonly log: Log;
}

const homesDeadlineMs = 5_000;

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

/**
 * Puts configuration, adapters and rules together: what the API’s routes are handed, and what the scheduler’s
 * call is. Does no I/O and starts nothing.
 */
export const assemble = (config: Config, adapters: Adapters): { deps: Deps; tick: TickDeps } => {
  const { store, cluster, clock, log } = adapters;
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
  const render = renderWith({
    googleProject: config.googleProject,
    masterKeys: config.hub.masterKeys,
    environments: config.standardImages,
    egress: { settings, entries: allowlist },
  });
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
      newSuffix: () => randomBytes(2).toString('hex'),
      newRelease: (team) => ({ platformHash: hash, spec: releaseSpec(team, platform) }),
      render,
      reconcile: bounded.afterWrite,
      look: bounded.whileUnderWay,
      hasHomes: ({ id }) => hasHomes(cluster, id, AbortSignal.timeout(homesDeadlineMs)),
      pinImage: async () => {
        throw new Error('not wired yet');
      },
    },
    tick: {
      store,
      clock,
      log,
      reconcile,
      rolloutPerTick: config.rolloutPerTick,
      platform: { hash, releaseSpec: (team) => releaseSpec(team, platform) },
    },
  };
};
