import { type ChildProcess, spawn, spawnSync } from 'node:child_process';
import { randomBytes } from 'node:crypto';
import { once } from 'node:events';
import {
  closeSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  openSync,
  readdirSync,
  readFileSync,
  rmSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { delimiter, join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import { freePort } from '@knada/simulators/real/free-port.ts';
import { isAbsent, tookPart } from '@knada/simulators/real/real-parts.ts';
import Type, { type TSchema } from 'typebox';
import { Value } from 'typebox/value';
import { openHubs } from '../../src/adapters/jupyterhub.ts';
import { hubScopes } from '../../src/notebooks/values.ts';
import type { HubUnderTest } from '../contracts/hub/hub-under-test.ts';
import { setKernelBusy } from './kernels.ts';
import { named } from './records.ts';

/**
 * A real JupyterHub without users on the loopback: the hub and configurable-http-proxy as processes, notebook
 * servers as processes of the hub's, dummy logins, and our service with our scopes.
 */
export interface TestJupyterHub extends HubUnderTest {
  readonly close: () => Promise<void>;
}

const file = (path: string) => fileURLToPath(new URL(path, import.meta.url));
const assets = file('../../.ci/python-assets');
const proxyProgram = fileURLToPath(
  import.meta.resolve('configurable-http-proxy/bin/configurable-http-proxy'),
);

const part = (major: 5 | 6) => `JupyterHub ${major}.x` as const;

const assetsOf = (major: 5 | 6) => {
  const { status, stdout, stderr, error } = spawnSync(assets, [String(major), '--if-present'], {
    encoding: 'utf8',
  });
  return status === 0 ? { folder: stdout.trim() } : { absent: error?.message ?? stderr.trim() };
};

/** Why it cannot be started here, for `skip`; false when it can. In CI that is an error. */
export const absent = (major: 5 | 6): string | false => {
  const found = assetsOf(major);
  return found.absent === undefined ? false : isAbsent(part(major), found.absent);
};

const Tokens = Type.Object({ api_tokens: Type.Array(Type.Object({ note: Type.String() })) });
const Users = Type.Array(
  Type.Object({ name: Type.String(), servers: Type.Record(Type.String(), Type.Unknown()) }),
);
const Version = Type.Object({ version: Type.String() });
const Recorded = Type.Object({ path: Type.String(), headers: Type.Record(Type.String(), Type.String()) });

const patienceMs = 120_000;

const until = async <T>(what: string, look: () => Promise<T | undefined>, ms = patienceMs): Promise<T> => {
  const deadline = Date.now() + ms;
  for (;;) {
    const found = await look();
    if (found !== undefined) return found;
    if (Date.now() > deadline) throw new Error(`It did not happen: ${what}`);
    await delay(100);
  }
};

const ended = async (child: ChildProcess, signal: NodeJS.Signals): Promise<void> => {
  if (child.exitCode !== null || child.signalCode !== null) return;
  const exited = once(child, 'exit');
  child.kill(signal);
  const timer = setTimeout(() => child.kill('SIGKILL'), 20_000);
  await exited;
  clearTimeout(timer);
};

export const startJupyterHub = async (major: 5 | 6): Promise<TestJupyterHub> => {
  const found = assetsOf(major);
  if (found.folder === undefined) throw new Error(found.absent);
  const bin = join(found.folder, 'bin');
  const folder = mkdtempSync(join(tmpdir(), `jupyterhub-${major}-`));
  for (const name of ['pids', 'fail', 'hold-start', 'hold-stop', 'requests', 'homes']) {
    mkdirSync(join(folder, name));
  }
  const [port, apiPort, hubPort] = [await freePort(), await freePort(), await freePort()];
  const url = `http://127.0.0.1:${port}`;
  const [token, driverToken, proxyToken] = [secret(), secret(), secret()];
  const settings = {
    folder,
    url,
    hubUrl: `http://127.0.0.1:${hubPort}`,
    proxyApiUrl: `http://127.0.0.1:${apiPort}`,
    proxyToken,
    token,
    driverToken,
    scopes: hubScopes,
    singleuser: join(bin, 'jupyterhub-singleuser'),
    notebookConfig: file('./notebook-server'),
  };
  const settingsFile = join(folder, 'settings.json');
  writeFileSync(settingsFile, JSON.stringify(settings));
  const logFile = join(folder, 'log');
  const run = (command: string, args: readonly string[], env: Record<string, string>): ChildProcess => {
    const log = openSync(logFile, 'a');
    const child = spawn(command, args, {
      cwd: folder,
      env: { ...process.env, PATH: `${bin}${delimiter}${process.env.PATH ?? ''}`, ...env },
      stdio: ['ignore', log, log],
    });
    closeSync(log);
    return child;
  };
  const runHub = () =>
    run(join(bin, 'jupyterhub'), ['--config', file('./jupyterhub_config.py')], {
      KNADA_TEST_HUB: settingsFile,
    });

  const proxy = run(
    process.execPath,
    [
      proxyProgram,
      ...['--ip', '127.0.0.1', '--port', String(port)],
      ...['--api-ip', '127.0.0.1', '--api-port', String(apiPort)],
      ...['--default-target', settings.hubUrl, '--error-target', `${settings.hubUrl}/hub/error`],
    ],
    { CONFIGPROXY_AUTH_TOKEN: proxyToken },
  );
  let hub = runHub();

  /** Each is the leader of its own process group; a file stays when a server was not stopped by the hub. */
  const killServers = (): void => {
    for (const pid of readdirSync(join(folder, 'pids'))) {
      try {
        process.kill(-Number(pid), 'SIGKILL');
      } catch {
        // It has ended by itself.
      }
    }
  };
  const killAll = (): void => {
    hub.kill('SIGKILL');
    proxy.kill('SIGKILL');
    killServers();
  };
  process.once('exit', killAll);

  const send = async (method: string, path: string, body?: unknown): Promise<Response> => {
    const response = await fetch(`${url}${path}`, {
      method,
      headers: { authorization: `token ${driverToken}`, 'content-type': 'application/json' },
      ...(body !== undefined && { body: JSON.stringify(body) }),
    });
    if (!response.ok) throw new Error(`${method} ${path}: ${response.status} ${await response.text()}`);
    return response;
  };
  const get = async <T extends TSchema>(schema: T, path: string) =>
    Value.Parse(schema, await (await send('GET', path)).json());

  const isUp = async () => {
    if (hub.exitCode !== null) throw new Error('it ended');
    const response = await fetch(`${url}/hub/api/`).catch(() => undefined);
    return response?.ok === true ? Value.Parse(Version, await response.json()) : undefined;
  };
  const activeUsers = async () => {
    const users = await get(Users, '/hub/api/users?state=active');
    return users.filter(({ servers }) => Object.keys(servers).length > 0).map(({ name }) => name);
  };
  const close = async (): Promise<void> => {
    try {
      for (const held of ['hold-start', 'hold-stop']) {
        for (const name of readdirSync(join(folder, held))) rmSync(join(folder, held, name));
      }
      await until('every notebook server is stopped', async () => {
        const names = await activeUsers();
        if (names.length === 0) return true;
        await Promise.allSettled(
          names.map((name) => send('DELETE', `/hub/api/users/${encodeURIComponent(name)}/server`)),
        );
        return undefined;
      });
    } finally {
      await Promise.all([ended(hub, 'SIGTERM'), ended(proxy, 'SIGTERM')]);
      killServers();
      process.off('exit', killAll);
      rmSync(folder, { recursive: true, force: true });
    }
  };

  let version: string;
  try {
    ({ version } = await until('the hub answers', isUp));
  } catch (cause) {
    killAll();
    const text = readFileSync(logFile, 'utf8').slice(-4000);
    rmSync(folder, { recursive: true, force: true });
    throw new Error(`JupyterHub did not start\n${text}`, { cause });
  }
  tookPart(part(major), version);

  const team = named({ slug: 'team-a', id: 'team-a-1234' });
  const clock = { now: Date.now };
  // Under load the hub is slow, not unavailable.
  const withTokens = (tokens: readonly string[], clockAheadMs = 0) =>
    openHubs({
      urlTemplate: url,
      tokens: () => tokens,
      clock: { now: () => clock.now() + clockAheadMs },
      callMs: 60_000,
    });
  // As the server knows its own address; what a browser would be sent to.
  const serverPath = (user: string) => `/user/${encodeURIComponent(user).replace('%40', '@')}`;

  return {
    team,
    major,
    hubs: withTokens([token]),
    token,
    scopes: settings.scopes,
    withTokens,
    offered: { profile: 'python-3-13', revision: 7, chosenAt: 7 },
    now: Date.now,
    letTimePass: (ms) => delay(ms),
    hold: async (user, what) => {
      const held = join(folder, `hold-${what}`, user);
      writeFileSync(held, '');
      return async () => rmSync(held, { force: true });
    },
    failNextStart: async (user, message) => writeFileSync(join(folder, 'fail', user), message),
    use: async (user) => void (await send('GET', `${serverPath(user)}/api/contents`)),
    setBusy: (user, busy) => setKernelBusy(`${url}${serverPath(user)}`, driverToken, busy),
    notebookRequests: async (user) => {
      const path = join(folder, 'requests', user);
      if (!existsSync(path)) return [];
      const lines = readFileSync(path, 'utf8').trim().split('\n');
      return lines.map((line) => Value.Parse(Recorded, JSON.parse(line)));
    },
    tokenNotes: async (user) => {
      const { api_tokens } = await get(Tokens, `/hub/api/users/${encodeURIComponent(user)}/tokens`);
      return api_tokens.map(({ note }) => note).filter((note) => !note.startsWith('Server at '));
    },
    goAway: () => ended(hub, 'SIGTERM'),
    comeBack: async () => {
      hub = runHub();
      await until('the hub answers again', isUp);
    },
    close,
  };
};

const secret = (): string => randomBytes(32).toString('hex');
