import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { closeSync, existsSync, mkdtempSync, openSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { fluxAssets } from './flux-assets.ts';
import type { ApiServer } from './kube-apiserver.ts';
import { tookPart } from './real-parts.ts';

/** A Stage of kwok: what becomes of the nodes or pods that it selects. */
export type Stage = Readonly<Record<string, unknown>>;

export interface Kwok {
  /** The last lines that it has written. */
  log(): string;
  close(): Promise<void>;
}

/** The one node. There is no scheduler: pods name it themselves, or something binds them to it. */
export const kwokNode = 'kwok';

const startMs = 120_000;
const pollMs = 50;

const programOf = (): string | undefined => {
  const folder = fluxAssets('kwok');
  return folder && join(folder, 'kwok');
};

/** Why kwok cannot be started here; undefined when it can. */
export const whyNoKwok = (): string | undefined =>
  programOf() === undefined ? 'kwok is not built; FLUX_ASSETS=$(.ci/flux-assets) builds it once' : undefined;

/** A Stage for the core kinds, with kwok’s selector and its templates of a status. */
export const stageOf = (
  name: string,
  kind: 'Node' | 'Pod',
  selector: readonly object[],
  next: object,
): Stage => ({
  apiVersion: 'kwok.x-k8s.io/v1alpha1',
  kind: 'Stage',
  metadata: { name },
  spec: { resourceRef: { apiGroup: 'v1', kind }, selector: { matchExpressions: selector }, next },
});

/** The node says that it is ready, and has room. */
export const nodeReady = stageOf(
  'node-ready',
  'Node',
  [{ key: '.status.phase', operator: 'NotIn', values: ['Running'] }],
  {
    statusTemplate: `
conditions:
{{ range NodeConditions }}
- lastHeartbeatTime: {{ Now | Quote }}
  lastTransitionTime: {{ Now | Quote }}
  message: {{ .message | Quote }}
  reason: {{ .reason | Quote }}
  status: {{ .status | Quote }}
  type: {{ .type | Quote }}
{{ end }}
allocatable: {cpu: 1k, memory: 1Ti, pods: 1M}
capacity: {cpu: 1k, memory: 1Ti, pods: 1M}
phase: Running
`,
  },
);

/** Starts kwok on this cluster with one node, whose pods go through these stages. */
export const startKwok = async (
  server: Pick<ApiServer, 'url' | 'caFile' | 'adminToken' | 'fetch'>,
  stages: readonly Stage[],
): Promise<Kwok> => {
  const program = programOf();
  if (program === undefined) throw new Error('kwok is not built.');
  const folder = mkdtempSync(join(tmpdir(), 'kwok-'));
  const logFile = join(folder, 'log');
  const kubeconfig = join(folder, 'kubeconfig');
  writeFileSync(
    kubeconfig,
    JSON.stringify({
      apiVersion: 'v1',
      kind: 'Config',
      'current-context': 'it',
      contexts: [{ name: 'it', context: { cluster: 'it', user: 'it' } }],
      clusters: [{ name: 'it', cluster: { server: server.url, 'certificate-authority': server.caFile } }],
      users: [{ name: 'it', user: { token: server.adminToken } }],
    }),
    { mode: 0o600 },
  );
  const config = join(folder, 'kwok.yaml');
  writeFileSync(config, [nodeReady, ...stages].map((one) => JSON.stringify(one)).join('\n---\n'));
  const log = () => (existsSync(logFile) ? readFileSync(logFile, 'utf8').slice(-4_000) : '');

  const output = openSync(logFile, 'w');
  const child: ChildProcess = spawn(
    program,
    [`--kubeconfig=${kubeconfig}`, `--config=${config}`, '--manage-all-nodes'],
    { stdio: ['ignore', output, output] },
  );
  closeSync(output);
  const kill = () => void child.kill('SIGKILL');
  process.once('exit', kill);
  const close = async (): Promise<void> => {
    process.off('exit', kill);
    if (child.exitCode === null && child.signalCode === null) {
      const ended = once(child, 'exit');
      child.kill('SIGKILL');
      await ended;
    }
    rmSync(folder, { recursive: true, force: true });
  };
  try {
    const made = await server.fetch('/api/v1/nodes', {
      method: 'POST',
      headers: { 'content-type': 'application/json' },
      body: JSON.stringify({ apiVersion: 'v1', kind: 'Node', metadata: { name: kwokNode } }),
    });
    if (!made.ok) throw new Error(await made.text());
    const deadline = AbortSignal.timeout(startMs);
    const isReady = async (): Promise<boolean> => {
      if (child.exitCode !== null) throw new Error(`kwok has ended with ${child.exitCode}`);
      const text = await (await server.fetch(`/api/v1/nodes/${kwokNode}`)).text();
      return text.includes('"phase":"Running"');
    };
    while (!(await isReady())) await delay(pollMs, undefined, { signal: deadline });
    // The folder is named after what is in it.
    tookPart('kwok', /-kwok-([^-/]+)/.exec(program)?.[1] ?? '?');
  } catch (error) {
    const said = log();
    await close();
    throw new Error(`kwok did not start\n${said}`, { cause: error });
  }
  return { log, close };
};
