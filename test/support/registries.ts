import assert from 'node:assert/strict';
import { registryEndpoints, startRegistries } from '@knada/simulators/registries/server.ts';
import { registryContent } from '../../local/conventions.ts';
import { openRegistries } from '../../src/adapters/oci-registry.ts';
import { openPythonReleases } from '../../src/adapters/python-releases.ts';
import { assemble } from '../../src/assemble.ts';
import type { Cluster } from '../../src/ports/cluster.ts';
import type { Log } from '../../src/ports/runtime.ts';
import type { Store } from '../../src/ports/store.ts';
import { type RefreshDeps, refresh } from '../../src/reconcile/refresh.ts';
import { tick } from '../../src/reconcile/tick.ts';
import { noHubs, noIdentities, noVault, openApi } from './api.ts';
import { namesOf } from './names.ts';
import { aMoment } from './records.ts';

const noCluster: Cluster = {
  read: () => assert.fail('the cluster was read'),
  list: () => assert.fail('the cluster was listed'),
  apply: () => assert.fail('something was applied'),
  patch: () => assert.fail('something was patched'),
  remove: () => assert.fail('something was removed'),
  serves: () => assert.fail('the cluster was asked what it serves'),
};

/** Slugs of the teams that were written, in their order. */
const counted = (store: Store) => {
  const written: string[] = [];
  const counting: Store = {
    ...store,
    change: (slug, decide) =>
      store.change(slug, (current) => {
        const decision = decide(current);
        if (decision !== undefined) written.push(slug);
        return decision;
      }),
  };
  return { written, counting };
};

/**
 * The API and the functions on the real adapters, with the registries simulated. Nothing is waited for between two
 * tries, and time is the API’s, which a test moves.
 */
export const openWithRegistries = async ({ cluster = noCluster }: { readonly cluster?: Cluster } = {}) => {
  const simulator = await startRegistries({ ...registryContent, now: () => Date.parse(aMoment) });
  const api = await openApi({ environment: { REGISTRY_ENDPOINTS: registryEndpoints(simulator.url) } });
  const { config, store } = api;
  const clock = { now: () => Date.parse(api.now()) };
  const { origins, garProject } = config.images;
  const wire = { clock, garRegion: config.region, origins, random: () => 0, wait: async () => {} };
  const registries = openRegistries({ ...wire, garProject });
  const pythonReleases = openPythonReleases(wire);
  const logged: { readonly event: string; readonly fields: object }[] = [];
  const note = (fields: object, event: string) => void logged.push({ event, fields });
  const log: Log = { info: note, warn: note, error: note };
  const { written, counting } = counted(store);
  const parts = assemble(config, {
    store: counting,
    cluster,
    hubs: noHubs,
    dns: namesOf(api.dns),
    registries,
    pythonReleases,
    secretManager: noVault,
    serviceAccounts: noIdentities,
    clock,
    log,
  });
  Object.assign(api.outside, { registries, pinImage: parts.deps.pinImage });

  return {
    ...api,
    simulator,
    logged,
    /** Slugs of the teams that the functions wrote. */
    written,
    registries,
    /** One call of the function `refresh`. */
    refresh: (more: Partial<RefreshDeps> = {}) => refresh({ ...parts.refresh, ...more }),
    /** One call of the function `reconcile`. */
    tick: () => tick(parts.tick),
    /** How many requests the registries get meanwhile. */
    async requests(work: () => Promise<unknown>): Promise<number> {
      const before = simulator.requests.length;
      await work();
      return simulator.requests.length - before;
    },
    /** Runs it while every registry answers 500. */
    async away<T>(work: () => Promise<T>): Promise<T> {
      const end = simulator.fault(/./, { status: 500 });
      try {
        return await work();
      } finally {
        end();
      }
    },
    async close() {
      await api.close();
      await simulator.close();
    },
  };
};
