import { after, before, describe } from 'node:test';
import { hubContract } from '../contracts/hub.ts';
import { absent, startJupyterHub, type TestJupyterHub } from '../support/jupyterhub.ts';

for (const major of [5, 6] as const) {
  describe(`hubs: the real JupyterHub ${major}`, { skip: absent(major) }, () => {
    let hub: TestJupyterHub;
    before(async () => {
      hub = await startJupyterHub(major);
    });
    after(() => hub.close());
    hubContract(async () => hub);
  });
}
