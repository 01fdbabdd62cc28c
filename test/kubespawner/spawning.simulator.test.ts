import { after, before, describe } from 'node:test';
import { spawningContract } from '../contracts/spawning.ts';
import { startSimulatedSpawningHub } from './spawning/simulated.ts';
import type { SpawningHub } from './spawning/spawning-hub.ts';

for (const version of ['5.5.0', '6.1.1'] as const) {
  describe(`a simulated JupyterHub ${version} that starts pods in a simulated cluster`, () => {
    let hub: SpawningHub;
    before(async () => {
      hub = await startSimulatedSpawningHub(version);
    });
    after(() => hub?.close());

    spawningContract(() => hub);
  });
}
