import assert from 'node:assert/strict';
import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, afterEach, before, describe, it } from 'node:test';
import { fileURLToPath } from 'node:url';
import { environmentOf } from '../local/environment.ts';
import packageJson from '../package.json' with { type: 'json' };
import { startIssuer } from './http/issuer.ts';
import { heavyPackages, importing } from './support/imports.ts';

type Line = Readonly<Record<string, unknown>>;

/** A process of the API, and what it has logged. */
class Api {
  readonly child: ChildProcess;
  readonly #ended: Promise<unknown[]>;
  out = '';
  err = '';
  #heard = Promise.withResolvers<void>();

  constructor(env: Readonly<Record<string, string>>) {
    const main = fileURLToPath(new URL('../src/main.ts', import.meta.url));
    this.child = spawn(process.execPath, [main], {
      env: { PATH: process.env.PATH, ...env },
      stdio: ['ignore', 'pipe', 'pipe'],
    });
    this.#ended = once(this.child, 'close');
    this.child.stdout?.on('data', (part: Buffer) => {
      this.out += part;
      this.#heard.resolve();
      this.#heard = Promise.withResolvers();
    });
    this.child.stderr?.on('data', (part: Buffer) => {
      this.err += part;
    });
    void this.#ended.then(() => this.#heard.resolve());
  }

  /** Every line that is complete; each must be JSON. */
  get lines(): readonly Line[] {
    return this.out
      .split('\n')
      .slice(0, -1)
      .map((line) => JSON.parse(line));
  }

  async logged(wanted: (line: Line) => boolean): Promise<Line> {
    for (;;) {
      const found = this.lines.find(wanted);
      if (found !== undefined) return found;
      assert.equal(this.child.exitCode, null, `it ended:\n${this.out}${this.err}`);
      await this.#heard.promise;
    }
  }

  async url(): Promise<string> {
    const { message } = await this.logged((line) => /^Server listening at /.test(String(line.message)));
    return String(message).replace('Server listening at ', '');
  }

  async ends(signal?: NodeJS.Signals): Promise<unknown[]> {
    if (signal !== undefined) this.child.kill(signal);
    return this.#ended;
  }
}

describe('the API’s process', { timeout: 60_000 }, () => {
  let folder: string;
  let issuer: Awaited<ReturnType<typeof startIssuer>>;
  let api: Api | undefined;

  const start = (more: Readonly<Record<string, string>> = {}): Api => {
    const environment = environmentOf({
      port: 8080,
      storeFile: join(folder, 'store.sqlite'),
      hubMasterKeys: `local:${'5ec0'.repeat(16)}`,
      issuer: issuer.url,
      kubeconfig: false,
      given: {},
    });
    const own = {
      PORT: '0',
      // Nobody listens there: a look at the cluster fails, and no request does.
      CLUSTER: 'http://127.0.0.1:1',
      AUTH_ISSUERS: JSON.stringify([
        {
          issuer: issuer.url,
          audience: issuer.audience,
          algorithms: ['ES256'],
          userClaim: 'preferred_username',
        },
      ]),
    };
    api = new Api({ ...environment, ...own, ...more });
    return api;
  };

  before(async () => {
    folder = await mkdtemp(join(tmpdir(), 'knada-main-'));
    issuer = await startIssuer();
  });
  afterEach(() => api?.ends('SIGKILL'));
  after(async () => {
    await issuer[Symbol.asyncDispose]();
    await rm(folder, { recursive: true, force: true });
  });

  it('answers requests, logs in Cloud Logging’s format without secrets, and exits with 0 on SIGTERM', async () => {
    const running = start({ K_REVISION: 'knada-notebooks-00042-abc' });
    const url = await running.url();
    assert.equal((await fetch(`${url}/readyz`)).status, 200);
    assert.deepEqual(await (await fetch(`${url}/version`)).json(), {
      name: packageJson.name,
      version: packageJson.version,
      revision: 'knada-notebooks-00042-abc',
    });

    const canary = 'c4nary-in-a-header';
    const token = await issuer.token({ canary });
    const headers = { authorization: `Bearer ${token}`, 'x-secret': canary, cookie: canary };
    assert.equal((await fetch(`${url}/v1/teams`, { headers })).status, 200);
    assert.equal((await fetch(`${url}/v1/teams`, { headers: { authorization: canary } })).status, 401);
    const bodies: readonly (readonly [unknown, number])[] = [
      [{ slug: 'team-a' }, 201],
      [{ slug: 'TEAM-A' }, 400],
    ];
    for (const [body, status] of bodies) {
      const response = await fetch(`${url}/v1/teams`, {
        method: 'POST',
        headers: { ...headers, 'content-type': 'application/json' },
        body: JSON.stringify({ ...Object(body), ghcrRepositories: ['in-the-body'] }),
      });
      assert.equal(response.status, status);
    }
    // The last thing that the four requests log.
    await running.logged(({ res }) => Object(res).statusCode === 400);

    assert.deepEqual(await running.ends('SIGTERM'), [0, null]);
    for (const line of running.lines) {
      assert.match(String(line.severity), /^(DEBUG|INFO|WARNING|ERROR)$/);
      assert.match(String(line.time), /^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z$/);
      assert.equal(typeof line.message, 'string');
      assert.equal(line.level, undefined);
    }
    const requests = running.lines.flatMap(({ req }) => (req === undefined ? [] : [Object(req)]));
    assert.ok(requests.some(({ method, url: path }) => method === 'POST' && path === '/v1/teams'));
    for (const request of requests) assert.deepEqual(Object.keys(request), ['id', 'method', 'url']);

    const [, payload = '', signature = ''] = token.split('.');
    for (const secret of [payload, signature, canary, 'authorization', 'cookie', 'in-the-body', '5ec05ec0']) {
      assert.ok(!running.out.includes(secret), `${secret} in the log`);
    }
    assert.equal(running.lines.at(-1)?.message, 'stopping');
    assert.equal(running.err, '');
  });

  it('keeps its data over a restart', async () => {
    const url = await start().url();
    const headers = { authorization: `Bearer ${await issuer.token()}`, 'content-type': 'application/json' };
    const made = await fetch(`${url}/v1/teams`, { method: 'POST', headers, body: '{"slug":"kept"}' });
    assert.equal(made.status, 201);
    assert.deepEqual(await api?.ends('SIGTERM'), [0, null]);
    const again = await start().url();
    assert.equal((await fetch(`${again}/v1/teams/kept`, { headers })).status, 200);
  });

  it('exits on SIGINT as on SIGTERM', async () => {
    const running = start({ LOG_LEVEL: 'info' });
    await running.url();
    assert.deepEqual(await running.ends('SIGINT'), [0, null]);
  });

  it('does not start with an invalid configuration, and names what is wrong', async () => {
    const running = start({ STORE: 'postgres', PORT: 'http' });
    assert.deepEqual(await running.ends(), [1, null]);
    assert.match(running.err, /^The configuration is not valid:\n {2}- PORT: .+\n {2}- STORE: .+\n$/);
    assert.equal(running.out, '');
  });

  it('exits with 1 at once when its port is in use', async () => {
    const url = await start().url();
    const first = api;
    const second = start({ PORT: new URL(url).port });
    const [code] = await second.ends();
    assert.equal(code, 1);
    assert.match(`${second.out}${second.err}`, /EADDRINUSE/);
    assert.deepEqual(await first?.ends('SIGTERM'), [0, null]);
  });
});

describe('the modules that a cold start loads', () => {
  it('include no client of an outside system: each is loaded on first use', async () => {
    const { packages, open } = await importing(
      'src/api/app.ts',
      'src/assemble.ts',
      'src/adapters/kubernetes.ts',
      'src/open.ts',
    );
    assert.deepEqual(
      packages.filter((name) => heavyPackages.some((heavy) => heavy === name)),
      [],
    );
    assert.ok(packages.includes('fastify'), 'the packages are seen at all');
    assert.deepEqual(open, []);
  });
});
