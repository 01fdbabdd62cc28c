import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { closeSync, mkdirSync, openSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import { type KubeletOptions, startKubelet } from '@knada/simulators/cluster/kubelet.ts';
import { asMap, asText, at, type Json } from '@knada/simulators/kubernetes/json.ts';
import { type KubeObject, uidOf } from '@knada/simulators/kubernetes/object.ts';
import { startKubernetes } from '@knada/simulators/kubernetes/server.ts';
import { freePort } from '@knada/simulators/real/free-port.ts';
import Type from 'typebox';
import { Value } from 'typebox/value';
import { request } from 'undici';
import { hubScopes } from '../../src/notebooks/values.ts';
import { kubeconfigOf } from './hub.ts';

const namespace = 'team-of-the-test';
const Version = Type.Object({ version: Type.String() });
const User = Type.Object({
  servers: Type.Record(Type.String(), Type.Object({ stopped: Type.Boolean() })),
});

const patienceMs = 60_000;

const until = async <T>(what: string, look: () => Promise<T | undefined>): Promise<T> => {
  const deadline = Date.now() + patienceMs;
  for (;;) {
    const found = await look();
    if (found !== undefined) return found;
    if (Date.now() > deadline) throw new Error(`It did not happen: ${what}`);
    await delay(50);
  }
};

/** What a pod runs: its image, and what its profile’s annotations and limits say. */
export interface RunningPod {
  readonly image: string;
  readonly profile: string;
  readonly memory: Json | undefined;
}

const runningIn = (pod: KubeObject): RunningPod => {
  const [container] = (at(pod, 'spec', 'containers') as readonly Json[] | undefined) ?? [];
  const annotations = asMap(at(pod, 'metadata', 'annotations'));
  return {
    image: asText(at(container ?? null, 'image')),
    profile: asText(annotations['knada.io/profile']),
    memory: at(container ?? null, 'resources', 'limits', 'memory'),
  };
};

/**
 * A real JupyterHub with its pages and the real KubeSpawner, which makes its pods in a simulated cluster. No notebook
 * answers in them, so a start stays pending until it is stopped. `folder` is where its profiles are mounted, too.
 */
export const startWebHub = async (
  python: string,
  {
    folder,
    values,
    kubelet = {},
  }: {
    readonly folder: string;
    readonly values: unknown;
    readonly kubelet?: Partial<KubeletOptions>;
  },
) => {
  mkdirSync(folder, { recursive: true });
  const kubernetes = await startKubernetes();
  const client = kubernetes.client('test');
  await client.create({ apiVersion: 'v1', kind: 'Namespace', metadata: { name: namespace } });
  const serviceAccountName = asText(at(values as Json, 'singleuser', 'serviceAccountName'));
  await client.create({
    apiVersion: 'v1',
    kind: 'ServiceAccount',
    metadata: { name: serviceAccountName, namespace },
  });
  const machine = startKubelet({ client, podReadyMs: 5, podStopMs: 5, ...kubelet });
  const kubeconfig = join(folder, 'kubeconfig');
  writeFileSync(kubeconfig, JSON.stringify(kubeconfigOf(kubernetes.url)));

  const url = `http://127.0.0.1:${await freePort()}`;
  const token = 'a'.repeat(64);
  const settingsFile = join(folder, 'settings.json');
  writeFileSync(settingsFile, JSON.stringify({ folder, url, token, values, scopes: hubScopes }));
  const logFile = join(folder, 'log');
  const log = openSync(logFile, 'a');
  const hub = spawn(
    join(python, '..', 'jupyterhub'),
    ['--config', fileURLToPath(new URL('./jupyterhub_config.py', import.meta.url))],
    {
      cwd: folder,
      env: {
        ...process.env,
        KUBECONFIG: kubeconfig,
        KNADA_TEST_HUB: settingsFile,
        KNADA_PROFILES_FOLDER: folder,
        KNADA_PROFILES_POLL_SECONDS: '0.05',
        PYTHONDONTWRITEBYTECODE: '1',
      },
      stdio: ['ignore', log, log],
    },
  );
  closeSync(log);
  const kill = () => void hub.kill('SIGKILL');
  process.once('exit', kill);

  const send = (method: string, path: string, body?: unknown) =>
    fetch(`${url}/hub/api${path}`, {
      method,
      headers: { authorization: `token ${token}` },
      ...(body === undefined ? {} : { body: JSON.stringify(body) }),
    });
  const close = async () => {
    if (hub.exitCode === null && hub.signalCode === null) {
      const exited = once(hub, 'exit');
      hub.kill('SIGKILL');
      await exited;
    }
    process.off('exit', kill);
    await machine.close();
    await kubernetes.close();
  };
  let version: string;
  try {
    version = await until('the hub answers', async () => {
      if (hub.exitCode !== null) throw new Error(`the hub ended:\n${readFileSync(logFile, 'utf8')}`);
      const answer = await fetch(`${url}/hub/api/`).catch(() => undefined);
      return answer?.ok === true ? Value.Parse(Version, await answer.json()).version : undefined;
    });
  } catch (error) {
    await close();
    throw error;
  }

  const cookies = new Map<string, string>();
  /**
   * A request as a browser sends it: with its cookies, without following redirects. Not with fetch, which calls every
   * request a cross-origin one, and JupyterHub then sets no cookie.
   */
  const browse = async (path: string, form?: Readonly<Record<string, string>>) => {
    const answer = await request(`${url}${path}`, {
      method: form === undefined ? 'GET' : 'POST',
      headers: {
        'sec-fetch-mode': 'navigate',
        cookie: [...cookies].map(([name, value]) => `${name}=${value}`).join('; '),
        ...(form === undefined ? {} : { 'content-type': 'application/x-www-form-urlencoded' }),
      },
      body: form === undefined ? null : new URLSearchParams(form).toString(),
    });
    for (const cookie of [answer.headers['set-cookie'] ?? []].flat()) {
      const [, name = '', value = ''] = /^([^=]+)=([^;]*)/.exec(cookie) ?? [];
      cookies.set(name, value);
    }
    return { status: answer.statusCode, text: await answer.body.text() };
  };
  const page = async (path: string): Promise<string> => {
    const { status, text } = await browse(path);
    assert.equal(status, 200, `${path}: ${text}`);
    return text;
  };
  const xsrf = () => cookies.get('_xsrf') ?? '';

  const pods = () => client.list('pods', { namespace, labelSelector: 'component=singleuser-server' });
  const podFor = (name: string) =>
    until('the pod of a start', async () => {
      const [pod] = await pods();
      if (pod !== undefined) return pod;
      const answer = await send('GET', `/users/${name}?include_stopped_servers=1`);
      const failed = Value.Parse(User, await answer.json()).servers['']?.stopped === true;
      if (failed) throw new Error(`the start failed:\n${readFileSync(logFile, 'utf8').slice(-3000)}`);
      return undefined;
    });
  /** What the one start runs; it is stopped afterwards. */
  const ran = async (name: string): Promise<RunningPod> => {
    const pod = await podFor(name);
    await until('the server is stopped', async () => {
      await send('DELETE', `/users/${name}/server`);
      const answer = await send('GET', `/users/${name}?include_stopped_servers=1`);
      return Value.Parse(User, await answer.json()).servers['']?.stopped === true ? true : undefined;
    });
    await until('the pod is gone', async () => {
      const left = await pods();
      return left.some((one) => uidOf(one) === uidOf(pod)) ? undefined : true;
    });
    return runningIn(pod);
  };

  return {
    version,
    url,
    token,
    log: () => readFileSync(logFile, 'utf8'),
    async login(name: string): Promise<void> {
      await page('/hub/login');
      const answer = await browse('/hub/login', { username: name, password: 'x', _xsrf: xsrf() });
      assert.equal(answer.status, 302, answer.text);
    },
    /** The profiles on the hub’s start page, and the one that is preselected. */
    async form(name: string): Promise<{ readonly slugs: readonly string[]; readonly checked: string }> {
      const text = await page(`/hub/spawn/${name}`);
      const inputs = [...text.matchAll(/<input type="radio"[^>]*name="profile"[^>]*>/g)].map(([tag]) => ({
        slug: /value="([^"]*)"/.exec(tag)?.[1] ?? '',
        isChecked: /\bchecked\b/.test(tag),
      }));
      const checked = inputs.filter(({ isChecked }) => isChecked);
      assert.equal(checked.length, 1, text);
      return { slugs: inputs.map(({ slug }) => slug), checked: checked[0]?.slug ?? '' };
    },
    /** Submits the start page with this profile chosen. */
    async submit(name: string, profile: string): Promise<RunningPod> {
      await page(`/hub/spawn/${name}`);
      const answer = await browse(`/hub/spawn/${name}?_xsrf=${encodeURIComponent(xsrf())}`, {
        profile,
        _xsrf: xsrf(),
      });
      assert.equal(answer.status, 302, answer.text);
      return ran(name);
    },
    /** Starts with the options that the hub has stored, as its admin page does; or with these. */
    async start(name: string, options?: unknown): Promise<RunningPod> {
      const answer = await send('POST', `/users/${name}/server`, options);
      assert.equal(answer.status, 202, await answer.text());
      return ran(name);
    },
    ran,
    close,
  };
};
