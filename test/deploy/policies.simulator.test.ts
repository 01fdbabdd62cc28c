import { after, before, describe } from 'node:test';
import { type Kubernetes, startKubernetes } from '@knada/simulators/kubernetes/server.ts';
import { admissionPolicies } from '../contracts/admission-policies.ts';
import type { Send } from '../support/cluster-files.ts';

describe('the admission policies: the simulator', () => {
  let simulator: Kubernetes;
  before(async () => {
    simulator = await startKubernetes();
  });
  after(() => simulator.close());

  const sender =
    (headers: Readonly<Record<string, string>>): Send =>
    async (method, path, body, contentType = 'application/json') => {
      const response = await fetch(`${simulator.url}${path}`, {
        method,
        headers: { 'content-type': contentType, ...headers },
        ...(body === undefined ? {} : { body: JSON.stringify(body) }),
      });
      return { code: response.status, body: await response.json() };
    };
  admissionPolicies(() => ({
    admin: sender({}),
    as: async (user) => sender({ authorization: `Bearer ${user}` }),
  }));
});
