import type { HttpFunction } from '@google-cloud/functions-framework';
import { type Assembled, assemble } from '../src/assemble.ts';
import { loadConfig } from '../src/config.ts';
import { cull } from '../src/culling/cull.ts';
import { refreshHosts } from '../src/egress/addresses.ts';
import { type RunDeps, reconcileRuns } from '../src/egress/airflow-runs.ts';
import { createLogger } from '../src/logging.ts';
import { openOutside } from '../src/open.ts';
import { refresh } from '../src/reconcile/refresh.ts';
import { tick } from '../src/reconcile/tick.ts';

const open = async (): Promise<Assembled> => {
  const config = loadConfig(process.env);
  return assemble(config, await openOutside(config, createLogger(config.logLevel)));
};

let opened: Promise<Assembled> | undefined;

/** What every function of this process works with, opened by the first call; a start that failed is tried again. */
const assembled = (): Promise<Assembled> => {
  opened ??= open();
  opened.catch(() => {
    opened = undefined;
  });
  return opened;
};

/** A call of Cloud Scheduler, answered with what was done. Its caller is checked by Cloud Run (deploy/README.md). */
const scheduled =
  (work: (parts: Assembled) => Promise<object>): HttpFunction =>
  async (request, response) => {
    if (request.method !== 'POST') {
      response.status(405).set('allow', 'POST').end();
      return;
    }
    response.status(200).json(await work(await assembled()));
  };

/**
 * Every minute: looks up the hosts that are due, then brings every team that is due closer to what is wanted. In this
 * order, so a new address is open within the same call.
 */
export const reconcileFunction = scheduled(async (parts) => {
  const hosts = await refreshHosts(parts.addresses);
  const [report, runs] = await Promise.all([tick(parts.tick), runsOf(parts.runs)]);
  return { ...report, hosts: hosts.looked, runs };
});

/** Airflow runs with access of their own; what fails there is no reason to call the whole tick failed. */
const runsOf = async (deps: RunDeps): Promise<number> => {
  try {
    return (await reconcileRuns(deps)).runs;
  } catch (error) {
    deps.log.error({ err: error }, 'Airflow runs not reconciled');
    return 0;
  }
};

/** The API server’s admission request before it creates a pod; the secret path authenticates it (deploy/README.md). */
export const admissionFunction: HttpFunction = async (request, response) => {
  const { admission } = await assembled();
  const { status, body } = await admission({
    method: request.method,
    path: request.path,
    // The framework has already read the body, up to the size limit of Cloud Run.
    body: request.rawBody ?? new Uint8Array(),
  });
  response.status(status).json(body);
};

/** Every minute: switches off the servers that are past their time. */
export const cullFunction = scheduled((parts) => cull(parts.cull));

/** Every hour: what environments there are, whether the teams’ own images have moved or gone, and hosts that are due. */
export const refreshFunction = scheduled(async (parts) => {
  const [hosts, report] = await Promise.all([refreshHosts(parts.addresses), refresh(parts.refresh)]);
  return { ...report, hosts: hosts.looked };
});
