import assert from 'node:assert/strict';
import { after, before, describe, it } from 'node:test';
import { absent as apiServerIsAbsent } from '@knada/simulators/real/kube-apiserver.ts';
import { whyNoKwok } from '@knada/simulators/real/kwok.ts';
import { isAbsent, tookPart } from '@knada/simulators/real/real-parts.ts';
import { spawningContract } from '../contracts/spawning.ts';
import { hubPython } from './hub.ts';
import { binOf, startRealSpawningHub } from './spawning/real.ts';
import type { SpawningHub } from './spawning/spawning-hub.ts';

const apiServer = await apiServerIsAbsent();

for (const major of [5, 6] as const) {
  const part = `spawning hub ${major}.x` as const;
  const found = hubPython(major);
  const missing = 'absent' in found ? found.absent : whyNoKwok();
  const skip = apiServer || (missing === undefined ? false : isAbsent(part, missing));

  describe(`a real JupyterHub ${major} that starts pods in a real control plane`, { skip }, () => {
    let hub: SpawningHub;
    before(async () => {
      assert.ok('python' in found);
      hub = await startRealSpawningHub(major, binOf(found.python));
    });
    after(() => hub?.close());

    spawningContract(() => hub);

    it('spawning: the hub’s log has no traceback, and the backstop culler finds nothing to do', () => {
      const log = hub.log();
      tookPart(part, /Running JupyterHub version (\S+)/.exec(log)?.[1] ?? String(major));
      assert.doesNotMatch(log, /Traceback/);
      assert.match(log, /200 GET \/hub\/api\/users\S* \(jupyterhub-idle-culler@/);
      assert.doesNotMatch(log, /Culling server/);
    });
  });
}
