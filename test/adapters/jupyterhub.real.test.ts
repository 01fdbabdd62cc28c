import { after, before, describe } from 'node:test';
import { clockContract } from '../contracts/hub/clock.ts';
import { cullContract } from '../contracts/hub/culling.ts';
import { hubContract } from '../contracts/hub.ts';
import { absent, startJupyterHub, type TestJupyterHub } from '../support/jupyterhub.ts';

// Both at once: they wait for processes more than they compute.
describe('hubs: the real JupyterHub', { concurrency: true }, () => {
  for (const major of [5, 6] as const) {
    describe(String(major), { skip: absent(major), concurrency: false }, () => {
      let hub: TestJupyterHub;
      before(async () => {
        hub = await startJupyterHub(major);
      });
      after(() => hub.close());
      hubContract(async () => hub);
      clockContract(async () => hub);
      cullContract(async () => hub);
    });
  }
});
