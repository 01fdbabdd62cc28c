import assert from 'node:assert/strict';
import { randomUUID } from 'node:crypto';
import { it, type TestContext } from 'node:test';
import Type from 'typebox';
import { Value } from 'typebox/value';
import { announceRun, type RunDeps, reconcileRuns } from '../../src/egress/airflow-runs.ts';
import { airflowBaselinePolicy } from '../../src/egress/baseline.ts';
import { defaultEntryOptions } from '../../src/egress/entry.ts';
import { defaultEgressSettings } from '../../src/egress/policy.ts';
import type { Manifest } from '../../src/ports/cluster.ts';
import { isWrite, recorded, spoken } from '../support/intercepted.ts';
import { aMoment } from '../support/records.ts';
import { eventually, type Kubernetes } from '../support/world.ts';

const signal = () => AbortSignal.timeout(20_000);
const Metadata = Type.Object({ metadata: Type.Object({ name: Type.String(), uid: Type.String() }) });

export const aRun = { dag_id: 'sales', task_id: 'load', run_id: 'manual__2026-11-23' } as const;

/** A namespace with Airflow in it, and its access; what DNS knows is the test’s to say. */
export const anAirflow = async (
  t: TestContext,
  { cluster, send }: Kubernetes,
  { labels = { 'team-namespace': 'true' }, baseline = true }: { labels?: object; baseline?: boolean } = {},
) => {
  const namespace = `airflow-${randomUUID().slice(0, 8)}`;
  const space = `/api/v1/namespaces/${namespace}`;
  const policies = `/apis/networking.k8s.io/v1/namespaces/${namespace}/networkpolicies`;
  const post = async (path: string, object: object) => {
    const { code, body } = await send('POST', path, object);
    assert.ok(code === 201 && Value.Check(Metadata, body), JSON.stringify(body));
    return body.metadata.uid;
  };
  await post('/api/v1/namespaces', { metadata: { name: namespace, labels } });
  t.after(() => send('DELETE', space));
  if (baseline) {
    await post(
      policies,
      airflowBaselinePolicy({ namespace, labels: {}, annotations: {} }, defaultEgressSettings),
    );
  }
  await eventually(async () => (await send('GET', `${space}/serviceaccounts/default`)).code === 200);

  const dns = new Map<string, readonly string[]>();
  const failures: string[] = [];
  let now = Date.parse(aMoment);
  const deps: RunDeps = {
    cluster,
    clock: { now: () => now },
    settings: defaultEgressSettings,
    entries: defaultEntryOptions,
    addresses: async (names) => new Map(names.map((name) => [name, dns.get(name) ?? []])),
    log: { warn: (_, event) => failures.push(event), error: (_, event) => failures.push(event) },
  };
  t.after(() => assert.deepEqual(failures, []));

  const annotated = (allowlist: string, run: Readonly<Record<string, string>>, podUid: string) => ({
    namespace,
    podUid,
    labels: run,
    annotations: { allowlist },
  });
  const list = async (): Promise<readonly Manifest[]> => {
    const found = await cluster.list(
      {
        apiVersion: 'networking.k8s.io/v1',
        kind: 'NetworkPolicy',
        namespace,
        withLabels: ['knada.io/airflow'],
      },
      signal(),
    );
    return found.filter(({ metadata }) => metadata.deletionTimestamp === undefined);
  };
  return {
    namespace,
    dns,
    deps,
    failures,
    send,
    pass: (seconds: number) => {
      now += seconds * 1000;
    },
    /** What the webhook does. */
    announce: (
      allowlist: string,
      run: Readonly<Record<string, string>> = aRun,
      podUid: string = randomUUID(),
    ) => announceRun(deps, annotated(allowlist, run, podUid), signal()),
    /** What the tick does; other tests’ runs are none of ours. */
    tick: (through = cluster) =>
      reconcileRuns(
        {
          ...deps,
          cluster: {
            ...through,
            list: async (query, until) =>
              (await through.list(query, until)).filter(({ metadata }) => metadata.namespace === namespace),
          },
        },
        signal(),
      ),
    /** A pod as Airflow makes one; its uid. */
    pod: (name: string, allowlist: string | undefined, run: object = aRun) =>
      post(`${space}/pods`, {
        metadata: { name, labels: run, ...(allowlist === undefined ? {} : { annotations: { allowlist } }) },
        spec: { containers: [{ name: 'base', image: 'ghcr.io/navikt/airflow:1' }] },
      }),
    end: (name: string) =>
      send(
        'PATCH',
        `${space}/pods/${name}/status`,
        { status: { phase: 'Succeeded' } },
        'application/merge-patch+json',
      ),
    async delete(name: string) {
      await send('DELETE', `${space}/pods/${name}?gracePeriodSeconds=0`);
      await eventually(async () => (await send('GET', `${space}/pods/${name}`)).code === 404);
    },
    put: (policy: object) => post(policies, policy),
    list,
    async only(): Promise<Manifest | undefined> {
      const found = await list();
      assert.ok(found.length <= 1, JSON.stringify(found));
      return found[0];
    },
  };
};

export const peersOf = (policy: Manifest | undefined): readonly string[] =>
  [...JSON.stringify(policy?.spec ?? {}).matchAll(/"cidr":"([^"]+)"/g)].map(([, cidr = '']) => cidr);
const ownersOf = (policy: Manifest | undefined) =>
  (policy?.metadata.ownerReferences ?? []).map(({ uid }) => uid).toSorted();

/** How Airflow’s runs get access of their own; to be called inside a `describe` that names the API server. */
export const runsContract = (open: () => Kubernetes): void => {
  it('opens what an announced pod asks for, for its run only', async (t) => {
    const airflow = await anAirflow(t, open());
    airflow.dns.set('a.com', ['93.184.216.34']);
    assert.deepEqual(await airflow.announce('a.com, 8.8.8.8:53'), []);
    const policy = await airflow.only();
    assert.match(policy?.metadata.name ?? '', /^airflow-egress-allow-[0-9a-f]{16}$/);
    assert.deepEqual(policy?.spec, {
      podSelector: { matchLabels: aRun },
      policyTypes: ['Egress'],
      egress: [
        { ports: [{ protocol: 'TCP', port: 53 }], to: [{ ipBlock: { cidr: '8.8.8.8/32' } }] },
        { ports: [{ protocol: 'TCP', port: 443 }], to: [{ ipBlock: { cidr: '93.184.216.34/32' } }] },
      ],
    });
    assert.equal(policy?.metadata.ownerReferences, undefined, 'a pod that is not stored owns nothing');
  });

  it('warns about entries that it does not open, and opens the rest', async (t) => {
    const airflow = await anAirflow(t, open());
    airflow.dns.set('a.com', ['93.184.216.34']).set('b.com', ['10.0.0.1']);
    const warnings = await airflow.announce('a.com,*.nav.no,10.0.0.1,b.com,c.com,');
    assert.equal(warnings.length, 3);
    assert.match(warnings[0] ?? '', /wildcard/);
    assert.match(warnings[1] ?? '', /private/);
    assert.equal(
      warnings[2],
      '2 of 3 hosts have no address that can be opened: b.com (blocked_private_answer), c.com (unresolved).',
    );
    assert.deepEqual(peersOf(await airflow.only()), ['93.184.216.34/32']);
  });

  it('opens nothing without a baseline for the workers, and warns', async (t) => {
    const airflow = await anAirflow(t, open(), { baseline: false });
    const [warning, ...more] = await airflow.announce('8.8.8.8');
    assert.match(warning ?? '', /no effect \(no_baseline\).*airflow-egress-baseline/);
    assert.deepEqual(more, []);
    await airflow.pod('worker', '8.8.8.8');
    assert.deepEqual(await airflow.tick(), { runs: 1, written: 0, removed: 0 });
    assert.deepEqual(await airflow.list(), []);
  });

  it('ignores a namespace that belongs to no team', async (t) => {
    const airflow = await anAirflow(t, open(), { labels: {} });
    assert.deepEqual(await airflow.announce('8.8.8.8'), []);
    await airflow.pod('worker', '8.8.8.8');
    await airflow.tick();
    assert.deepEqual(await airflow.list(), []);
  });

  it('opens nothing for a pod without the labels of its run', async (t) => {
    const airflow = await anAirflow(t, open());
    const { run_id: _, ...partial } = aRun;
    assert.deepEqual(await airflow.announce('8.8.8.8', partial), [
      'The allowlist is not opened: the pod needs the labels dag_id, task_id and run_id.',
    ]);
    await airflow.pod('worker', '8.8.8.8', partial);
    await airflow.tick();
    assert.deepEqual(await airflow.list(), []);
  });

  it('carries whose namespace it is', async (t) => {
    const labels = { 'team-namespace': 'true', 'knada.io/team-id': 'red-3f2a', 'knada.io/team': 'red' };
    const airflow = await anAirflow(t, open(), { labels });
    await airflow.announce('8.8.8.8');
    assert.deepEqual((await airflow.only())?.metadata.labels, {
      'app.kubernetes.io/managed-by': 'knada-notebooks',
      'knada.io/airflow': 'true',
      'knada.io/team-id': 'red-3f2a',
      'knada.io/team': 'red',
    });
  });

  it('announcing a pod twice, or retrying its creation, gives the same policy', async (t) => {
    const airflow = await anAirflow(t, open());
    for (const uid of [randomUUID(), randomUUID()]) {
      await airflow.announce('8.8.8.8', aRun, uid);
      await airflow.announce('8.8.8.8', aRun, uid);
    }
    assert.deepEqual(peersOf(await airflow.only()), ['8.8.8.8/32']);
  });

  it('concurrent announcements give one policy with everything that they ask for', async (t) => {
    const airflow = await anAirflow(t, open());
    const asked = ['8.8.8.8', '8.8.4.4', '9.9.9.9'];
    const answers = await Promise.all(asked.map((address) => airflow.announce(address)));
    const reached = peersOf(await airflow.only());
    for (const [index, address] of asked.entries()) {
      const isTold = answers[index]?.some((warning) => warning.includes('tried again')) ?? false;
      assert.ok(isTold || reached.includes(`${address}/32`), address);
    }
  });

  it('makes the pod the owner of the policy once it exists, so both are deleted together', async (t) => {
    const airflow = await anAirflow(t, open());
    const uid = await airflow.pod('worker', '8.8.8.8');
    await airflow.announce('8.8.8.8', aRun, uid);
    assert.deepEqual(await airflow.tick(), { runs: 1, written: 1, removed: 0 });
    assert.deepEqual(ownersOf(await airflow.only()), [uid]);
    assert.deepEqual(await airflow.tick(), { runs: 1, written: 0, removed: 0 });
    await airflow.delete('worker');
    await eventually(async () => (await airflow.list()).length === 0);
  });

  it('stays while one pod of the run lives, for that pod', async (t) => {
    const airflow = await anAirflow(t, open());
    await airflow.pod('one', '8.8.8.8');
    const two = await airflow.pod('two', '9.9.9.9');
    await airflow.tick();
    assert.deepEqual(peersOf(await airflow.only()), ['8.8.8.8/32', '9.9.9.9/32']);
    await airflow.delete('one');
    await airflow.tick();
    assert.deepEqual(peersOf(await airflow.only()), ['9.9.9.9/32']);
    assert.deepEqual(ownersOf(await airflow.only()), [two]);
    await airflow.end('two');
    assert.deepEqual(await airflow.tick(), { runs: 0, written: 0, removed: 1 });
    assert.equal(await airflow.only(), undefined);
  });

  it('keeps the policy when an old pod is deleted while a new one is announced', async (t) => {
    const airflow = await anAirflow(t, open());
    await airflow.pod('one', '8.8.8.8');
    await airflow.tick();
    await airflow.announce('8.8.8.8');
    assert.deepEqual(ownersOf(await airflow.only()), []);
    await airflow.delete('one');
    await airflow.tick();
    assert.deepEqual(peersOf(await airflow.only()), ['8.8.8.8/32']);
  });

  it('removes the policy of an announced pod that does not exist after two ticks', async (t) => {
    const airflow = await anAirflow(t, open());
    await airflow.announce('8.8.8.8');
    airflow.pass(60);
    await airflow.tick();
    assert.notEqual(await airflow.only(), undefined, 'it may still come');
    airflow.pass(61);
    assert.deepEqual(await airflow.tick(), { runs: 0, written: 0, removed: 1 });
    assert.equal(await airflow.only(), undefined);
  });

  it('removes what a forged call added to a live run after two ticks', async (t) => {
    const airflow = await anAirflow(t, open());
    const uid = await airflow.pod('worker', '8.8.8.8');
    await airflow.tick();
    await airflow.announce('9.9.9.9');
    assert.deepEqual(peersOf(await airflow.only()), ['8.8.8.8/32', '9.9.9.9/32']);
    airflow.pass(121);
    await airflow.tick();
    assert.deepEqual(peersOf(await airflow.only()), ['8.8.8.8/32']);
    assert.deepEqual(ownersOf(await airflow.only()), [uid]);
  });

  it('opens at the tick for a pod that was not announced, and follows address changes', async (t) => {
    const airflow = await anAirflow(t, open());
    await airflow.pod('worker', 'a.com');
    await airflow.pod('silent', undefined, { ...aRun, task_id: 'other' });
    assert.deepEqual(await airflow.tick(), { runs: 1, written: 0, removed: 0 });
    airflow.dns.set('a.com', ['93.184.216.34']);
    await airflow.tick();
    assert.deepEqual(peersOf(await airflow.only()), ['93.184.216.34/32']);
    airflow.dns.set('a.com', ['93.184.216.35']);
    await airflow.tick();
    assert.deepEqual(peersOf(await airflow.only()), ['93.184.216.35/32']);
  });

  it('removes the policy with the baseline, since alone it would cut the worker off', async (t) => {
    const airflow = await anAirflow(t, open());
    await airflow.pod('worker', '8.8.8.8');
    await airflow.tick();
    const path = `/apis/networking.k8s.io/v1/namespaces/${airflow.namespace}/networkpolicies`;
    await airflow.send('DELETE', `${path}/airflow-egress-baseline`);
    await airflow.tick();
    assert.deepEqual(await airflow.list(), []);
  });

  it('leaves a policy of the same name that another owner created', async (t) => {
    const airflow = await anAirflow(t, open());
    await airflow.announce('8.8.8.8');
    const { name = '' } = (await airflow.only())?.metadata ?? {};
    airflow.pass(121);
    await airflow.tick();
    const spec = { podSelector: {}, policyTypes: ['Egress'], egress: [] };
    await airflow.put({ metadata: { name }, spec });
    assert.match((await airflow.announce('8.8.8.8')).join(), /belongs to another owner/);
    await airflow.pod('worker', '8.8.8.8');
    await airflow.tick();
    assert.deepEqual(airflow.failures.splice(0), ['run policy not written']);
    const path = `/apis/networking.k8s.io/v1/namespaces/${airflow.namespace}/networkpolicies/${name}`;
    const { body } = await airflow.send('GET', path);
    assert.ok(Value.Check(Type.Object({ spec: Type.Object({ podSelector: Type.Object({}) }) }), body));
    assert.deepEqual(body.spec.podSelector, {});
  });

  it('makes two list calls when there is nothing to do', async (t) => {
    const { cluster } = open();
    const airflow = await anAirflow(t, open());
    const watched = recorded(cluster);
    await airflow.tick(watched.cluster);
    assert.deepEqual(watched.calls.map(spoken), ['list Pod', 'list NetworkPolicy']);
    assert.deepEqual(watched.calls.filter(isWrite), []);
  });
};
