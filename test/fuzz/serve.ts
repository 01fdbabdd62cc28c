// `node test/fuzz/serve.ts`: the sandbox of the fuzzer with its teams, to repeat a curl line that it printed.
import { execFileSync } from 'node:child_process';
import { once } from 'node:events';
import { fileURLToPath } from 'node:url';
import { freeBase } from '../../local/ports.ts';
import { openWorld, type Role, schemathesis } from './world.ts';

const found = schemathesis();
if ('absent' in found) throw new Error(found.absent);
const world = await openWorld(await freeBase(), console.log);
console.log(`export API=${world.sandbox.url('api')}`);
for (const role of ['owner', 'member', 'auditor', 'admin'] as const satisfies readonly Role[]) {
  const env = { ...process.env, FUZZ_RUN: world.run(role).file };
  // Loading the hooks creates the teams of the role.
  execFileSync(`${found.programs}/python`, ['-B', '-c', 'import hooks'], {
    cwd: fileURLToPath(new URL('.', import.meta.url)),
    env,
    stdio: 'inherit',
  });
  console.log(`export ${role.toUpperCase()}=${world.tokens[role]}`);
}
await Promise.race([once(process, 'SIGINT'), once(process, 'SIGTERM')]);
await world.close();
