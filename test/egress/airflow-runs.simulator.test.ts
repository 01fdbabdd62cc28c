import { after, before, describe } from 'node:test';
import { runsContract } from '../contracts/airflow-runs.ts';
import { type OpenedSimulator, openSimulator } from '../support/simulated-kubernetes.ts';

describe('access of Airflow runs: the simulator', () => {
  let kubernetes: OpenedSimulator;
  before(async () => {
    kubernetes = await openSimulator();
  });
  after(() => kubernetes.close());
  runsContract(() => kubernetes);
});
