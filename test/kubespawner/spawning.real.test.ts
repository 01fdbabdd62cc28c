import assert from 'node:assert/strict';
import { after, before, describe, it } from 'node:test';
import { absent as apiServerIsAbsent } from '@knada/simulators/real/kube-apiserver.ts';
import { whyNoKwok } from '@knada/simulators/real/kwok.ts';
import { isAbsent, tookPart } from '@knada/simulators/real/real-parts.ts';
import { spawningContract } from '../contracts/spawning.ts';
import { hubPython } from './hub.ts';
import { binOf, type ControlPlane, startControlPlane, startRealSpawningHub } from './spawning/real.ts';
import type { SpawningHub } from './spawning/spawning-hub.ts';

const apiServer = await apiServerIsAbsent();
const kwok = whyNoKwok();

// Both at once, in one control plane: they wait for processes more than they compute.
describe('spawning: real hubs in a real control plane', { skip: apiServer, concurrency: true }, () => {
  let plane: Promise<ControlPlane> | undefined;
  const inPlane = (): Promise<ControlPlane> => {
    plane ??= startControlPlane();
    return plane;
  };
  after(async () => (await plane)?.close());

  for (const major of [5, 6] as const) {
    const part = `spawning hub ${major}.x` as const;
    const found = hubPython(major);
    const missing = 'absent' in found ? found.absent : kwok;
    const skip = missing === undefined ? false : isAbsent(part, missing);

    describe(`JupyterHub ${major}`, { skip, concurrency: false }, () => {
      let hub: SpawningHub;
      before(async () => {
        assert.ok('python' in found);
        hub = await startRealSpawningHub(await inPlane(), major, binOf(found.python));
      });
      after(() => hub?.close());

      spawningContract(() => hub);

      it('spawning: the backstop culler has what it needs, and finds nothing to do', () => {
        const log = hub.log();
        tookPart(part, /Running JupyterHub version (\S+)/.exec(log)?.[1] ?? String(major));
        assert.match(log, /200 GET \/hub\/api\/users\S* \(jupyterhub-idle-culler@/);
        assert.doesNotMatch(log, /Culling server/);
      });

      it('spawning: the hub’s log has no traceback', () => {
        const lines = hub.log().split('\n');
        const found = lines.flatMap((line, index) =>
          line.startsWith('Traceback') ? [lines.slice(index - 1, index + 40).join('\n')] : [],
        );
        assert.deepEqual(found, []);
      });
    });
  }
});
