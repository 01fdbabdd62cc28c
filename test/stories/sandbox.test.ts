import assert from 'node:assert/strict';
import { type ChildProcessByStdio, spawn, spawnSync } from 'node:child_process';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { Readable } from 'node:stream';
import { after, before, describe, it } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import { at, parseJson } from '@knada/simulators/kubernetes/json.ts';
import { apiAt } from '../../local/demo/api.ts';
import { freeBase, portOf, takenPorts, urlOf } from '../../local/ports.ts';
import { firstSteps } from '../../local/welcome.ts';
import { sendEveryExample } from './examples.ts';

const root = fileURLToPath(new URL('../..', import.meta.url));

class Run {
  readonly child: ChildProcessByStdio<null, Readable, Readable>;
  readonly ended: Promise<number | null>;
  text = '';

  constructor(args: readonly string[], env: Record<string, string>) {
    this.child = spawn(process.execPath, ['local/main.ts', ...args], {
      cwd: root,
      env: { ...process.env, ...env },
      stdio: ['ignore', 'pipe', 'pipe'],
    });
    for (const stream of [this.child.stdout, this.child.stderr]) {
      stream.on('data', (part: Buffer) => {
        this.text += part;
      });
    }
    this.ended = new Promise((resolve) => this.child.once('close', resolve));
  }

  /** Until it has said this; fails when it ends first. */
  async says(text: string): Promise<void> {
    let isOver = false;
    void this.ended.then(() => {
      isOver = true;
    });
    while (!this.text.includes(text)) {
      assert.ok(!isOver, `it ended before it said "${text}":\n${this.text}`);
      await sleep(20);
    }
  }
}

describe('npm run local', { timeout: 300_000 }, () => {
  let folder: string;
  let port: number;
  let token: string;
  let run: Run | undefined;

  const start = async (...args: string[]): Promise<Run> => {
    run = new Run(args, { LOCAL_PORT: String(port), LOCAL_DIR: folder });
    await run.says('is running');
    return run;
  };
  const stop = async (signal: NodeJS.Signals): Promise<number | null> => {
    run?.child.kill(signal);
    return (await run?.ended) ?? null;
  };
  const kari = () => apiAt(urlOf('api', port), token);

  before(async () => {
    folder = await mkdtemp(join(tmpdir(), 'a sandbox '));
    port = await freeBase();
  });
  after(async () => {
    await stop('SIGKILL');
    await rm(folder, { recursive: true, force: true });
  });

  it('answers on every port and prints commands to try', async () => {
    const { text } = await start();
    assert.equal((await fetch(`${urlOf('api', port)}/readyz`)).status, 200);
    assert.equal((await fetch(`${urlOf('kubernetes', port)}/version`)).status, 200);
    assert.equal((await fetch(`${urlOf('hubs', port)}/team-z/hub/health`)).status, 503);
    assert.partialDeepStrictEqual(await (await fetch(urlOf('functions', port))).json(), {
      functions: ['reconcile'],
    });
    assert.ok(text.includes(firstSteps({ url: (part) => urlOf(part, port) })), text);
    assert.ok(text.includes(urlOf('page', port)), text);
    assert.equal((await fetch(urlOf('page', port))).status, 200);
  });

  it('prints commands that work', () => {
    const printed = firstSteps({ url: (part) => urlOf(part, port) });
    const hasKubectl = spawnSync('kubectl', ['version', '--client']).status === 0;
    const lines = printed.split('\n').filter((line) => hasKubectl || !line.startsWith('kubectl'));
    const env = { ...process.env, HOME: folder, KUBECONFIG: join(folder, 'none') };
    const { status, stdout, stderr } = spawnSync('sh', ['-ec', lines.join('\n')], { encoding: 'utf8', env });
    assert.equal(status, 0, stderr);
    const [team = '', ordered = '', looked = ''] = stdout.split('\n');
    assert.partialDeepStrictEqual(JSON.parse(team), { slug: 'team-a' });
    assert.partialDeepStrictEqual(JSON.parse(ordered), { revision: 1 });
    assert.partialDeepStrictEqual(JSON.parse(looked), { revision: 1 });
    assert.match(stdout, /^data: .*"phase":"Ready"/m);
    if (hasKubectl) assert.match(stdout, /helmrelease\S*\/jupyterhub\s.*Helm install succeeded/);
  });

  it('refuses to share ports or data with another sandbox, and says what to change', async () => {
    const samePorts = new Run([], { LOCAL_PORT: String(port), LOCAL_DIR: `${folder}/other` });
    assert.equal(await samePorts.ended, 1);
    assert.match(samePorts.text, new RegExp(`${portOf('api', port)} \\(api\\).*\n.*LOCAL_PORT=`));
    const sameData = new Run([], { LOCAL_PORT: String(await freeBase()), LOCAL_DIR: folder });
    assert.equal(await sameData.ended, 1);
    assert.match(sameData.text, /Another sandbox is running.*\n.*LOCAL_DIR=/);
  });

  it('stops completely when interrupted, and keeps its data and its clock', async () => {
    const advance = async (seconds: number): Promise<number> => {
      const answer = await fetch(`${urlOf('hubs', port)}/_sandbox/clock`, {
        method: 'POST',
        body: JSON.stringify({ advanceSeconds: seconds }),
      });
      assert.equal(answer.status, 200);
      return Date.parse(String(at(parseJson(await answer.text()), 'now')));
    };
    const minutesAhead = (time: number): number => Math.round((time - Date.now()) / 60_000);
    token = await (await fetch(`${urlOf('issuer', port)}/token?email=kari.nordmann@nav.no`)).text();
    assert.equal(minutesAhead(await advance(1200)), 20);
    assert.equal(await stop('SIGINT'), 0);
    assert.deepEqual(await takenPorts(port), []);
    const { text } = await start();
    assert.match(text, /The clock is 20 minutes ahead/);
    assert.equal(minutesAhead(await advance(0)), 20);
    const made = await kari().call('POST', '/teams', { body: { slug: 'team-later' } });
    assert.equal(
      minutesAhead(Date.parse(String(at(made.body, 'createdAt')))),
      20,
      'in the API’s process too',
    );
    const team = await kari().call('GET', '/teams/team-a');
    assert.equal(team.status, 200, 'the team and the token both outlive a restart');
    const namespaces = await (await fetch(`${urlOf('kubernetes', port)}/api/v1/namespaces`)).text();
    assert.ok(namespaces.includes(String(at(team.body, 'namespace'))));
  });

  it('leaves no process behind when killed, and starts again', async () => {
    await stop('SIGKILL');
    while ((await takenPorts(port)).length > 0) await sleep(20);
    await start();
    assert.equal((await kari().call('GET', '/teams/team-a')).status, 200);
  });

  it('ends with the last output of a part that dies', async () => {
    const current = run;
    assert.ok(current);
    const listed = spawn('ps', ['-o', 'pid=,args=', '--ppid', String(current.child.pid)]);
    const lines = Buffer.concat(await listed.stdout.toArray())
      .toString()
      .split('\n');
    const api = lines.find((line) => line.includes('src/main.ts'));
    assert.ok(api, lines.join('\n'));
    process.kill(Number.parseInt(api, 10), 'SIGKILL');
    assert.equal(await current.ended, 1);
    assert.match(current.text, /api ended by SIGKILL/);
    assert.deepEqual(await takenPorts(port), []);
  });

  it('starts empty with --fresh', async () => {
    await start('--fresh');
    assert.equal((await kari().call('GET', '/teams')).status, 401, 'the old signing key is gone');
    token = await (await fetch(`${urlOf('issuer', port)}/token?email=kari.nordmann@nav.no`)).text();
    assert.deepEqual((await kari().call('GET', '/teams')).body, { items: [], nextCursor: null });
    assert.doesNotMatch(run?.text ?? '', /The clock is/);
  });

  it('accepts every request body that the contract shows as an example', async () => {
    const document = parseJson(await (await fetch(`${urlOf('api', port)}/openapi.json`)).text());
    await sendEveryExample(kari(), document);
    assert.equal(await stop('SIGTERM'), 0);
  });
});
