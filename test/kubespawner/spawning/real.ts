import assert from 'node:assert/strict';
import { randomBytes } from 'node:crypto';
import { mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { renderChart } from '@knada/simulators/helm-controller/chart.ts';
import { asMap, type JsonMap, parseJson } from '@knada/simulators/kubernetes/json.ts';
import type { KubeObject } from '@knada/simulators/kubernetes/object.ts';
import { freePort } from '@knada/simulators/real/free-port.ts';
import { type ApiServer, startApiServer } from '@knada/simulators/real/kube-apiserver.ts';
import { kwokNode, startKwok } from '@knada/simulators/real/kwok.ts';
import Type, { type Static } from 'typebox';
import { Value } from 'typebox/value';
import { openCluster } from '../../../src/adapters/kubernetes.ts';
import type { NamedTeam } from '../../../src/model/names.ts';
import { profilesFolder } from '../../../src/notebooks/hub-config.ts';
import { profilesConfigMapName } from '../../../src/notebooks/profiles.ts';
import type { Cluster } from '../../../src/ports/cluster.ts';
import { withChartDefaults } from '../../notebooks/platform.ts';
import { users } from '../../support/api-server.ts';
import { enforcePolicies, type Send } from '../../support/cluster-files.ts';
import { setKernelBusy } from '../../support/kernels.ts';
import { asDeployed, sender } from '../../support/rbac.ts';
import { pathOf } from '../../support/world.ts';
import { mountConfigMap } from '../hub.ts';
import { type Pod, type Program, startNode } from './node.ts';
import { podStages } from './pod-stages.ts';
import type { SpawningHub } from './spawning-hub.ts';

const Release = Type.Object({
  metadata: Type.Object({ generation: Type.Number() }),
  spec: Type.Object({ releaseName: Type.String(), values: Type.Record(Type.String(), Type.Unknown()) }),
});
type Release = Static<typeof Release>;
const ConfigMap = Type.Object({
  metadata: Type.Object({ name: Type.String(), resourceVersion: Type.String() }),
  data: Type.Record(Type.String(), Type.String()),
});
const Secret = Type.Object({ data: Type.Record(Type.String(), Type.String()) });
const Rollout = Type.Object({
  status: Type.Optional(Type.Object({ availableReplicas: Type.Optional(Type.Number()) })),
});

const apply = 'application/apply-patch+yaml';
const merge = 'application/merge-patch+json';
const authToken = 'hub.config.ConfigurableHTTPProxy.auth_token';

const pluralOf = (kind: string): string => `${kind.toLowerCase().replace(/y$/, 'ie')}s`;
const objectPath = ({ apiVersion, kind, metadata }: KubeObject): string => {
  const group = apiVersion === 'v1' ? '/api/v1' : `/apis/${apiVersion}`;
  return `${group}/namespaces/${metadata.namespace}/${pluralOf(kind)}/${metadata.name}`;
};

/** Loopback addresses that no other run uses at the moment: every notebook listens on port 8888 of its own. */
const addresses = (function* (): Generator<string, never> {
  const [second, third] = [64 + (process.pid % 128), Math.floor(process.pid / 128) % 256];
  for (let last = 2; ; last = last === 254 ? 2 : last + 1) yield `127.${second}.${third}.${last}`;
})();

export interface ControlPlane {
  readonly server: ApiServer;
  /** Requests of the administrator. */
  readonly send: Send;
  /** The adapter, under exactly deploy/rbac.yaml and deploy/admission-policies.yaml. */
  readonly cluster: Cluster;
  close(): Promise<void>;
}

/** A real control plane with the controllers that make a Deployment’s pods, and kwok. */
export const startControlPlane = async (): Promise<ControlPlane> => {
  const cleanUps: (() => Promise<unknown>)[] = [];
  const close = async (): Promise<void> => {
    for (const cleanUp of cleanUps.toReversed()) await cleanUp();
  };
  try {
    const server = await startApiServer({
      users,
      controllers: ['deployment-controller', 'replicaset-controller'],
    });
    cleanUps.push(() => server.close());
    const send = sender(server);
    await enforcePolicies(send);
    const access = await asDeployed({ after: (cleanUp) => void cleanUps.push(cleanUp) }, server);
    const cluster = openCluster(access);
    cleanUps.push(() => cluster.close());
    const kwok = await startKwok(server, podStages);
    cleanUps.push(() => kwok.close());
    return { server, send, cluster, close };
  } catch (error) {
    await close();
    throw error;
  }
};

/**
 * One team’s hub in this control plane, installed as Flux does once its HelmRelease is there: the real JupyterHub with the
 * real KubeSpawner and proxy, in pods that kwok calls Running and whose containers are processes of this machine. The hub
 * has the account, the token and the mounts of its pod, and each notebook its pod’s environment.
 */
export const startRealSpawningHub = async (
  plane: ControlPlane,
  major: 5 | 6,
  bin: string,
): Promise<SpawningHub> => {
  const folder = mkdtempSync(join(tmpdir(), `spawning-hub-${major}-`));
  const hubLog = join(folder, 'hub.log');
  const held = new Set<string>();
  const ports = { proxy: await freePort(), proxyApi: await freePort(), hub: await freePort() };
  const url = `http://127.0.0.1:${ports.proxy}`;
  const nodes: ReturnType<typeof hostTeam>[] = [];
  return {
    major,
    cluster: plane.cluster,
    send: plane.send,
    urlTemplate: url,
    host: (team) => void nodes.push(hostTeam(team, { ...plane, bin, folder, hubLog, held, ports })),
    hold: (user) => {
      held.add(user);
      return () => void held.delete(user);
    },
    setBusy: (user, busy, token) =>
      setKernelBusy(`${url}/user/${encodeURIComponent(user).replace('%40', '@')}`, token, busy),
    log: () => readFileSync(hubLog, 'utf8'),
    failures: () => nodes.flatMap((node) => node.failures()),
    async close() {
      for (const node of nodes) await node.close();
      rmSync(folder, { recursive: true, force: true, maxRetries: 5 });
    },
  };
};

interface Host extends Pick<ControlPlane, 'server' | 'send'> {
  /** Of the Python with JupyterHub. */
  readonly bin: string;
  readonly folder: string;
  readonly hubLog: string;
  readonly held: ReadonlySet<string>;
  readonly ports: { readonly proxy: number; readonly proxyApi: number; readonly hub: number };
}

/** Helm for the team’s release, and a node for its pods. */
const hostTeam = (team: NamedTeam, { server, send, bin, folder, hubLog, held, ports }: Host) => {
  const { namespace } = team.names;
  const url = `http://127.0.0.1:${ports.proxy}`;
  const hubUrl = `http://127.0.0.1:${ports.hub}`;
  const proxyApiUrl = `http://127.0.0.1:${ports.proxyApi}`;
  const mounts = join(folder, 'mounts');
  let release: Release | undefined;
  let installed = 0;
  let mounted = '';
  const proxyToken = randomBytes(32).toString('hex');

  const mountSecret = async (name: string, where: string): Promise<void> => {
    const { code, body } = await send('GET', pathOf(namespace, 'Secret', name));
    assert.equal(code, 200, JSON.stringify(body));
    const target = join(mounts, 'usr/local/etc/jupyterhub', where);
    mkdirSync(target, { recursive: true });
    for (const [key, text] of Object.entries(Value.Parse(Secret, body).data)) {
      writeFileSync(join(target, key), Buffer.from(text, 'base64'), { mode: 0o600 });
    }
  };
  /** As the kubelet does: at once here, since the product changes the hub’s pod to hasten it. */
  const mountProfiles = async (): Promise<void> => {
    const { code, body } = await send('GET', pathOf(namespace, 'ConfigMap', profilesConfigMapName));
    if (code !== 200) return;
    const { metadata, data } = Value.Parse(ConfigMap, body);
    if (metadata.resourceVersion === mounted) return;
    const target = join(mounts, profilesFolder);
    mkdirSync(target, { recursive: true });
    mountConfigMap(target, { apiVersion: 'v1', kind: 'ConfigMap', metadata, data });
    mounted = metadata.resourceVersion;
  };

  const isAvailable = async (deployment: string): Promise<boolean> => {
    const { body } = await send('GET', `/apis/apps/v1/namespaces/${namespace}/deployments/${deployment}`);
    return Value.Check(Rollout, body) && body.status?.availableReplicas === 1;
  };
  /** Helm’s installation, which waits until hub and proxy are there, and what Flux says of it. */
  const install = async (): Promise<void> => {
    const { code, body } = await send('GET', pathOf(namespace, 'HelmRelease', 'jupyterhub'));
    if (code !== 200) return;
    const wanted = Value.Parse(Release, body);
    const { generation } = wanted.metadata;
    if (release?.metadata.generation !== generation) {
      const objects = renderChart({
        name: wanted.spec.releaseName,
        namespace,
        chartVersion: '4.4.0',
        values: plain(wanted.spec.values),
        kept: { [authToken]: Buffer.from(proxyToken).toString('base64') },
        proxyToken,
      });
      for (const object of objects) {
        const made = await send('PATCH', `${objectPath(object)}?fieldManager=helm&force=true`, object, apply);
        assert.ok(made.code === 200 || made.code === 201, JSON.stringify(made.body));
      }
      release = wanted;
    }
    if (installed === generation || !(await isAvailable('hub')) || !(await isAvailable('proxy'))) return;
    const condition = {
      type: 'Ready',
      status: 'True',
      reason: 'InstallSucceeded',
      message: `Helm install succeeded for release ${namespace}/${wanted.spec.releaseName}.v1 with chart jupyterhub@4.4.0`,
      observedGeneration: generation,
      lastTransitionTime: new Date().toISOString(),
    };
    const status = { observedGeneration: generation, conditions: [condition] };
    await send('PATCH', `${pathOf(namespace, 'HelmRelease', 'jupyterhub')}/status`, { status }, merge);
    installed = generation;
  };

  const base = { PATH: `${bin}:${process.env.PATH ?? ''}`, HOME: folder, LANG: 'C.UTF-8' };
  const hubProgram = async (): Promise<Program> => {
    assert.ok(release !== undefined);
    const { releaseName, values } = release.spec;
    await mountSecret('hub', 'secret');
    await mountSecret('notebook-hub', 'existing-secret');
    const token = await server.tokenFor(`system:serviceaccount:${namespace}:hub`);
    const kubeconfig = join(folder, 'kubeconfig');
    const config = {
      apiVersion: 'v1',
      kind: 'Config',
      'current-context': 'hub',
      contexts: [{ name: 'hub', context: { cluster: 'hub', user: 'hub' } }],
      clusters: [{ name: 'hub', cluster: { server: server.url, 'certificate-authority': server.caFile } }],
      users: [{ name: 'hub', user: { token } }],
    };
    writeFileSync(kubeconfig, JSON.stringify(config), { mode: 0o600 });
    const settings = join(folder, 'settings.json');
    writeFileSync(
      settings,
      JSON.stringify({
        ...{ folder, mounts, namespace, release: releaseName, url, hubUrl, proxyApiUrl },
        values: withChartDefaults(values),
      }),
    );
    return {
      command: join(bin, 'jupyterhub'),
      args: ['--config', fileURLToPath(new URL('jupyterhub_config.py', import.meta.url)), '--upgrade-db'],
      env: {
        ...base,
        KUBECONFIG: kubeconfig,
        KNADA_TEST_HUB: settings,
        KNADA_PROFILES_FOLDER: join(mounts, profilesFolder),
        OAUTH_CLIENT_SECRET: 'of-the-test',
        PYTHONDONTWRITEBYTECODE: '1',
      },
      folder,
      logFile: hubLog,
      ip: '127.0.0.1',
      answers: () => isOk(`${hubUrl}/hub/health`),
    };
  };
  const proxyProgram = (): Program => ({
    command: process.execPath,
    args: [
      fileURLToPath(import.meta.resolve('configurable-http-proxy/bin/configurable-http-proxy')),
      ...['--ip', '127.0.0.1', '--port', String(ports.proxy)],
      ...['--api-ip', '127.0.0.1', '--api-port', String(ports.proxyApi)],
      ...['--default-target', hubUrl, '--error-target', `${hubUrl}/hub/error`],
    ],
    env: { ...base, CONFIGPROXY_AUTH_TOKEN: proxyToken },
    folder,
    logFile: join(folder, 'proxy.log'),
    ip: '127.0.0.1',
    answers: () => isOk(`${proxyApiUrl}/api/routes`, { authorization: `token ${proxyToken}` }),
  });
  /** What the image would run: the pod’s own command, in the pod’s own environment. */
  const notebookProgram = ({ metadata, spec }: Pod): Program => {
    const [{ args = [], env = [] } = {}] = spec.containers;
    const [command, ...rest] = args;
    assert.equal(command, 'jupyterhub-singleuser');
    const ip = addresses.next().value;
    const home = join(folder, 'homes', metadata.name);
    mkdirSync(home, { recursive: true });
    const own = Object.fromEntries(env.map(({ name, value = '' }) => [name, value]));
    return {
      command: join(bin, command),
      // Images run as jovyan; this process may be root’s.
      args: [...rest, ...(process.getuid?.() === 0 ? ['--allow-root'] : [])],
      env: {
        ...base,
        HOME: home,
        ...own,
        // All addresses of a pod are its own, but those of this machine are not.
        JUPYTERHUB_SERVICE_URL: (own.JUPYTERHUB_SERVICE_URL ?? '').replace('0.0.0.0', ip),
      },
      folder: home,
      logFile: join(folder, 'notebooks.log'),
      ip,
    };
  };
  const componentOf = ({ metadata }: Pod): string => metadata.labels?.component ?? '';
  const userOf = ({ metadata }: Pod): string => metadata.annotations?.['hub.jupyter.org/username'] ?? '';
  return startNode(
    { send, namespace, node: kwokNode },
    {
      isHeld: (pod) => componentOf(pod) === 'singleuser-server' && held.has(userOf(pod)),
      sync: async () => {
        await mountProfiles();
        await install();
      },
      programOf: async (pod) => {
        if (componentOf(pod) === 'hub') return hubProgram();
        return componentOf(pod) === 'proxy' ? proxyProgram() : notebookProgram(pod);
      },
    },
  );
};

const plain = (value: unknown): JsonMap => asMap(parseJson(JSON.stringify(value)));

const isOk = async (url: string, headers: Readonly<Record<string, string>> = {}): Promise<boolean> => {
  try {
    return (await fetch(url, { headers })).ok;
  } catch {
    return false;
  }
};

/** The folder of a Python’s programs. */
export const binOf = (python: string): string => dirname(python);
