import assert from 'node:assert/strict';
import { after, before, describe, it } from 'node:test';
import {
  type Fault,
  type Kubernetes as Simulator,
  startKubernetes,
} from '@knada/simulators/kubernetes/server.ts';
import { openCluster } from '../../src/adapters/kubernetes.ts';
import type { Send } from '../support/cluster-files.ts';
import { aWorld, conditionOf, type World } from '../support/world.ts';

/** How an API server can fail on the wire, and how the team’s status speaks of it. */
const misbehaviours: readonly { readonly title: string; readonly fault: Fault; readonly says: RegExp }[] = [
  {
    title: 'answers 500',
    // The adapter waits for the Retry-After before it tries again.
    fault: { status: 500, headers: { 'retry-after': '0' } },
    says: /^Kubernetes answered 500\.$/,
  },
  { title: 'hangs', fault: { hang: true }, says: /^Kubernetes did not answer in time\.$/ },
  { title: 'hangs up', fault: { drop: true }, says: /^Kubernetes cannot be reached\.$/ },
  {
    title: 'does not let us',
    fault: { status: 403 },
    says: /does not allow this service|^The cluster rejects .*: injected fault$/,
  },
];

describe('reconciling over the wire', () => {
  let simulator: Simulator;
  let cluster: ReturnType<typeof openCluster>;
  /** By the namespace that a request is about. */
  const faults = new Map<string, () => Fault | undefined>();
  let send: Send;

  before(async () => {
    simulator = await startKubernetes();
    simulator.faults.set(({ path, agent }) => {
      const namespace = /\/namespaces\/([^/]+)/.exec(path)?.[1] ?? '';
      return agent === 'test' ? undefined : faults.get(namespace)?.();
    });
    send = async (method, path, body, contentType = 'application/json') => {
      const response = await fetch(`${simulator.url}${path}`, {
        method,
        headers: { 'content-type': contentType, 'user-agent': 'test' },
        ...(body === undefined ? {} : { body: JSON.stringify(body) }),
      });
      return { code: response.status, body: await response.json() };
    };
    cluster = openCluster({ kind: 'url', url: simulator.url });
  });
  after(async () => {
    await cluster.close();
    await simulator.close();
  });

  /** Looks with the server failing from its nth request on; answers whether it came to that. */
  const failingFrom = async (world: World, n: number, fault: Fault) => {
    const deadline = new AbortController();
    let requests = 0;
    let failed = false;
    faults.set(await world.namespace(), () => {
      if (requests++ < n) return undefined;
      failed = true;
      if (fault.hang === true) queueMicrotask(() => deadline.abort());
      return fault;
    });
    const team = await world.look(cluster, deadline.signal);
    faults.clear();
    return { team, failed };
  };

  for (const { title, fault, says } of misbehaviours) {
    it(`reports that the server ${title}, for any request, and completes the order later`, async (t) => {
      for (let n = 0; ; n++) {
        const world = await aWorld(t, { cluster, send });
        await world.create();
        await world.order();
        const { team, failed } = await failingFrom(world, n, fault);
        if (!failed) {
          assert.ok(n > 10, `${n} requests`);
          assert.equal(conditionOf(team, 'Applied')?.status, 'True');
          return;
        }
        assert.notEqual(conditionOf(team, 'Applied')?.status, 'True');
        assert.match(conditionOf(team, 'Applied')?.message ?? '', says);
        assert.notEqual(team?.status.phase, 'Ready');
        world.pass(60);
        assert.equal(conditionOf(await world.look(), 'Applied')?.status, 'True');
        // A connection that is cut is tried again after a pause each time; every other request is enough.
        if (fault.drop === true) n += 4;
      }
    });
  }

  it('sends the objects of a first order in sequence, each exactly once', async (t) => {
    const world = await aWorld(t, { cluster, send });
    const { id } = await world.create();
    await world.order({ allowlist: { enabled: true, hosts: ['pypi.org'] } });
    const writes: string[] = [];
    const stop = simulator.onRequest(({ via, isWrite, method, path, status }) => {
      if (via === 'http' && isWrite) writes.push(`${method} ${path} ${status}`);
    });
    await world.look();
    const core = `/api/v1/namespaces/team-${id}`;
    const made = [
      core,
      `/apis/networking.k8s.io/v1/namespaces/team-${id}/networkpolicies/notebook-egress-baseline`,
      `/apis/networking.k8s.io/v1/namespaces/team-${id}/networkpolicies/airflow-egress-baseline`,
      `${core}/serviceaccounts/${id}`,
      `${core}/configmaps/notebook-profiles`,
      `${core}/secrets/notebook-hub`,
      `/apis/helm.toolkit.fluxcd.io/v2/namespaces/team-${id}/helmreleases/jupyterhub`,
    ].map((path) => `PATCH ${path} 201`);
    assert.deepEqual(writes.splice(0), made);
    await world.look();
    assert.equal(writes.length, 0);

    await world.order();
    await world.look();
    stop();
    const policies = writes.filter((write) => write.includes('networkpolicies'));
    assert.deepEqual(
      policies.map((write) => write.replace(/\/apis.*\//, '')),
      [
        'PATCH notebook-egress-open 201',
        'DELETE airflow-egress-baseline 200',
        'DELETE notebook-egress-baseline 200',
      ],
    );
  });
});
