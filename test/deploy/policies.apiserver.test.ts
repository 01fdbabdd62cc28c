import assert from 'node:assert/strict';
import { after, before, describe } from 'node:test';
import { type ApiServer, absent } from '@knada/simulators/real/kube-apiserver.ts';
import { admissionPolicies, collector, flux, stranger } from '../contracts/admission-policies.ts';
import { startApiServer } from '../support/api-server.ts';
import { deployedUser, type Send } from '../support/cluster-files.ts';
import { sender } from '../support/rbac.ts';

describe('the admission policies: the real API server', { skip: await absent() }, () => {
  let server: ApiServer;
  const senders = new Map<string, Send>();
  before(async () => {
    server = await startApiServer();
    for (const user of [deployedUser, stranger, flux, collector]) {
      senders.set(user, sender(server, await server.tokenFor(user)));
    }
    // RBAC lets them do everything: what is refused is refused by the policies.
    const subjects = [...senders.keys()].map((user) => {
      const [, , namespace, name] = user.split(':');
      return name === undefined
        ? { apiGroup: 'rbac.authorization.k8s.io', kind: 'User', name: user }
        : { kind: 'ServiceAccount', namespace, name };
    });
    const { code } = await sender(server)('POST', '/apis/rbac.authorization.k8s.io/v1/clusterrolebindings', {
      metadata: { name: 'everything' },
      roleRef: { apiGroup: 'rbac.authorization.k8s.io', kind: 'ClusterRole', name: 'cluster-admin' },
      subjects,
    });
    assert.equal(code, 201);
  });
  after(() => server.close());

  admissionPolicies(() => ({
    admin: sender(server),
    as: async (user) => senders.get(user) ?? assert.fail(user),
  }));
});
