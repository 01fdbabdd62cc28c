import { randomBytes, randomUUID } from 'node:crypto';
import type { RouteDeps } from './api/app.ts';
import { type Egress, wireEgress } from './assemble/egress.ts';
import { type Images, wireImages } from './assemble/images.ts';
import { type Notebooks, wireNotebooks } from './assemble/notebooks.ts';
import { type Secrets, wireSecrets } from './assemble/secrets.ts';
import { wireServers } from './assemble/servers.ts';
import { systemTimers, type Timers } from './assemble/timers.ts';
import { type Config, namingOf } from './config.ts';
import type { CullDeps } from './culling/cull.ts';
import { type AddressDeps, previewAddresses } from './egress/addresses.ts';
import { type AdmissionAnswer, type AdmissionRequest, admissionWith } from './egress/admission.ts';
import type { RunDeps } from './egress/airflow-runs.ts';
import { readCurrentEgress } from './egress/current-egress.ts';
import { requestKey } from './notebooks/keys.ts';
import { isPlatformContentOf } from './notebooks/platform-content.ts';
import type { Outside } from './ports/outside.ts';
import { boundedBy } from './reconcile/bounded.ts';
import { type Reconcile, reconcileWith } from './reconcile/reconcile.ts';
import type { RefreshDeps } from './reconcile/refresh.ts';
import { hasHomes } from './reconcile/teardown-notebook.ts';
import type { TickDeps } from './reconcile/tick.ts';
import type { Servers } from './servers/servers.ts';

/** What the API’s routes need, and what each scheduled call needs. */
export interface Assembled {
  readonly deps: RouteDeps;
  readonly tick: TickDeps;
  readonly refresh: RefreshDeps;
  readonly addresses: AddressDeps;
  readonly runs: RunDeps;
  readonly admission: (request: AdmissionRequest) => Promise<AdmissionAnswer>;
  readonly cull: CullDeps;
}

/** The product’s parts, put together once and used by the routes and the scheduled calls. */
interface Parts {
  readonly egress: Egress;
  readonly images: Images;
  readonly secrets: Secrets;
  readonly notebooks: Notebooks;
  readonly reconcile: Reconcile;
  readonly servers: Servers;
  readonly timers: Timers;
}

const homesDeadlineMs = 5_000;

const routesOf = (config: Config, outside: Outside, parts: Parts): RouteDeps => {
  const { store, cluster, registries, secretManager, clock, log } = outside;
  const { egress, images, secrets, notebooks, servers, reconcile, timers } = parts;
  const bounded = boundedBy({ reconcile, elapsedMs: timers.elapsedMs, log });
  return {
    store,
    clock,
    limits: config.limits,
    googleProject: config.googleProject,
    naming: namingOf(config),
    idempotency: {
      store,
      clock,
      fingerprintKeys: config.hub.masterKeys.map(requestKey),
      newAttempt: randomUUID,
    },
    allowlist: egress.entries,
    catalogue: images.catalogue,
    registries,
    ghcrOwner: config.images.ghcrOwner,
    imagePolicy: images.policyFor,
    pinImage: images.pin,
    teamLimits: config.teams,
    newSuffix: () => randomBytes(2).toString('hex'),
    newRelease: (team) => ({ platformHash: notebooks.platformHash, spec: notebooks.releaseSpec(team) }),
    render: notebooks.render,
    reconcile: bounded.afterWrite,
    look: bounded.whileUnderWay,
    servers,
    operations: servers.operations,
    egress: {
      settings: egress.settings,
      look: (namespace, hosts, signal) => readCurrentEgress({ cluster, store }, namespace, hosts, signal),
    },
    previewAddresses: (names) => previewAddresses(egress.addresses, names),
    secretManager,
    hasSecret: secrets.exists,
    hasHomes: (team) => hasHomes(cluster, team, AbortSignal.timeout(homesDeadlineMs)),
  };
};

/** Puts configuration, adapters and rules together. Does no I/O and starts nothing. */
export const assemble = (config: Config, outside: Outside, timers: Timers = systemTimers): Assembled => {
  const { store, cluster, hubs, registries, pythonReleases, clock, log } = outside;
  const { standardImages, rolloutPerTick } = config;
  const egress = wireEgress(config, outside);
  const images = wireImages(config, outside);
  const secrets = wireSecrets(config, outside);
  const notebooks = wireNotebooks(config, outside, { egress, images });
  const { addresses, runs } = egress;
  const reconcile = reconcileWith({
    ...outside,
    random: addresses.random,
    render: notebooks.renderLive,
    egress,
    google: secrets.google,
    isPlatformContent: isPlatformContentOf(config.hub.values, config.platformObjects),
    settleOperations: (before) => servers.operations.settle(before),
  });
  const servers: Servers = wireServers(outside, { notebooks, reconcile, timers });
  return {
    deps: routesOf(config, outside, { egress, images, secrets, notebooks, reconcile, servers, timers }),
    tick: {
      store,
      clock,
      log,
      reconcile,
      cluster,
      hubs,
      advanceOperations: servers.operations.tick,
      rolloutPerTick,
      platform: { hash: notebooks.platformHash, releaseSpec: notebooks.releaseSpec },
    },
    refresh: { store, clock, log, registries, pythonReleases, standardImages },
    addresses,
    runs,
    admission: admissionWith({
      ...runs,
      store,
      secrets: config.admissionSecrets,
      announce: (slug, signal) => reconcile(slug, signal, { announced: true }),
    }),
    cull: { store, hubs, clock, log },
  };
};
