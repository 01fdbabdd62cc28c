import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { widenedBy } from '../../src/egress/foreign-policies.ts';
import type { Manifest } from '../../src/ports/cluster.ts';

const notebooks = { matchLabels: { component: 'singleuser-server' } };
const anywhere = { ipBlock: { cidr: '0.0.0.0/0' } };
const policy = (spec: object, overrides: Partial<Manifest> = {}): Manifest => ({
  apiVersion: 'networking.k8s.io/v1',
  kind: 'NetworkPolicy',
  metadata: { name: 'theirs', namespace: 'team-a' },
  spec,
  ...overrides,
});
const widens = (one: Manifest): boolean => widenedBy([one], () => false).length > 0;

describe('a foreign policy', () => {
  const rows: readonly (readonly [says: string, spec: object, expected: boolean])[] = [
    [
      'with the whole internet',
      { podSelector: notebooks, policyTypes: ['Egress'], egress: [{ to: [anywhere] }] },
      true,
    ],
    ['with a rule without peers', { podSelector: notebooks, policyTypes: ['Egress'], egress: [{}] }, true],
    ['with a port to anywhere', { podSelector: notebooks, egress: [{ ports: [{ port: 443 }] }] }, true],
    [
      'for every pod of the namespace',
      { podSelector: {}, policyTypes: ['Egress'], egress: [{ to: [anywhere] }] },
      true,
    ],
    ['for a release, whichever', { podSelector: { matchLabels: { release: 'x' } }, egress: [{}] }, true],
    [
      'for every pod except the hub',
      {
        podSelector: { matchExpressions: [{ key: 'component', operator: 'NotIn', values: ['hub'] }] },
        egress: [{}],
      },
      true,
    ],
    ['without a rule', { podSelector: notebooks, policyTypes: ['Egress'], egress: [] }, false],
    ['that is about ingress', { podSelector: notebooks, policyTypes: ['Ingress'], ingress: [{}] }, false],
    ['for the hub', { podSelector: { matchLabels: { component: 'hub' } }, egress: [{}] }, false],
    ['for another program', { podSelector: { matchLabels: { app: 'airflow' } }, egress: [{}] }, false],
    [
      'for pods of a kind that notebooks are not',
      { podSelector: { matchExpressions: [{ key: 'dag_id', operator: 'Exists' }] }, egress: [{}] },
      false,
    ],
    [
      'of the chart, which opens the hub alone',
      {
        podSelector: { matchLabels: { component: 'singleuser-server', app: 'jupyterhub' } },
        policyTypes: ['Ingress', 'Egress'],
        egress: [{ ports: [{ port: 8081 }], to: [{ podSelector: { matchLabels: { component: 'hub' } } }] }],
      },
      false,
    ],
    [
      'that opens the hubs of every namespace',
      {
        podSelector: notebooks,
        egress: [{ to: [{ namespaceSelector: {}, podSelector: { matchLabels: { component: 'hub' } } }] }],
      },
      true,
    ],
  ];
  for (const [says, spec, expected] of rows) {
    it(`${says} ${expected ? 'widens' : 'does not widen'} what notebooks may reach`, () =>
      assert.equal(widens(policy(spec)), expected));
  }

  it('of GKE’s own kind that selects by name widens access', () => {
    const spec = { podSelector: notebooks, egress: [{ matches: [{ name: 'example.com' }] }] };
    assert.ok(widens(policy(spec, { apiVersion: 'networking.gke.io/v1alpha1', kind: 'FQDNNetworkPolicy' })));
  });

  it('is reported by name, and ours is not', () => {
    const open = policy({ podSelector: notebooks, egress: [{}] });
    assert.deepEqual(
      widenedBy([open, { ...open, metadata: { name: 'ours' } }], ({ metadata }) => metadata.name === 'ours'),
      ['theirs'],
    );
  });
});
