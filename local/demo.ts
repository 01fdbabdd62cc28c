// `npm run demo`: runs the whole story against a sandbox of its own and verifies each step. Exits 0 only if all pass.
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { styleText } from 'node:util';
import { apiAt } from './demo/api.ts';
import { steps } from './demo/steps.ts';
import type { Story } from './demo/story.ts';
import { freeBase } from './ports.ts';
import { type Sandbox, startSandbox } from './sandbox.ts';

/** How much of the log a failed step shows. */
const shownLines = 60;

const { promise: interrupted, reject } = Promise.withResolvers<never>();
for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP'] as const) {
  process.once(signal, () => reject(new Error(`interrupted by ${signal}`)));
}
interrupted.catch(() => {});

const tell = async (sandbox: Sandbox): Promise<boolean> => {
  const { kubernetes, hubs } = sandbox;
  if (kubernetes === undefined || hubs === undefined)
    throw new Error('The demo needs the simulated cluster.');
  const story: Story = {
    sandbox,
    kubernetes,
    cluster: kubernetes.client('demo'),
    registries: sandbox.registries,
    hubs,
    kari: apiAt(sandbox.url('api')),
    namespace: '',
  };
  const died = sandbox.died.then((report) => Promise.reject(new Error(report)));
  died.catch(() => {});
  for (const step of steps) {
    try {
      await Promise.race([step.run(story), died, interrupted]);
      console.log(`${styleText('green', '✔')} ${step.says}`);
    } catch (error) {
      console.log(`${styleText('red', '✘')} ${step.says}`);
      console.error(error instanceof Error ? (error.stack ?? error.message) : error);
      return false;
    }
  }
  return true;
};

const folder = await mkdtemp(join(tmpdir(), 'knada-demo-'));
let verified = false;
try {
  // Not Date: the story moves the clock.
  const started = performance.now();
  const lines: string[] = [];
  const print = process.argv.includes('--verbose') ? console.log : (line: string) => lines.push(line);
  const sandbox = await startSandbox({ port: await freeBase(), folder, verbose: true, print });
  try {
    verified = await tell(sandbox);
  } finally {
    await sandbox.close();
  }
  if (!verified && lines.length > 0)
    console.error(`\nThe sandbox’s last lines:\n${lines.slice(-shownLines).join('\n')}`);
  const seconds = ((performance.now() - started) / 1000).toFixed(1);
  if (verified) console.log(`\nAll ${steps.length} steps verified in ${seconds} seconds.`);
} finally {
  await rm(folder, { recursive: true, force: true });
}
process.exitCode = verified ? 0 : 1;
