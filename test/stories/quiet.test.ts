import assert from 'node:assert/strict';
import { execFile } from 'node:child_process';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, describe, it } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import { promisify } from 'node:util';
import { asList, asText, at, type Json } from '@knada/simulators/kubernetes/json.ts';
import { apiAt } from '../../local/demo/api.ts';
import { untilAllTrue } from '../../local/demo/story.ts';
import { freeBase } from '../../local/ports.ts';
import { type Sandbox, startSandbox } from '../../local/sandbox.ts';
import { firstSteps } from '../../local/welcome.ts';

/** QUIET_SECONDS=600 watches for ten minutes. */
const watchedMs = Number(process.env.QUIET_SECONDS ?? 60) * 1000;
const conditionTypes = ['Applied', 'HubReady', 'MembersSynced', 'SecretReady'];

describe('the sandbox after the README’s commands', { timeout: watchedMs + 240_000 }, () => {
  let folder: string;
  let sandbox: Sandbox;
  /** Warnings and errors of the API, the functions and the simulators. */
  const printed: string[] = [];

  const notebook = async (): Promise<Json> => {
    const token = await sandbox.issuer.token({ email: 'kari.nordmann@nav.no' });
    const { status, body } = await apiAt(sandbox.url('api'), token).call('GET', '/teams/team-a/notebook');
    assert.equal(status, 200, JSON.stringify(body));
    return body;
  };
  const conditionsOf = (body: Json): readonly Json[] => asList(at(body, 'status', 'conditions'));
  const notTrue = (body: Json): readonly Json[] =>
    conditionsOf(body).filter((condition) => at(condition, 'status') !== 'True');

  before(async () => {
    folder = await mkdtemp(join(tmpdir(), 'knada-quiet-'));
    sandbox = await startSandbox({
      port: await freeBase(),
      folder,
      print: (line) => void printed.push(line),
    });
    const commands = firstSteps(sandbox)
      .split('\n')
      .filter((line) => !line.startsWith('kubectl'));
    const env = { ...process.env, HOME: folder };
    await promisify(execFile)('sh', ['-ec', commands.join('\n')], { env });
  });
  after(async () => {
    await sandbox?.close();
    await rm(folder, { recursive: true, force: true });
  });

  it('has every condition True', async () => {
    const token = await sandbox.issuer.token({ email: 'kari.nordmann@nav.no' });
    await untilAllTrue(apiAt(sandbox.url('api'), token), '/teams/team-a/notebook');
    const body = await notebook();
    assert.equal(at(body, 'status', 'phase'), 'Ready');
    const types = conditionsOf(body).map((condition) => asText(at(condition, 'type')));
    assert.deepEqual(types.toSorted(), conditionTypes);
  });

  it('stays Ready with every condition True, also after the half-hourly check of everything', async () => {
    const started = performance.now();
    let moves = 0;
    while (performance.now() - started < watchedMs) {
      const body = await notebook();
      assert.deepEqual(notTrue(body), []);
      assert.equal(at(body, 'status', 'phase'), 'Ready');
      // Four times 31 minutes: every team is due for a full reconcile, hosts for DNS, and the idle server for culling.
      if (moves < 4 && performance.now() - started > (watchedMs * (moves + 1)) / 6) {
        moves += 1;
        await sandbox.moveClock(31 * 60);
      }
      await sleep(500);
    }
    assert.equal(moves, 4);
  });

  it('prints no warning and no error', () => {
    assert.deepEqual(printed, []);
  });
});
