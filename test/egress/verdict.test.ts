import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { baselinePolicy } from '../../src/egress/baseline.ts';
import { openPolicy } from '../../src/egress/desired.ts';
import { explain } from '../../src/egress/explain.ts';
import { defaultEgressSettings as settings } from '../../src/egress/policy.ts';
import { egressVerdict } from '../../src/egress/verdict.ts';
import { egressView } from '../../src/egress/view.ts';
import type { Manifest } from '../../src/ports/cluster.ts';

const meta = { namespace: 'team-a', labels: { 'knada.io/team-id': 'a' }, annotations: {} };
const isOurs = ({ metadata }: Manifest) => metadata.labels?.['knada.io/team-id'] === 'a';
const baseline = baselinePolicy(meta, settings);
const rules = (...egress: readonly object[]) => ({ podSelector: {}, policyTypes: ['Egress'], egress });
const foreign = (...egress: readonly object[]): Manifest => ({
  apiVersion: 'networking.k8s.io/v1',
  kind: 'NetworkPolicy',
  metadata: { name: 'everything', namespace: 'team-a' },
  spec: rules(...egress),
});
const internet = { ipBlock: { cidr: '0.0.0.0/0', except: ['10.0.0.0/8'] } };

const situations: readonly (readonly [string, readonly Manifest[], string, RegExp])[] = [
  ['a foreign policy without peers', [baseline, foreign({})], 'Widened', /everything/],
  ['a foreign policy for the Internet', [baseline, foreign({ to: [internet] })], 'Widened', /everything/],
  ['no policy at all', [], 'NotApplied', /not applied yet/],
  ['the open policy that was left', [baseline, openPolicy(meta)], 'NotApplied', /notebook-egress-open/],
  [
    'a policy of ours that was edited to open everything',
    [{ ...baseline, spec: rules({}) }],
    'NotApplied',
    /notebook-egress-baseline/,
  ],
];

describe('the verdict on a restriction', () => {
  for (const [title, policies, reason, named] of situations) {
    it(`is the same in getEgress, checkEgress and the condition, and names the policy: ${title}`, () => {
      const situation = {
        enabled: true,
        policies,
        isOurs,
        problem: undefined,
        addresses: new Map(),
        settings,
      };
      const verdict = egressVerdict(situation);
      assert.equal(verdict.reason, reason);
      assert.match(verdict.because, named);

      const view = egressView({ ...situation, entries: [], hosts: new Map(), now: 0 });
      assert.deepEqual([view.effective, view.because], [false, verdict.because]);

      const facts = {
        enabled: true,
        entries: [],
        addresses: new Map(),
        settings,
        internalSuffixes: [],
        foreign: policies.filter((policy) => !isOurs(policy)),
        verdict,
      };
      for (const destination of [
        { host: 'ssb.no', kind: 'name', port: 443 },
        { host: '93.184.216.34', kind: 'ipv4', port: 9418 },
      ] as const) {
        const { allowed, because } = explain(destination, facts);
        assert.equal(allowed, true, because);
        assert.match(because, named);
      }
    });
  }

  it('is Effective when only our policies select the notebooks', () => {
    const situation = { enabled: true, problem: undefined, addresses: new Map(), settings, isOurs };
    const verdict = egressVerdict({ ...situation, policies: [baseline] });
    assert.deepEqual(
      [verdict.reason, verdict.widenedBy, verdict.boundless, verdict.isIsolated],
      ['Effective', [], [], true],
    );
  });

  it('is GoogleApisNotCovered when their addresses are not in the baseline', () => {
    const hosts = new Map([['secretmanager.googleapis.com', ['142.250.74.42']]]);
    const situation = { enabled: true, problem: undefined, settings, isOurs, policies: [baseline] };
    assert.equal(egressVerdict({ ...situation, addresses: hosts }).reason, 'GoogleApisNotCovered');
  });
});
