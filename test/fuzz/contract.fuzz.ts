import assert from 'node:assert/strict';
import { execFile } from 'node:child_process';
import { readFile } from 'node:fs/promises';
import { after, before, describe, it } from 'node:test';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import { tookPart } from '@knada/simulators/real/real-parts.ts';
import Type, { type Static } from 'typebox';
import { Value } from 'typebox/value';
import { freeBase } from '../../local/ports.ts';
import { openWorld, type Role, roles, schemathesis, type World } from './world.ts';

/** FUZZ_SEED repeats a run; FUZZ_EXAMPLES asks for more of each operation and role. */
const seed = process.env.FUZZ_SEED ?? '20261128';
const examples = process.env.FUZZ_EXAMPLES ?? '55';
/** FUZZ_ROLES=owner,admin fuzzes as these only. */
const chosen = Object.keys(roles)
  .filter((name): name is Role => name in roles)
  .filter((role) => (process.env.FUZZ_ROLES ?? role).split(',').includes(role));
const leastRequests = 20_000;
/** Hubs that have just been ordered or restarted do not answer yet. */
const mostUnavailable = 0.05;

const Counts = Type.Record(Type.String(), Type.Integer());
const Report = Type.Object({
  operations: Counts,
  statuses: Counts,
  codes: Counts,
  exceptions: Counts,
  faults: Counts,
  slowest: Type.Tuple([Type.Number(), Type.String()]),
});
type Report = Static<typeof Report>;

const here = fileURLToPath(new URL('.', import.meta.url));
const found = schemathesis();
const skip = 'absent' in found ? found.absent : false;

const printed = (counts: Readonly<Record<string, number>>): string =>
  Object.entries(counts)
    .toSorted(([a], [b]) => a.localeCompare(b))
    .map(([name, count]) => `${name} ${count}`)
    .join(', ');

const sum = (counts: Readonly<Record<string, number>>): number =>
  Object.values(counts).reduce((total, count) => total + count, 0);

describe('requests generated from the contract', { skip, timeout: 1_800_000 }, () => {
  let world: World;
  const reports = new Map<Role, Report>();
  const warnings: string[] = [];
  before(async () => {
    world = await openWorld(await freeBase(), (line) => void warnings.push(line));
  });
  after(() => world?.close());

  /** What schemathesis printed about its failures, with a curl line for each that reproduces it. */
  const fuzz = async (role: Role): Promise<string> => {
    if ('absent' in found) return found.absent;
    const run = world.run(role);
    const options = ['--url', world.sandbox.url('api'), '--seed', seed, '--max-examples', examples];
    const env = {
      ...process.env,
      FUZZ_RUN: run.file,
      FUZZ_TOKEN: world.tokens[role],
      NO_COLOR: '1',
      PYTHONDONTWRITEBYTECODE: '1',
    };
    const outcome = await promisify(execFile)(
      `${found.programs}/schemathesis`,
      ['--config-file', 'schemathesis.toml', 'run', world.document, ...options],
      { cwd: here, env, maxBuffer: 64 * 1024 * 1024 },
    ).then(
      () => '',
      (error: { readonly stdout?: string; readonly stderr?: string }) =>
        `${error.stdout}\n${error.stderr}` || String(error),
    );
    reports.set(role, Value.Parse(Report, JSON.parse(await readFile(run.report, 'utf8'))));
    return outcome
      .replaceAll(
        `'Authorization: Bearer ${world.tokens[role]}'`,
        `"Authorization: Bearer $${role.toUpperCase()}"`,
      )
      .replaceAll(world.tokens[role], `$${role.toUpperCase()}`)
      .replaceAll(world.sandbox.url('api'), '$API');
  };

  it('get documented answers, and are refused only for what their schema forbids', async () => {
    if ('absent' in found) return;
    const { stdout } = await promisify(execFile)(`${found.programs}/schemathesis`, ['--version']);
    tookPart('schemathesis', stdout.trim().replace(/^.* /, ''));
    const started = performance.now();
    const failures = await Promise.all(chosen.map(async (role) => [role, await fuzz(role)] as const));
    const seconds = Math.round((performance.now() - started) / 1000);
    console.log(`seed ${seed}, ${examples} examples per operation and role, ${seconds} s`);
    const perOperation: Record<string, number> = {};
    for (const [role, { operations, statuses, exceptions, slowest }] of reports) {
      console.log(`${role}: ${sum(operations)} requests; by status: ${printed(statuses)}`);
      console.log(
        `${role}: slowest ${slowest[0].toFixed(1)} s ${slowest[1]}; refused for: ${printed(exceptions)}`,
      );
      for (const [name, count] of Object.entries(operations))
        perOperation[name] = (perOperation[name] ?? 0) + count;
    }
    console.log(`by operation: ${printed(perOperation)}`);
    const failed = failures.flatMap(([role, text]) => (text === '' ? [] : [`As ${role}:\n${text}`]));
    assert.equal(failed.join('\n'), '', `${failed.join('\n')}\nTo reproduce: node test/fuzz/serve.ts`);
    if (chosen.length === Object.keys(roles).length)
      assert.ok(sum(perOperation) >= leastRequests, `${sum(perOperation)} requests`);
    const unavailable = [...reports.values()].reduce(
      (total, { statuses }) => total + (statuses[503] ?? 0),
      0,
    );
    assert.ok(unavailable <= mostUnavailable * sum(perOperation), `${unavailable} answers were 503`);
  });
});
