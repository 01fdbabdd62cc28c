import assert from 'node:assert/strict';
import { execFile } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, describe, it } from 'node:test';
import { fileURLToPath } from 'node:url';
import { asList, asText, at } from '@knada/simulators/kubernetes/json.ts';
import { type Api, apiAt } from '../../local/demo/api.ts';
import { freeBase } from '../../local/ports.ts';
import { type Sandbox, startSandbox } from '../../local/sandbox.ts';
import { without } from '../support/commands.ts';

const root = fileURLToPath(new URL('../..', import.meta.url));
const readme = readFileSync(join(root, 'examples/README.md'), 'utf8');
const kari = 'kari.nordmann@nav.no';

/** The command of the README that runs this program. */
const commandOf = (program: string): string => {
  const blocks = [...readme.matchAll(/^```sh\n(.*?)^```$/gms)].map(([, text = '']) => text.trim());
  const found = blocks.find((text) => text.endsWith(` ${program}`));
  assert.ok(found, `examples/README.md has no command for ${program}`);
  return found;
};

const programs = [
  { program: 'examples/python/order_notebook.py', needs: 'python3', team: 'team-python' },
  { program: 'examples/go/main.go', needs: 'go', team: 'team-go' },
];

describe('the examples in Python and Go', { timeout: 300_000 }, () => {
  let folder: string;
  let sandbox: Sandbox;
  let api: Api;
  let token: string;

  before(async () => {
    folder = await mkdtemp(join(tmpdir(), 'examples-'));
    sandbox = await startSandbox({ port: await freeBase(), folder });
    token = await sandbox.issuer.token({ email: kari });
    api = apiAt(sandbox.url('api'), token);
  });
  after(async () => {
    await sandbox?.close();
    await rm(folder, { recursive: true, force: true });
  });

  const run = (program: string, settings: Readonly<Record<string, string>>) => {
    const { promise, resolve } = Promise.withResolvers<{ code: number; out: string; err: string }>();
    const env = { ...process.env, API: sandbox.url('api'), TOKEN: token, ...settings };
    execFile('bash', ['-c', commandOf(program)], { cwd: root, env }, (error, out, err) => {
      resolve({ code: error === null ? 0 : typeof error.code === 'number' ? error.code : -1, out, err });
    });
    return promise;
  };
  const actionsOf = async (team: string): Promise<readonly string[]> => {
    const { body } = await api.call('GET', `/teams/${team}/history`);
    return asList(at(body, 'items'))
      .map((entry) => asText(at(entry, 'action')))
      .toReversed();
  };

  for (const { program, needs, team } of programs) {
    describe(program, { skip: without(needs) }, () => {
      const started = ['team_created', 'notebook_ordered', 'server_started'];

      it('orders a notebook, starts a server and prints its address', async () => {
        const { code, out, err } = await run(program, { TEAM: team });
        assert.equal(code, 0, err);
        assert.equal(out.trim(), `${sandbox.url('hubs')}/${team}/user/${kari}/`);
        assert.deepEqual(await actionsOf(team), started);
        const { body } = await api.call('GET', `/teams/${team}/servers`);
        assert.deepEqual(
          asList(at(body, 'items')).map((server) => at(server, 'state')),
          ['running'],
        );
      });

      it('leaves what exists as it is when it runs again', async () => {
        await api.call('PATCH', `/teams/${team}/notebook`, { body: { culling: { timeoutSeconds: 7_200 } } });
        const { code, out, err } = await run(program, { TEAM: team });
        assert.equal(code, 0, err);
        assert.equal(out.trim(), `${sandbox.url('hubs')}/${team}/user/${kari}/`);
        assert.deepEqual(await actionsOf(team), [...started, 'notebook_changed']);
      });

      it('ends with 1 and prints the problem and its faults when the API refuses', async () => {
        const { code, out, err } = await run(program, { TEAM: 'Team A' });
        assert.equal(code, 1, err);
        assert.equal(out, '');
        assert.match(err, /validation_failed: .+\n {2}\/slug: /);
      });
    });
  }
});
