import assert from 'node:assert/strict';
import { it } from 'node:test';
import { refreshHosts } from '../../../src/egress/addresses.ts';
import type { Manifest } from '../../../src/ports/cluster.ts';
import { findDrifted } from '../../../src/reconcile/drift-detection.ts';
import { isWrite, recorded, spoken } from '../../support/intercepted.ts';
import { aPod, aWorld, conditionOf, eventually, type Kubernetes, type World } from '../../support/world.ts';

const notebook = { component: 'singleuser-server' };
const list = (...hosts: readonly string[]) => ({ allowlist: { enabled: true, hosts: [...hosts] } });
const allow = (world: World) => world.raw('NetworkPolicy', 'notebook-egress-allow');
const peersOf = (policy: Manifest | undefined): readonly string[] => {
  const text = JSON.stringify(policy?.spec ?? {});
  return [...text.matchAll(/"cidr":"([^"]+)"/g)].map(([, cidr = '']) => cidr);
};
const writesOf = async (world: World, options = {}): Promise<readonly string[]> => {
  const { cluster, calls } = recorded(world.cluster);
  await world.look(cluster, undefined, options);
  return calls.filter(isWrite).map(spoken);
};
/** What the tick finds. */
const stray = async (world: World): Promise<readonly string[]> => {
  const namespace = await world.namespace();
  const [policies, pods] = await Promise.all([
    world.list('NetworkPolicy', namespace),
    world.list('Pod', namespace),
  ]);
  return findDrifted(await world.store.restricted(), policies, pods);
};

/** How what is allowed follows the notebooks; to be called inside a `describe` that names the API server. */
export const liveEgress = (open: () => Kubernetes): void => {
  it('opens the list while a notebook is running, owned by its pod, and closes it when the pod is deleted', async (t) => {
    const world = await aWorld(t, open());
    world.dns.set('pypi.org', ['151.101.0.223', '151.101.64.223']);
    await world.ordered(list('pypi.org'));
    assert.equal(await allow(world), undefined);
    const pod = await world.put('Pod', aPod('jupyter-kari', notebook));
    assert.deepEqual(await stray(world), [world.slug]);
    await world.look();
    const policy = await allow(world);
    assert.deepEqual(peersOf(policy), ['151.101.0.223/32', '151.101.64.223/32']);
    assert.deepEqual(
      policy?.metadata.ownerReferences?.map(({ uid }) => uid),
      [pod.metadata.uid],
    );
    assert.deepEqual(await stray(world), []);
    assert.deepEqual(await writesOf(world), []);
    await world.delete('Pod', 'jupyter-kari');
    await eventually(async () => (await world.raw('Pod', 'jupyter-kari')) === undefined);
    assert.deepEqual(await stray(world), [world.slug]);
    await world.look();
    assert.equal(await allow(world), undefined);
    assert.deepEqual(await stray(world), []);
  });

  it('restores a deleted policy at the next tick', async (t) => {
    const world = await aWorld(t, open());
    world.dns.set('pypi.org', ['151.101.0.223']);
    await world.ordered(list('pypi.org'));
    await world.put('Pod', aPod('jupyter-kari', notebook));
    await world.look();
    for (const name of ['notebook-egress-allow', 'notebook-egress-baseline', 'airflow-egress-baseline']) {
      await world.delete('NetworkPolicy', name);
      assert.deepEqual(await stray(world), [world.slug], name);
      await world.look();
      assert.notEqual(await world.raw('NetworkPolicy', name), undefined);
      assert.deepEqual(await stray(world), []);
    }
  });

  it('detects at the next tick every change of a policy, also of an empty list and by others', async (t) => {
    const world = await aWorld(t, open());
    await world.ordered(list());
    await world.put('Pod', aPod('jupyter-kari', notebook));
    await world.look();
    assert.deepEqual(await stray(world), []);
    const everything = { podSelector: {}, policyTypes: ['Egress'], egress: [{}] };
    const changes: readonly (readonly [string, () => Promise<unknown>])[] = [
      [
        'all policies are deleted',
        async () => {
          await world.delete('NetworkPolicy', 'notebook-egress-baseline');
          await world.delete('NetworkPolicy', 'airflow-egress-baseline');
        },
      ],
      [
        'a policy of ours is edited by hand',
        () => world.edit('NetworkPolicy', 'notebook-egress-baseline', { spec: { egress: [{}] } }),
      ],
      [
        'a policy of ours loses its label',
        () =>
          world.edit('NetworkPolicy', 'airflow-egress-baseline', {
            metadata: { labels: { 'knada.io/team-id': null } },
          }),
      ],
      [
        'a foreign policy is added',
        () => world.put('NetworkPolicy', { metadata: { name: 'mine' }, spec: { podSelector: {} } }),
      ],
      [
        'a foreign policy is changed to open everything',
        () => world.edit('NetworkPolicy', 'mine', { spec: everything }),
      ],
    ];
    for (const [title, happens] of changes) {
      await happens();
      assert.deepEqual(await stray(world), [world.slug], title);
      const team = await world.look();
      if (title.includes('label')) {
        // Without its label it is no longer ours: a person has to decide.
        assert.equal(conditionOf(team, 'Applied')?.reason, 'Conflict');
        await world.delete('NetworkPolicy', 'airflow-egress-baseline');
        await world.look();
      }
      assert.deepEqual(await stray(world), [], title);
    }
    const baseline = await world.raw('NetworkPolicy', 'notebook-egress-baseline');
    assert.doesNotMatch(JSON.stringify(baseline?.spec), /\{\}/);
    assert.equal(conditionOf(await world.record(), 'EgressEffective')?.reason, 'Widened');
    assert.deepEqual(await writesOf(world), []);
  });

  it('restricts a team that opts in although another owner has its ServiceAccount', async (t) => {
    const world = await aWorld(t, open());
    const { id } = await world.ordered();
    await world.put('Pod', aPod('jupyter-kari', notebook));
    await world.edit('ServiceAccount', id, { metadata: { labels: { 'knada.io/team-id': 'another' } } });
    await world.order(list());
    const team = await world.look();
    assert.equal(conditionOf(team, 'Applied')?.reason, 'Conflict');
    assert.equal(await world.raw('NetworkPolicy', 'notebook-egress-open'), undefined);
    assert.notEqual(await world.raw('NetworkPolicy', 'notebook-egress-baseline'), undefined);
    assert.equal(conditionOf(team, 'EgressEffective')?.status, 'True');
  });

  it('opens for an announced start, and closes when no pod follows', async (t) => {
    const world = await aWorld(t, open());
    world.dns.set('pypi.org', ['151.101.0.223']);
    await world.ordered(list('pypi.org'));
    assert.deepEqual(await writesOf(world, { announced: true }), [
      'apply NetworkPolicy notebook-egress-baseline',
      'apply NetworkPolicy notebook-egress-allow',
    ]);
    assert.equal((await allow(world))?.metadata.ownerReferences, undefined);
    assert.deepEqual(await stray(world), [world.slug], 'the next tick looks whether it has come');
    await world.look();
    assert.equal(await allow(world), undefined);
    assert.deepEqual(await stray(world), []);
  });

  it('ignores a pod that has terminated', async (t) => {
    const world = await aWorld(t, open());
    world.dns.set('pypi.org', ['151.101.0.223']);
    await world.ordered(list('pypi.org'));
    await world.put('Pod', aPod('jupyter-kari', notebook));
    await world.look();
    assert.notEqual(await allow(world), undefined);
    const path = `/api/v1/namespaces/${await world.namespace()}/pods/jupyter-kari/status`;
    await world.send('PATCH', path, { status: { phase: 'Failed' } }, 'application/merge-patch+json');
    assert.deepEqual(await stray(world), [world.slug]);
    await world.look();
    assert.equal(await allow(world), undefined);
  });

  it('applies a changed list to a running notebook in the same reconcile, removals included', async (t) => {
    const world = await aWorld(t, open());
    world.dns.set('pypi.org', ['151.101.0.223']).set('api.github.com', ['140.82.121.6']);
    await world.ordered(list('pypi.org'));
    await world.put('Pod', aPod('jupyter-kari', notebook));
    await world.look();
    await world.order(list('api.github.com'));
    await world.look();
    assert.deepEqual(peersOf(await allow(world)), ['140.82.121.6/32']);
    await world.order(list());
    await world.look();
    assert.equal(await allow(world), undefined);
  });

  it('resolves a host at once when it is listed again after its record expired', async (t) => {
    const world = await aWorld(t, open());
    world.dns.set('pypi.org', ['151.101.0.223']);
    await world.ordered(list('pypi.org'));
    await world.put('Pod', aPod('jupyter-kari', notebook));
    await world.order(list());
    await world.look();
    await world.store.changeHost('pypi.org', (host) => host && { ...host, dueAt: null });
    world.pass(4 * 3600);
    await world.order(list('pypi.org'));
    await world.look();
    assert.deepEqual(peersOf(await allow(world)), ['151.101.0.223/32']);
  });

  it('never opens more in between when a team opts in or out', async (t) => {
    const world = await aWorld(t, open());
    world.dns.set('pypi.org', ['151.101.0.223']);
    await world.ordered();
    await world.put('Pod', aPod('jupyter-kari', notebook));
    await world.order(list('pypi.org'));
    const policies = (calls: readonly string[]) => calls.filter((call) => call.includes('notebook-egress'));
    assert.deepEqual(policies(await writesOf(world)), [
      'apply NetworkPolicy notebook-egress-baseline',
      'apply NetworkPolicy notebook-egress-allow',
      'remove NetworkPolicy notebook-egress-open',
      // Now that the list is open it says for which notebooks.
      'apply NetworkPolicy notebook-egress-baseline',
    ]);
    await world.order();
    assert.deepEqual(policies(await writesOf(world)), [
      'apply NetworkPolicy notebook-egress-open',
      'remove NetworkPolicy notebook-egress-allow',
      'remove NetworkPolicy notebook-egress-baseline',
    ]);
  });

  it('removes the `open` policy even when the list cannot be opened', async (t) => {
    const world = await aWorld(t, open());
    world.dns.set('pypi.org', ['151.101.0.223']);
    await world.ordered();
    await world.put('Pod', aPod('jupyter-kari', notebook));
    await world.put('NetworkPolicy', {
      metadata: { name: 'notebook-egress-allow' },
      spec: { podSelector: {}, policyTypes: ['Egress'] },
    });
    await world.order(list('pypi.org'));
    const team = await world.look();
    assert.equal(conditionOf(team, 'Applied')?.reason, 'Conflict');
    assert.equal(await world.raw('NetworkPolicy', 'notebook-egress-open'), undefined);
  });

  it('records the hosts of a list, resolves new ones at once, and drops them on opting out', async (t) => {
    const world = await aWorld(t, open());
    world.dns.set('pypi.org', ['151.101.0.223']);
    const { egressHosts } = await world.ordered(list('pypi.org', '140.82.121.6:443'));
    assert.deepEqual(egressHosts, ['pypi.org', 'secretmanager.googleapis.com']);
    const hosts = await world.store.hosts(['pypi.org']);
    assert.deepEqual(Object.keys(hosts.get('pypi.org')?.addresses ?? {}), ['151.101.0.223']);
    await world.order();
    await world.look();
    assert.deepEqual((await world.record()).egressHosts, []);
    assert.equal(conditionOf(await world.record(), 'EgressEffective'), undefined);
  });

  it('reports that the restriction is enforced, and which entries cannot be reached', async (t) => {
    const world = await aWorld(t, open());
    world.dns.set('pypi.org', ['151.101.0.223']).set('private.example.com', ['10.1.2.3']);
    await world.ordered(list('pypi.org', 'private.example.com:1521', 'missing.example.com'));
    const condition = conditionOf(await world.record(), 'EgressEffective');
    assert.equal(condition?.status, 'True');
    assert.equal(
      condition?.message,
      'Notebooks can reach the allowlist and nothing else. Not reachable now: missing.example.com:443 (no address is known), private.example.com:1521 (resolves to a private address).',
    );
  });

  it('records unreachable entries once, and again only when they change, whatever the order of DNS answers', async (t) => {
    const world = await aWorld(t, open());
    const { store, names, clock } = world;
    const quiet = { info() {}, warn() {}, error() {} };
    const answers = ['10.1.2.3', '10.1.2.4'];
    world.dns.set('pypi.org', ['151.101.0.223', '151.101.64.223']).set('private.example.com', answers);
    await world.ordered(list('private.example.com', 'missing.example.com', 'pypi.org'));
    await world.put('Pod', aPod('jupyter-kari', notebook));
    await world.look();
    await world.look();
    const before = await world.record();
    for (const order of [answers.toReversed(), answers, answers.toReversed()]) {
      world.dns.set('private.example.com', order);
      world.dns.set('pypi.org', ['151.101.64.223', '151.101.0.223']);
      world.pass(600);
      const { looked } = await refreshHosts({ store, dns: names, clock, log: quiet, random: () => 0 });
      assert.ok(looked >= 2, `${looked} lookups`);
      await world.look();
      const now = await world.record();
      assert.deepEqual(now.status.conditions, before.status.conditions);
      assert.equal(now.statusVersion, before.statusVersion);
      await world.look();
      assert.deepEqual(await world.record(), now, 'the second reconcile writes nothing');
    }
    world.dns.set('missing.example.com', ['151.101.128.223']);
    world.pass(3600);
    await refreshHosts({ store, dns: names, clock, log: quiet, random: () => 0 });
    await world.look();
    const after = await world.record();
    const [then, now] = [before, after].map((team) => conditionOf(team, 'EgressEffective'));
    assert.match(
      now?.message ?? '',
      /Not reachable now: private\.example\.com:443 \(resolves to [a-z ]+\)\.$/,
    );
    assert.equal(now?.lastTransitionTime, then?.lastTransitionTime);
    assert.equal(after.statusVersion, before.statusVersion + 1);
  });

  it('reports a foreign policy that opens more, and Google APIs at addresses outside the configured ranges', async (t) => {
    const world = await aWorld(t, open());
    await world.ordered(list('pypi.org'));
    await world.put('NetworkPolicy', {
      metadata: { name: 'everything' },
      spec: { podSelector: {}, policyTypes: ['Egress'], egress: [{}] },
    });
    const widened = conditionOf(await world.look(), 'EgressEffective');
    assert.equal(widened?.status, 'False');
    assert.equal(widened?.reason, 'Widened');
    assert.match(widened?.message ?? '', /everything/);
    await world.delete('NetworkPolicy', 'everything');

    const other = await aWorld(t, open());
    other.dns.set('secretmanager.googleapis.com', ['142.250.74.42']);
    await other.ordered(list('pypi.org'));
    const uncovered = conditionOf(await other.record(), 'EgressEffective');
    assert.equal(uncovered?.reason, 'GoogleApisNotCovered');
    assert.match(uncovered?.message ?? '', /142\.250\.74\.42/);
  });
};
