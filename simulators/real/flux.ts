import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { closeSync, globSync, mkdtempSync, openSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { basename, join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { pathToFileURL } from 'node:url';
import { brokenAnnotation } from '../annotations.ts';
import { fluxAssets } from './flux-assets.ts';
import { freePort } from './free-port.ts';
import type { ApiServer, ApiServerOptions } from './kube-apiserver.ts';
import { kwokNode, nodeReady, type Stage, stageOf } from './kwok.ts';
import { isAbsent, type RealPart, tookPart } from './real-parts.ts';

/** Flux’s source-controller and helm-controller, and kwok, which has pods report that they run. */
export interface Flux {
  /** The program `helm` and the environment in which it is the administrator of this cluster. */
  readonly helm: { readonly program: string; readonly env: Readonly<Record<string, string>> };
  /** The last lines that each program has written. */
  logs(): Readonly<Record<string, string>>;
  close(): Promise<void>;
}

const programs = ['helm', 'helm-controller', 'kwok', 'source-controller'];
const startMs = 120_000;
const pollMs = 100;
const logTail = 4_000;

/** An image that is never pulled: its pod stays Pending. */
export const missingImage = 'registry.invalid/hub:missing';

/** Why Flux cannot be started here, for `skip`; false when it can. In CI that is an error. */
export const absent = (): string | false => {
  if (fluxAssets(...programs) !== undefined) return false;
  const parts: readonly RealPart[] = ['helm-controller', 'source-controller', 'kwok'];
  const [why = ''] = parts.map((part) =>
    isAbsent(part, 'not built; FLUX_ASSETS=$(.ci/flux-assets) builds it once'),
  );
  return why;
};

const assets = (): string => {
  const folder = fluxAssets(...programs);
  if (folder === undefined) throw new Error('Flux is not built.');
  return folder;
};

/** What the API server needs for Flux: its kinds, and the controllers that make a Deployment’s pods. */
export const forFlux = (): Required<Pick<ApiServerOptions, 'definitions' | 'controllers'>> => ({
  definitions: pathToFileURL(`${assets()}/`),
  controllers: ['deployment-controller', 'replicaset-controller'],
});

/** The versions are in the folder’s name: flux-<helm-controller>-<source-controller>-kwok-<kwok>-helm-<helm>. */
const versions = (folder: string): readonly (readonly [RealPart, string])[] => {
  const [, controller = '?', source = '?', kwok = '?'] =
    /^flux-([^-]+)-([^-]+)-kwok-([^-]+)-helm-/.exec(basename(folder)) ?? [];
  return [
    ['helm-controller', controller],
    ['source-controller', source],
    ['kwok', kwok],
  ];
};

/** Kwok’s configuration: pods are ready at once, except broken ones and those whose image is missing. */
const stages: readonly Stage[] = [
  nodeReady,
  stageOf(
    'pod-ready',
    'Pod',
    [
      { key: '.metadata.deletionTimestamp', operator: 'DoesNotExist' },
      { key: '.status.podIP', operator: 'DoesNotExist' },
      { key: `.metadata.annotations["${brokenAnnotation}"]`, operator: 'DoesNotExist' },
      { key: '.spec.containers.[].image', operator: 'NotIn', values: [missingImage] },
    ],
    {
      statusTemplate: `
{{ $now := Now }}
conditions:
{{ range (list "Initialized" "Ready" "ContainersReady") }}
- { type: {{ . }}, status: "True", lastTransitionTime: {{ $now | Quote }} }
{{ end }}
containerStatuses:
{{ range .spec.containers }}
- name: {{ .name | Quote }}
  image: {{ .image | Quote }}
  ready: true
  restartCount: 0
  state: { running: { startedAt: {{ $now | Quote }} } }
{{ end }}
hostIP: {{ NodeIPWith .spec.nodeName | Quote }}
podIP: {{ PodIPWith .spec.nodeName false ( or .metadata.uid "" ) ( or .metadata.name "" ) ( or .metadata.namespace "" ) | Quote }}
phase: Running
startTime: {{ $now | Quote }}
`,
    },
  ),
  stageOf('pod-gone', 'Pod', [{ key: '.metadata.deletionTimestamp', operator: 'Exists' }], {
    finalizers: { empty: true },
    delete: true,
  }),
];

/** Starts the three on this cluster: the two controllers as Flux installs them, with their own service accounts. */
export const startFlux = async (server: ApiServer): Promise<Flux> => {
  const programsIn = assets();
  const folder = mkdtempSync(join(tmpdir(), 'flux-'));
  const children: ChildProcess[] = [];
  const killAll = (): void => {
    for (const child of children) child.kill('SIGKILL');
  };
  process.once('exit', killAll);

  const logs = (): Readonly<Record<string, string>> =>
    Object.fromEntries(
      globSync('*.log', { cwd: folder }).map((name) => [
        name,
        readFileSync(join(folder, name), 'utf8').slice(-logTail),
      ]),
    );
  const close = async (): Promise<void> => {
    process.off('exit', killAll);
    await Promise.all(
      children.map(async (child) => {
        if (child.exitCode !== null || child.signalCode !== null) return;
        const ended = once(child, 'exit');
        child.kill('SIGKILL');
        await ended;
      }),
    );
    rmSync(folder, { recursive: true, force: true, maxRetries: 5 });
  };
  const start = (name: string, args: readonly string[], env: Readonly<Record<string, string>> = {}): void => {
    const log = openSync(join(folder, `${name}.log`), 'w');
    const stdio: ['ignore', number, number] = ['ignore', log, log];
    children.push(spawn(join(programsIn, name), args, { stdio, env: { ...process.env, ...env } }));
    closeSync(log);
  };
  const kubeconfig = (name: string, token: string): string => {
    const file = join(folder, `${name}.kubeconfig`);
    const config = {
      apiVersion: 'v1',
      kind: 'Config',
      'current-context': 'it',
      contexts: [{ name: 'it', context: { cluster: 'it', user: 'it' } }],
      clusters: [{ name: 'it', cluster: { server: server.url, 'certificate-authority': server.caFile } }],
      users: [{ name: 'it', user: { token } }],
    };
    writeFileSync(file, JSON.stringify(config), { mode: 0o600 });
    return file;
  };

  try {
    const admin = kubeconfig('admin', server.adminToken);
    const accounts = await Promise.all(
      ['source-controller', 'helm-controller'].map(async (name) => ({
        name,
        file: kubeconfig(name, await server.tokenFor(`system:serviceaccount:flux-system:${name}`)),
      })),
    );
    await create(server, '/apis/rbac.authorization.k8s.io/v1/clusterrolebindings', {
      apiVersion: 'rbac.authorization.k8s.io/v1',
      kind: 'ClusterRoleBinding',
      metadata: { name: 'cluster-reconciler' },
      roleRef: { apiGroup: 'rbac.authorization.k8s.io', kind: 'ClusterRole', name: 'cluster-admin' },
      subjects: accounts.map(({ name }) => ({ kind: 'ServiceAccount', name, namespace: 'flux-system' })),
    });
    await create(server, '/api/v1/nodes', { apiVersion: 'v1', kind: 'Node', metadata: { name: kwokNode } });

    const config = join(folder, 'kwok.yaml');
    writeFileSync(config, stages.map((one) => JSON.stringify(one)).join('\n---\n'));
    start('kwok', [`--kubeconfig=${admin}`, `--config=${config}`, '--manage-all-nodes']);

    const artifacts = `127.0.0.1:${await freePort()}`;
    const own: Readonly<Record<string, readonly string[]>> = {
      'source-controller': [
        `--storage-path=${mkdtempSync(join(folder, 'artifacts-'))}`,
        `--storage-addr=${artifacts}`,
        `--storage-adv-addr=${artifacts}`,
      ],
      'helm-controller': [],
    };
    const health: string[] = [];
    for (const { name, file } of accounts) {
      const address = `127.0.0.1:${await freePort()}`;
      health.push(address);
      const common = [
        '--metrics-addr=0',
        `--health-addr=${address}`,
        '--concurrent=8',
        '--log-encoding=console',
      ];
      start(name, [...common, ...(own[name] ?? [])], { KUBECONFIG: file, RUNTIME_NAMESPACE: 'flux-system' });
    }
    const isNodeReady = async (): Promise<boolean> =>
      (await (await server.fetch(`/api/v1/nodes/${kwokNode}`)).text()).includes('"phase":"Running"');
    const isHealthy = async (address: string): Promise<boolean> =>
      (await fetch(`http://${address}/readyz`)).ok;
    await until(async () => {
      const ended = children.find(({ exitCode }) => exitCode !== null);
      if (ended !== undefined) throw new Error(`${ended.spawnfile} has ended with ${ended.exitCode}`);
      const ready = await Promise.all(
        [isNodeReady(), ...health.map(isHealthy)].map((one) => one.catch(() => false)),
      );
      return ready.every((one) => one);
    });
    for (const [part, version] of versions(programsIn)) tookPart(part, version);
    return { helm: { program: join(programsIn, 'helm'), env: { KUBECONFIG: admin } }, logs, close };
  } catch (error) {
    const said = Object.entries(logs()).map(([name, text]) => `${name}: ${text}`);
    await close();
    throw new Error(`Flux did not start\n${said.join('\n')}`, { cause: error });
  }
};

const create = async (server: ApiServer, path: string, object: object): Promise<void> => {
  const created = await server.fetch(path, {
    method: 'POST',
    headers: { 'content-type': 'application/json' },
    body: JSON.stringify(object),
  });
  if (!created.ok) throw new Error(await created.text());
};

const until = async (holds: () => Promise<boolean>): Promise<void> => {
  const deadline = AbortSignal.timeout(startMs);
  while (!(await holds())) await delay(pollMs, undefined, { signal: deadline });
};
