import type { ChildProcess } from 'node:child_process';
import { spawn } from 'node:child_process';
import { generateKeyPairSync, randomBytes } from 'node:crypto';
import {
  closeSync,
  existsSync,
  globSync,
  mkdtempSync,
  openSync,
  readdirSync,
  readFileSync,
  rmSync,
  writeFileSync,
} from 'node:fs';
import type { AddressInfo } from 'node:net';
import { createServer } from 'node:net';
import { homedir, tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import type { RequestInit, Response } from 'undici';
import { Agent, fetch, Headers } from 'undici';
import { parseAllDocuments } from 'yaml';
import { isAbsent, tookPart } from './real-parts.ts';

/**
 * A real Kubernetes API server with its own etcd, on the loopback, with nothing in it. Of the controllers those run
 * that collect garbage, empty namespaces, give them a default service account and protect volume claims.
 */
export interface ApiServer {
  /** https://127.0.0.1:<port> */
  readonly url: string;
  /** Its certificate authority: PEM, and the same in a file. */
  readonly ca: string;
  readonly caFile: string;
  readonly adminToken: string;
  /** Custom resources that have their publishers' definition, by plural; others have a definition that accepts anything. */
  readonly customResources: readonly string[];
  /** A token for a service account (`system:serviceaccount:<namespace>:<name>`, created when absent) or one of the named users. */
  tokenFor(user: string): Promise<string>;
  /** A request as the administrator, unless the init says otherwise. */
  fetch(path: string, init?: RequestInit): Promise<Response>;
  close(): Promise<void>;
}

export interface ApiServerOptions {
  /** Users with a token of their own; they may do nothing until a role binding allows it. */
  readonly users?: readonly string[];
  /** A folder of CustomResourceDefinitions in YAML, as their publishers release them. */
  readonly definitions?: URL;
  /** Controllers that run besides those above, such as `deployment-controller`. */
  readonly controllers?: readonly string[];
}

const START_MS = 60_000;
const POLL_MS = 50;

/** Kinds that are served even without a definition: any spec, any status. */
const STAND_INS = [
  { group: 'helm.toolkit.fluxcd.io', version: 'v2', plural: 'helmreleases', kind: 'HelmRelease' },
  { group: 'source.toolkit.fluxcd.io', version: 'v1', plural: 'helmrepositories', kind: 'HelmRepository' },
];

const BINARIES = ['etcd', 'kube-apiserver', 'kube-controller-manager'];

let shared: Promise<ApiServer> | undefined;
let users = 0;

/** Why the server cannot be started here, for `skip`; false when it can. In CI that is an error. */
export async function absent(): Promise<string | false> {
  return findAssets() === undefined
    ? isAbsent('kube-apiserver', 'not built; KUBEBUILDER_ASSETS=$(.ci/kube-assets) builds it once')
    : false;
}

/**
 * Starts the server. Later calls in the same process share it, with the options of the first one, and the last one to
 * close it ends it. The binaries are looked for in KUBEBUILDER_ASSETS, then in the user’s cache folder.
 */
export async function startApiServer(options: ApiServerOptions = {}): Promise<ApiServer> {
  const assets = findAssets();
  if (assets === undefined) throw new Error('kube-apiserver is not built');
  users += 1;
  shared ??= launch(assets, options);
  const server = await shared;
  let closed = false;
  return {
    ...server,
    close: async () => {
      if (closed) return;
      closed = true;
      users -= 1;
      if (users > 0) return;
      shared = undefined;
      await server.close();
    },
  };
}

async function launch(assets: string, options: ApiServerOptions): Promise<ApiServer> {
  const folder = mkdtempSync(join(tmpdir(), 'kube-apiserver-'));
  const children: ChildProcess[] = [];
  const killAll = (): void => {
    for (const child of children) child.kill('SIGKILL');
  };
  process.once('exit', killAll);
  const close = async (): Promise<void> => {
    process.off('exit', killAll);
    await Promise.all(children.map(ended));
    rmSync(folder, { recursive: true, force: true, maxRetries: 5 });
  };
  try {
    return await boot(assets, folder, children, close, options);
  } catch (error) {
    const logs = readdirSync(folder)
      .filter((name) => name.endsWith('.log'))
      .map((name) => `${name}: ${readFileSync(join(folder, name), 'utf8').slice(-1500)}`);
    await close();
    throw new Error(`kube-apiserver did not start\n${logs.join('\n')}`, { cause: error });
  }
}

function findAssets(): string | undefined {
  const cache = process.env.XDG_CACHE_HOME ?? join(homedir(), '.cache');
  const cached = globSync('*/kubernetes-*', { cwd: cache })
    .toSorted()
    .toReversed()
    .map((name) => join(cache, name));
  return [process.env.KUBEBUILDER_ASSETS, ...cached].find(
    (folder) => folder !== undefined && BINARIES.every((name) => existsSync(join(folder, name))),
  );
}

async function boot(
  assets: string,
  folder: string,
  children: ChildProcess[],
  close: () => Promise<void>,
  { users: named = [], definitions, controllers = [] }: ApiServerOptions,
): Promise<ApiServer> {
  const start = (name: string, args: readonly string[]): void => {
    const log = openSync(join(folder, `${name}.log`), 'w');
    children.push(spawn(join(assets, name), args, { stdio: ['ignore', log, log] }));
    closeSync(log);
  };
  const [etcdPort, peerPort, port] = await freePorts();
  const etcd = `http://127.0.0.1:${etcdPort}`;
  const peer = `http://127.0.0.1:${peerPort}`;
  start('etcd', [
    `--data-dir=${join(folder, 'etcd')}`,
    `--listen-client-urls=${etcd}`,
    `--advertise-client-urls=${etcd}`,
    `--listen-peer-urls=${peer}`,
    `--initial-advertise-peer-urls=${peer}`,
    `--initial-cluster=default=${peer}`,
    '--unsafe-no-fsync',
  ]);

  const token = `admin-${randomBytes(16).toString('hex')}`;
  const userTokens = new Map<string, string>(
    named.map((user) => [user, `user-${randomBytes(16).toString('hex')}`]),
  );
  const tokens = [
    `${token},admin,admin,system:masters`,
    ...[...userTokens].map(([user, secret]) => `${secret},${user},${user}`),
  ];
  const tokenFile = join(folder, 'tokens.csv');
  writeFileSync(tokenFile, `${tokens.join('\n')}\n`, { mode: 0o600 });
  const keyFile = join(folder, 'service-account.key');
  const { privateKey } = generateKeyPairSync('rsa', { modulusLength: 2048 });
  writeFileSync(keyFile, privateKey.export({ type: 'pkcs1', format: 'pem' }), { mode: 0o600 });
  start('kube-apiserver', [
    `--etcd-servers=${etcd}`,
    '--bind-address=127.0.0.1',
    `--secure-port=${port}`,
    `--cert-dir=${join(folder, 'certs')}`,
    `--service-account-key-file=${keyFile}`,
    `--service-account-signing-key-file=${keyFile}`,
    '--service-account-issuer=https://kubernetes.default.svc',
    `--token-auth-file=${tokenFile}`,
    '--authorization-mode=RBAC',
    '--anonymous-auth=false',
    '--service-cluster-ip-range=10.96.0.0/16',
  ]);

  const url = `https://127.0.0.1:${port}`;
  const caFile = join(folder, 'certs', 'apiserver.crt');
  await until('the certificate is written', () => Promise.resolve(existsSync(caFile)));
  const ca = readFileSync(caFile, 'utf8');
  const agent = new Agent({ connect: { ca } });
  const request = (path: string, init: RequestInit = {}): Promise<Response> =>
    fetch(`${url}${path}`, {
      ...init,
      dispatcher: agent,
      headers: { authorization: `Bearer ${token}`, ...Object.fromEntries(new Headers(init.headers)) },
    });
  await until('/readyz answers ok', async () => (await request('/readyz')).ok);
  const version = (await (await request('/version')).json()) as { gitVersion: string };
  tookPart('kube-apiserver', version.gitVersion);

  start('kube-controller-manager', [
    ...controllerFlags(folder, url, caFile, token),
    `--controllers=${[...CONTROLLERS, ...controllers].join(',')}`,
  ]);
  const customResources = await installCustomResources(request, definitions);
  await until(
    'the default service account is there',
    async () => (await request('/api/v1/namespaces/default/serviceaccounts/default')).ok,
  );

  const tokenFor = async (user: string): Promise<string> => {
    const known = userTokens.get(user);
    if (known !== undefined) return known;
    const [, , namespace = '', name = ''] = user.split(':');
    if (!user.startsWith('system:serviceaccount:') || name === '') throw new Error(`${user} has no token`);
    const accounts = `/api/v1/namespaces/${namespace}/serviceaccounts`;
    const json = { 'content-type': 'application/json' };
    await request('/api/v1/namespaces', {
      method: 'POST',
      headers: json,
      body: JSON.stringify({ metadata: { name: namespace } }),
    });
    await request(accounts, { method: 'POST', headers: json, body: JSON.stringify({ metadata: { name } }) });
    const issued = await request(`${accounts}/${name}/token`, {
      method: 'POST',
      headers: json,
      body: JSON.stringify({ apiVersion: 'authentication.k8s.io/v1', kind: 'TokenRequest', spec: {} }),
    });
    if (!issued.ok) throw new Error(`no token for ${user}: ${await issued.text()}`);
    const body = (await issued.json()) as { status: { token: string } };
    return body.status.token;
  };

  return {
    url,
    caFile,
    ca,
    adminToken: token,
    customResources,
    tokenFor,
    fetch: request,
    close: async () => {
      await agent.destroy();
      await close();
    },
  };
}

const CONTROLLERS = [
  'garbage-collector-controller',
  'namespace-controller',
  'serviceaccount-controller',
  'root-ca-certificate-publisher-controller',
  'persistentvolumeclaim-protection-controller',
];

function controllerFlags(folder: string, url: string, caFile: string, token: string): string[] {
  const kubeconfig = join(folder, 'kubeconfig.json');
  const config = {
    apiVersion: 'v1',
    kind: 'Config',
    'current-context': 'it',
    contexts: [{ name: 'it', context: { cluster: 'it', user: 'admin' } }],
    clusters: [{ name: 'it', cluster: { server: url, 'certificate-authority': caFile } }],
    users: [{ name: 'admin', user: { token } }],
  };
  writeFileSync(kubeconfig, JSON.stringify(config), { mode: 0o600 });
  return [
    `--kubeconfig=${kubeconfig}`,
    `--root-ca-file=${caFile}`,
    // Each with its own identity, as in a real cluster, so an admission policy that blocks one is detected.
    '--use-service-account-credentials=true',
    '--leader-elect=false',
    '--secure-port=0',
  ];
}

/** Installs the definitions and waits until each kind can be listed and watched. */
async function installCustomResources(
  request: ApiServer['fetch'],
  folder: URL | undefined,
): Promise<string[]> {
  const files =
    folder !== undefined && existsSync(folder)
      ? readdirSync(folder).filter((name) => name.endsWith('.yaml'))
      : [];
  const fromFiles = files.flatMap((name) =>
    parseAllDocuments(readFileSync(new URL(name, folder), 'utf8')).map((document): unknown =>
      document.toJSON(),
    ),
  );
  const paths: string[] = [];
  const install = async (definition: unknown): Promise<string> => {
    const created = await request('/apis/apiextensions.k8s.io/v1/customresourcedefinitions', {
      method: 'POST',
      headers: { 'content-type': 'application/json' },
      body: JSON.stringify(definition),
    });
    if (!created.ok) throw new Error(`a custom resource was refused: ${await created.text()}`);
    const { spec } = (await created.json()) as {
      spec: { group: string; names: { plural: string }; versions: { name: string }[] };
    };
    paths.push(...spec.versions.map((version) => `/apis/${spec.group}/${version.name}/${spec.names.plural}`));
    return spec.names.plural;
  };
  const plurals: string[] = [];
  for (const definition of fromFiles) plurals.push(await install(definition));
  for (const kind of STAND_INS) if (!plurals.includes(kind.plural)) await install(standIn(kind));
  await until('all custom resources can be watched', async () => {
    for (const path of paths) {
      // A watch is refused with 429 while the kind's storage is being set up.
      const watched = await request(`${path}?watch=true&resourceVersion=0&timeoutSeconds=0`, {
        signal: AbortSignal.timeout(2000),
      });
      await watched.body?.cancel();
      if (!watched.ok) return false;
    }
    return true;
  });
  return plurals;
}

function standIn(kind: (typeof STAND_INS)[number]): unknown {
  const open = { type: 'object', 'x-kubernetes-preserve-unknown-fields': true };
  return {
    apiVersion: 'apiextensions.k8s.io/v1',
    kind: 'CustomResourceDefinition',
    metadata: { name: `${kind.plural}.${kind.group}` },
    spec: {
      group: kind.group,
      scope: 'Namespaced',
      names: { plural: kind.plural, singular: kind.kind.toLowerCase(), kind: kind.kind },
      versions: [
        {
          name: kind.version,
          served: true,
          storage: true,
          subresources: { status: {} },
          additionalPrinterColumns: [
            { name: 'Ready', type: 'string', jsonPath: '.status.conditions[?(@.type=="Ready")].status' },
            { name: 'Status', type: 'string', jsonPath: '.status.conditions[?(@.type=="Ready")].message' },
          ],
          schema: { openAPIV3Schema: { type: 'object', properties: { spec: open, status: open } } },
        },
      ],
    },
  };
}

async function freePorts(): Promise<[number, number, number]> {
  const servers = [createServer(), createServer(), createServer()];
  const ports: number[] = [];
  for (const server of servers) {
    await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
    ports.push((server.address() as AddressInfo).port);
  }
  await Promise.all(servers.map((server) => new Promise<void>((resolve) => server.close(() => resolve()))));
  const [first = 0, second = 0, third = 0] = ports;
  return [first, second, third];
}

async function until(what: string, holds: () => Promise<boolean>): Promise<void> {
  const deadline = Date.now() + START_MS;
  let last: unknown;
  while (Date.now() < deadline) {
    const held = await holds().catch((error: unknown) => {
      last = error;
      return false;
    });
    if (held) return;
    await delay(POLL_MS);
  }
  throw new Error(`waited ${START_MS} ms until ${what}`, { cause: last });
}

async function ended(child: ChildProcess): Promise<void> {
  if (child.exitCode !== null || child.signalCode !== null) return;
  const exited = new Promise<void>((resolve) => child.once('exit', () => resolve()));
  child.kill('SIGKILL');
  await exited;
}
