import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import type { V1NetworkPolicy } from '@kubernetes/client-node';
import fc from 'fast-check';
import { airflowLabels } from '../../src/egress/airflow.ts';
import { defaultEntryOptions } from '../../src/egress/entry.ts';
import { allowlistLabel, isInSync } from '../../src/egress/fingerprint.ts';
import { podOwners } from '../../src/egress/pod-owner.ts';
import { defaultEgressSettings, type EgressSettings } from '../../src/egress/policy.ts';
import { type Cidr, parseCidr } from '../../src/egress/ranges.ts';
import { teamPolicies } from '../../src/egress/team-policies.ts';
import { takeSteps, transition } from '../../src/egress/transition.ts';
import { type Manifest, nameOf } from '../../src/ports/cluster.ts';
import { isOwned } from '../../src/teams/desired.ts';
import { egressAllowed, type Pod } from '../support/network-policy.ts';
import { aNotebook, anOrderedRecord, aSpec } from '../support/records.ts';

const range = (text: string): Cidr => parseCidr(text) ?? assert.fail(text);
/** Documentation ranges stand for the public Internet. */
const privateRanges = ['203.0.113.0/24', '198.51.100.0/24'].map(range);
const settings: EgressSettings = { ...defaultEgressSettings, privateRanges };
const entries = { ...defaultEntryOptions, privateRanges, allowCidr: true };
const addresses = new Map([
  ['a.com', ['203.0.113.1']],
  ['b.com', ['203.0.113.2']],
]);

/** What a team has ordered, and which notebook pods it has; `backend` is the operator’s. */
interface State {
  readonly hosts: readonly string[] | 'everything';
  readonly pods: readonly string[] | 'announced';
  readonly backend?: EgressSettings['backend'];
}

const team = (hosts: State['hosts']) => {
  const allowlist =
    hosts === 'everything' ? { enabled: false, hosts: [] } : { enabled: true, hosts: [...hosts] };
  const notebook = aNotebook({ spec: aSpec({ allowlist }) });
  return { ...anOrderedRecord({ notebook }), notebook };
};
const pods = (names: State['pods']): readonly Manifest[] =>
  names === 'announced'
    ? []
    : names.map((name) => ({ apiVersion: 'v1', kind: 'Pod', metadata: { name, uid: `uid-${name}` } }));
const wantedIn = ({ hosts, pods: names, backend = 'ip' }: State): readonly Manifest[] =>
  teamPolicies(
    team(hosts),
    { settings: { ...settings, backend }, entries },
    { addresses, podsAlive: names.length > 0, owners: podOwners(pods(names)) },
  );
const isOurs = (policy: Manifest) => isOwned(policy, team([]));
const steps = (to: State, existing: readonly Manifest[]) => transition(wantedIn(to), existing, isOurs);
const spoken = (to: State, existing: readonly Manifest[]) =>
  steps(to, existing).map((step) => `${step.do} ${step.policy.metadata.name}`);

const open: State = { hosts: 'everything', pods: ['kari'] };
const listed: State = { hosts: ['a.com'], pods: ['kari'] };

describe('the steps between two sets of policies', () => {
  it('apply the baseline before the open policy is removed when a team opts in', () => {
    assert.deepEqual(spoken(listed, wantedIn(open)), [
      'apply notebook-egress-baseline',
      'apply airflow-egress-baseline',
      'apply notebook-egress-allow',
      'remove notebook-egress-open',
      'apply notebook-egress-baseline',
    ]);
  });

  it('apply the open policy before the rest is removed when a team opts out', () => {
    assert.deepEqual(spoken(open, wantedIn(listed)), [
      'apply notebook-egress-open',
      'remove notebook-egress-baseline',
      'remove airflow-egress-baseline',
      'remove notebook-egress-allow',
    ]);
  });

  it('remove the allow policy with the last notebook, and keep the baseline', () => {
    assert.deepEqual(spoken({ ...listed, pods: [] }, wantedIn(listed)), [
      'apply notebook-egress-baseline',
      'remove notebook-egress-allow',
      'apply airflow-egress-baseline',
      'apply notebook-egress-baseline',
    ]);
  });

  it('remove what is no longer allowed before anything new is allowed, with GKE’s policies by host name', () => {
    const [before, after]: State[] = [
      { ...listed, backend: 'gke-fqdn' },
      { hosts: ['b.com'], pods: ['kari'], backend: 'gke-fqdn' },
    ];
    assert.ok(before && after);
    const [old, next] = [before, after].map((state) => wantedIn(state).at(-1)?.metadata.name);
    const order = spoken(after, wantedIn(before));
    assert.ok(order.indexOf(`remove ${old}`) < order.indexOf(`apply ${next}`));
    assert.ok(order.includes(`remove ${old}`));
  });

  it('remove the objects of a backend that is no longer used', () => {
    const before = wantedIn({ ...listed, backend: 'gke-fqdn' });
    assert.ok(spoken(listed, before).includes(`remove ${before.at(-1)?.metadata.name}`));
  });

  it('leave alone policies of others, those of Airflow runs, and those that are being deleted', () => {
    const policy = (name: string, metadata: Partial<Manifest['metadata']>): Manifest => ({
      apiVersion: 'networking.k8s.io/v1',
      kind: 'NetworkPolicy',
      metadata: { name, ...metadata },
    });
    const { labels = {} } = wantedIn(open)[0]?.metadata ?? {};
    assert.deepEqual(
      spoken(open, [
        policy('singleuser', { labels: { component: 'singleuser-server' } }),
        policy('airflow-egress-allow-1', { labels: { ...labels, ...airflowLabels } }),
        policy('notebook-egress-allow', { labels, deletionTimestamp: '2026-11-23T09:00:00Z' }),
      ]),
      ['apply notebook-egress-open'],
    );
  });
});

/** `lost`: the write has no effect. `unheard`: it has its effect, and the answer is lost. */
type Failures = ReadonlyMap<number, 'lost' | 'unheard'>;

/** Policies by name, as the cluster holds them. */
type Held = Map<string, Manifest>;
const held = (policies: readonly Manifest[]): Held => new Map(policies.map((one) => [nameOf(one), one]));

/** One reconcile: takes the steps as production does. Answers the policies at each moment, and whether any write failed. */
const reconcile = async (cluster: Held, to: State, failures: Failures = new Map()) => {
  const moments = [[...cluster.values()]];
  let calls = 0;
  let lostApply = false;
  const errors = await takeSteps(steps(to, [...cluster.values()]), async ({ do: verb, policy }) => {
    const failure = failures.get(calls++);
    if (failure !== 'lost') {
      if (verb === 'apply') cluster.set(nameOf(policy), policy);
      else cluster.delete(nameOf(policy));
      moments.push([...cluster.values()]);
    }
    if (failure !== undefined) {
      lostApply ||= verb === 'apply';
      throw new Error(`${verb} ${nameOf(policy)}: ${failure}`);
    }
  });
  return { moments, errors, lostApply };
};

const notebook: Pod = {
  namespace: wantedIn(open)[0]?.metadata.namespace ?? '',
  namespaceLabels: {},
  labels: { component: 'singleuser-server' },
};
const probes = [
  '203.0.113.1',
  '203.0.113.2',
  '203.0.113.3',
  '198.51.100.9',
  '8.8.8.8',
  '10.0.0.1',
  '169.254.169.254',
].flatMap((ip) => [22, 30, 80, 443].map((port) => ({ ip, port, protocol: 'TCP' as const })));
const reached = (policies: readonly Manifest[]): readonly boolean[] => {
  // ManifestPage of ours are NetworkPolicies of the API, as test/egress/desired.test.ts checks.
  const typed = policies as readonly unknown[] as readonly V1NetworkPolicy[];
  return probes.map((probe) => egressAllowed(typed, notebook, probe));
};

describe('the steps between any two states, with any failed writes', () => {
  const state: fc.Arbitrary<State> = fc.record({
    hosts: fc.oneof(
      { weight: 1, arbitrary: fc.constant('everything' as const) },
      {
        weight: 3,
        arbitrary: fc.subarray(['a.com', 'b.com:22', '203.0.113.3:22', '198.51.100.0/24:22-30', 'c.com']),
      },
    ),
    pods: fc.constantFrom([], ['kari'], ['kari', 'ola'], ['ola'], 'announced' as const),
  });
  const failures: fc.Arbitrary<Failures> = fc
    .uniqueArray(fc.tuple(fc.nat(6), fc.constantFrom('lost' as const, 'unheard' as const)), {
      maxLength: 4,
      selector: ([index]) => index,
    })
    .map((pairs) => new Map(pairs));
  /** From a settled state, or from no policy at all; then reconciles towards orders that may change in between. */
  const history = fc.record({
    from: fc.option(state),
    reconciles: fc.array(fc.tuple(state, failures), { minLength: 1, maxLength: 3 }),
    last: state,
  });
  const begin = (from: State | null) => held(from === null ? [] : wantedIn(from));

  it('never allow more than both states', async () => {
    await fc.assert(
      fc.asyncProperty(history, async ({ from, reconciles }) => {
        const cluster = begin(from);
        for (const [to, failing] of reconciles) {
          const ends = [[...cluster.values()], wantedIn(to)].map(reached);
          const { moments } = await reconcile(cluster, to, failing);
          for (const moment of moments.map(reached)) {
            assert.ok(
              ends.some((end) => moment.every((allowed, index) => !allowed || end[index])),
              JSON.stringify({ moment, ends }),
            );
          }
        }
      }),
      { numRuns: 300 },
    );
  });

  it('keep access that stays allowed, unless the policies that restrict it could not be applied', async () => {
    let kept = 0;
    await fc.assert(
      fc.asyncProperty(
        state,
        fc.array(fc.tuple(state, failures), { minLength: 1, maxLength: 3 }),
        async (from, reconciles) => {
          const cluster = begin(from);
          for (const [to, failing] of reconciles) {
            const wasOpen = [...cluster.values()].some(
              ({ metadata }) => metadata.name === 'notebook-egress-open',
            );
            const ends = [[...cluster.values()], wantedIn(to)].map(reached);
            const { moments, lostApply } = await reconcile(cluster, to, failing);
            if (wasOpen && lostApply) continue;
            for (const moment of moments.map(reached)) {
              assert.ok(moment.every((allowed, index) => allowed || !ends.every((end) => end[index])));
            }
            kept += 1;
          }
        },
      ),
      { numRuns: 300 },
    );
    assert.ok(kept > 200, `only ${kept} reconciles counted`);
  });

  it('without failures leave exactly the desired policies, and the next reconcile writes none', async () => {
    await fc.assert(
      fc.asyncProperty(history, async ({ from, reconciles, last }) => {
        const cluster = begin(from);
        for (const [to, failing] of reconciles) await reconcile(cluster, to, failing);
        const { errors } = await reconcile(cluster, last);
        assert.deepEqual(errors, []);
        assert.deepEqual(cluster, held(wantedIn(last)));
        for (const step of steps(last, [...cluster.values()])) {
          assert.equal(step.do, 'apply');
          assert.deepEqual(step.policy, cluster.get(nameOf(step.policy)));
        }
      }),
      { numRuns: 300 },
    );
  });

  it('remove the open policy whenever the team’s baseline is applied', async () => {
    await fc.assert(
      fc.asyncProperty(
        state,
        fc.nat(2),
        fc.constantFrom('lost' as const, 'unheard' as const),
        async (to, late, how) => {
          fc.pre(to.hosts !== 'everything');
          const cluster = begin(open);
          const names = steps(to, [...cluster.values()]).map(({ policy }) => policy.metadata.name);
          const failing = names.indexOf('notebook-egress-open') - 1 - late;
          fc.pre(failing > 0);
          const { errors } = await reconcile(cluster, to, new Map([[failing, how]]));
          assert.equal(errors.length, 1);
          assert.equal(cluster.has('NetworkPolicy notebook-egress-open'), false);
        },
      ),
    );
  });

  it('leave a team whose baseline cannot be applied unchanged', async () => {
    const cluster = begin(open);
    await reconcile(cluster, listed, new Map([[0, 'lost']]));
    assert.deepEqual(cluster, begin(open));
  });

  it('record the current pods in the fingerprint only once their policies are applied', async () => {
    await fc.assert(
      fc.asyncProperty(state, state, failures, async (from, to, failing) => {
        fc.pre(from.hosts !== 'everything' && to.hosts !== 'everything');
        fc.pre(to.pods !== 'announced' && JSON.stringify(pods(from.pods)) !== JSON.stringify(pods(to.pods)));
        const cluster = begin(from);
        const { errors } = await reconcile(cluster, to, failing);
        const labelled = [...cluster.values()].filter(({ metadata }) =>
          Object.keys(allowlistLabel).some((label) => metadata.labels?.[label] !== undefined),
        );
        if (errors.length === 0 || !isInSync(labelled, pods(to.pods))) return;
        const spec = (policies: Iterable<Manifest>) =>
          [...policies].map((one) => [nameOf(one), one.spec]).toSorted();
        assert.deepEqual(spec(cluster.values()), spec(wantedIn(to)));
      }),
      { numRuns: 300 },
    );
  });
});
