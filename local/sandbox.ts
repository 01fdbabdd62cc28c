import { setTimeout as sleep } from 'node:timers/promises';
import { startDeployments } from '@knada/simulators/cluster/deployments.ts';
import { startKubelet } from '@knada/simulators/cluster/kubelet.ts';
import { type Dns, startDns } from '@knada/simulators/dns/server.ts';
import { type Google, startGoogle } from '@knada/simulators/google/server.ts';
import { startHelmController } from '@knada/simulators/helm-controller/controller.ts';
import { type Hubs, startHubs } from '@knada/simulators/hubs/server.ts';
import { type Issuer, startIssuer } from '@knada/simulators/issuer/server.ts';
import { type Kubernetes, startKubernetes } from '@knada/simulators/kubernetes/server.ts';
import { type Registries, startRegistries } from '@knada/simulators/registries/server.ts';
import { type Child, startChild } from './child.ts';
import { clockAheadMs, moveClock as moveOwnClock } from './clock.ts';
import { audience, hubConventions, registryContent } from './conventions.ts';
import { FolderInUse, openData } from './data.ts';
import { environmentOf, googleProject } from './environment.ts';
import { startPage } from './page.ts';
import { installPlatform } from './platform.ts';
import { type Part, portOf, takenPorts, urlOf } from './ports.ts';
import { startSchedule } from './scheduler.ts';

const startTimeoutMs = 60_000;
const reconcileEveryMs = 1_000;
const cullEveryMs = 5_000;
const refreshEveryMs = 60_000;
/** The single node’s cores and bytes: a notebook that requests more stays unscheduled. */
const room = { cpu: 8, memory: 64 * 1024 ** 3 };

export interface SandboxOptions {
  /** LOCAL_PORT: the API’s port; the other parts use the ports after it (local/ports.ts). */
  readonly port: number;
  /** Where data is kept between runs. */
  readonly folder: string;
  /** Removes the data of earlier runs first. */
  readonly fresh?: boolean;
  /** Uses kubectl’s current context instead of the simulated cluster; Flux and the hubs are then real too. */
  readonly kubeconfig?: boolean;
  /** Prints every log line instead of only warnings and errors. */
  readonly verbose?: boolean;
  readonly print?: (line: string) => void;
}

export interface Sandbox {
  readonly port: number;
  url(part: Part): string;
  readonly issuer: Issuer;
  /** The simulated cluster; undefined with `kubeconfig`. */
  readonly kubernetes: Kubernetes | undefined;
  /** The simulated hubs; undefined with `kubeconfig`. */
  readonly hubs: Hubs | undefined;
  readonly registries: Registries;
  /** Secret Manager and IAM; issues tokens for teams’ service accounts. */
  readonly google: Google;
  readonly dns: Dns;
  /** Resolves with a report when a part ends unexpectedly. */
  readonly died: Promise<string>;
  /** Moves every part’s clock forward, to see in seconds what takes hours. Tokens age too. */
  moveClock(seconds: number): Promise<void>;
  /** Stops every part. Safe to call twice. */
  close(): Promise<void>;
}

/** The sandbox cannot start, for a reason that the user can fix. */
export class CannotStart extends Error {
  override readonly name = 'CannotStart';
}

interface Closeable {
  close(): Promise<void> | void;
}

const checkPorts = async (port: number): Promise<void> => {
  const taken = await takenPorts(port);
  if (taken.length === 0) return;
  const named = taken.map((one) => `${one.port} (${one.part})`).join(', ');
  const [ports, are] = taken.length === 1 ? ['Port', 'is'] : ['Ports', 'are'];
  throw new CannotStart(
    `${ports} ${named} on 127.0.0.1 ${are} in use by another program.\nStop it, or choose other ports: LOCAL_PORT=${port + 1000} npm run local`,
  );
};

const openFolder = (folder: string, fresh: boolean) => {
  try {
    return openData(folder, { fresh });
  } catch (error) {
    if (!(error instanceof FolderInUse)) throw error;
    throw new CannotStart(
      `${error.message}\nStop it, or use another folder: LOCAL_DIR=<folder> npm run local`,
    );
  }
};

/** Waits until the URL answers 200; throws when `died` resolves or after the timeout. */
const untilReady = async (url: string, died: Promise<string>): Promise<void> => {
  let report: string | undefined;
  died.then((text) => {
    report = text;
  });
  const end = Date.now() + startTimeoutMs;
  for (;;) {
    const answered = await fetch(url, { signal: AbortSignal.timeout(2_000) }).then(
      ({ ok }) => ok,
      () => false,
    );
    if (answered) return;
    if (report !== undefined) throw new CannotStart(report);
    if (Date.now() > end)
      throw new CannotStart(`${url} did not answer 200 within ${startTimeoutMs / 1000} seconds.`);
    await sleep(25);
  }
};

const refreshOnce = async (url: string): Promise<void> => {
  const answer = await fetch(url, { method: 'POST', signal: AbortSignal.timeout(startTimeoutMs) });
  if (!answer.ok) throw new CannotStart(`POST ${url} answered ${answer.status}: ${await answer.text()}`);
};

type Report = (what: string, error?: unknown) => void;

/** The controllers of a real cluster, and its kubelet. */
const startControllers = (kubernetes: Kubernetes, registries: Registries, onFailure: Report): Closeable[] => {
  const client = kubernetes.client('sandbox');
  const flux = kubernetes.client('helm-controller', {
    username: 'system:serviceaccount:flux-system:helm-controller',
    groups: ['system:serviceaccounts', 'system:serviceaccounts:flux-system', 'system:authenticated'],
  });
  return [
    startKubelet({ client, pullable: (image) => registries.pullable(image), room, onFailure }),
    startDeployments({ client, onFailure }),
    startHelmController({ client: flux, onFailure }),
  ];
};

/**
 * Starts the whole product on 127.0.0.1: the simulators in this process, the API and the functions in processes of
 * their own with production’s adapters, and the calls of Cloud Scheduler. Resolves when `/readyz` answers 200.
 * Throws CannotStart.
 */
export const startSandbox = async (options: SandboxOptions): Promise<Sandbox> => {
  const { port, print = () => {}, verbose = false, kubeconfig = false } = options;
  await checkPorts(port);
  const data = openFolder(options.folder, options.fresh === true);
  /** Simulators, in start order. */
  const parts: Closeable[] = [];
  const children: Child[] = [];
  const schedules: Closeable[] = [];
  let closing: Promise<void> | undefined;

  const closeAll = async (): Promise<void> => {
    // From here on the end of a part is expected.
    const ending = children.map((child) => child.close());
    await Promise.all([...schedules.map((schedule) => schedule.close()), ...ending]);
    for (const part of parts.toReversed()) await part.close();
    data.close();
  };
  const close = (): Promise<void> => {
    closing ??= closeAll();
    return closing;
  };

  const moveClock = async (seconds: number): Promise<void> => {
    data.keepClock(clockAheadMs() + seconds * 1000);
    moveOwnClock(seconds * 1000);
    await Promise.all(children.map((child) => child.moveClock(seconds * 1000)));
  };

  try {
    // What is stored is from a time that must not be in the future. A real cluster has the real time.
    if (!kubeconfig && data.clockAheadMs > clockAheadMs()) moveOwnClock(data.clockAheadMs - clockAheadMs());
    if (clockAheadMs() > 0) {
      const minutes = Math.round(clockAheadMs() / 60_000);
      print(
        `The clock is ${minutes} minutes ahead, as it was left; \`-- --fresh\` starts with the real time.`,
      );
    }
    const issuer = await startIssuer({
      port: portOf('issuer', port),
      keyFile: data.path('issuer-key.json'),
      audience,
    });
    parts.push(issuer);
    const registries = await startRegistries({ ...registryContent, port: portOf('registries', port) });
    parts.push(registries);
    let kubernetes: Kubernetes | undefined;
    let hubs: Hubs | undefined;
    if (!kubeconfig) {
      const onFailure: Report = (what, error) =>
        print(`cluster  ${what}: ${error instanceof Error ? error.message : String(error)}`);
      const file = data.path('kubernetes.sqlite');
      kubernetes = await startKubernetes({ port: portOf('kubernetes', port), file, log: onFailure });
      parts.push(kubernetes);
      await installPlatform(kubernetes.client('platform'), {
        PROJECT_ID: googleProject,
        ADMISSION_URL: `http://127.0.0.1:${portOf('functions', port)}/admission/${data.admissionSecret}`,
      });
      parts.push(...startControllers(kubernetes, registries, onFailure));
      const client = kubernetes.client('hub');
      hubs = await startHubs({
        port: portOf('hubs', port),
        client,
        file: data.path('hubs.json'),
        conventions: hubConventions,
        moveClock,
        onFailure,
      });
      parts.push(hubs);
    }
    const dns = await startDns({ port: portOf('dns', port) });
    parts.push(dns);
    const google = await startGoogle({
      port: portOf('google', port),
      project: googleProject,
      file: data.path('google.json'),
    });
    parts.push(google);
    const environment = environmentOf({
      port,
      storeFile: data.path('store.sqlite'),
      hubMasterKeys: data.hubMasterKeys,
      admissionSecret: data.admissionSecret,
      issuer: issuer.url,
      kubeconfig,
      given: process.env,
    });
    const start = async (name: 'api' | 'functions', script: string, ready: string): Promise<Child> => {
      // As in the image: error messages contain no more here than there.
      const env = { ...environment, NODE_ENV: 'production', PORT: String(portOf(name, port)) };
      const child = startChild(name, script, env, print, verbose);
      children.push(child);
      await untilReady(`${urlOf(name, port)}${ready}`, child.died);
      return child;
    };
    const functions = await start('functions', 'local/functions.ts', '/');
    // The catalogue is filled before the API accepts requests.
    await refreshOnce(`${urlOf('functions', port)}/refresh`);
    const api = await start('api', 'src/main.ts', '/readyz');
    parts.push(await startPage(port));
    const died = Promise.race([functions.died, api.died]);
    schedules.push(
      startSchedule(`${urlOf('functions', port)}/reconcile`, reconcileEveryMs, print),
      startSchedule(`${urlOf('functions', port)}/cull`, cullEveryMs, print),
      startSchedule(`${urlOf('functions', port)}/refresh`, refreshEveryMs, print),
    );
    return {
      port,
      url: (part) => urlOf(part, port),
      issuer,
      kubernetes,
      hubs,
      registries,
      google,
      dns,
      died,
      moveClock,
      close,
    };
  } catch (error) {
    await close();
    throw error;
  }
};
