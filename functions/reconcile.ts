import type { HttpFunction } from '@google-cloud/functions-framework';
import { systemClock } from '../src/adapters/clock.ts';
import { openCluster } from '../src/adapters/kubernetes.ts';
import { openStore } from '../src/adapters/open.ts';
import { assemble } from '../src/assemble.ts';
import { loadConfig } from '../src/config.ts';
import { createLogger } from '../src/logging.ts';
import { type TickDeps, tick } from '../src/reconcile/tick.ts';

const open = async (): Promise<TickDeps> => {
  const config = loadConfig(process.env);
  const log = createLogger(config.logLevel);
  const store = await openStore(config);
  const cluster = openCluster(config.cluster);
  return assemble(config, { store, cluster, clock: systemClock, log }).tick;
};

let opened: Promise<TickDeps> | undefined;

/**
 * Cloud Scheduler’s call, every minute: brings every team that is due closer to what is wanted. Answers what it
 * did. Its caller is checked by Cloud Run (deploy/README.md).
 */
export const reconcileFunction: HttpFunction = async (request, response) => {
  if (request.method !== 'POST') {
    response.status(405).set('allow', 'POST').end();
    return;
  }
  opened ??= open();
  // A start that failed is tried again by the next call.
  opened.catch(() => {
    opened = undefined;
  });
  const deps = await opened;
  response.status(200).json(await tick(deps));
};
