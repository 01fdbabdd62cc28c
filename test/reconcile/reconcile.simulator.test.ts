import { after, before, describe } from 'node:test';
import { reconcileContract } from '../contracts/reconcile.ts';
import { enforcePolicies } from '../support/cluster-files.ts';
import { type OpenedSimulator, openSimulator } from '../support/simulated-kubernetes.ts';

describe('reconciling: the simulator', () => {
  let kubernetes: OpenedSimulator;
  before(async () => {
    kubernetes = await openSimulator();
    await enforcePolicies(kubernetes.send);
  });
  after(() => kubernetes.close());

  reconcileContract(() => kubernetes);
});
