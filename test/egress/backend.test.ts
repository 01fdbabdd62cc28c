import assert from 'node:assert/strict';
import { after, describe, it } from 'node:test';
import { kinds } from '../../src/model/kinds.ts';
import type { Cluster } from '../../src/ports/cluster.ts';
import { Unavailable } from '../../src/ports/unavailable.ts';
import { assertProblem, kari, openApi } from '../support/api.ts';

const opened = async (backend: string) => {
  const api = await openApi({
    environment: {
      EGRESS_BACKEND: backend,
      EGRESS_HOST_MAP: JSON.stringify({ 'dm08-scan.adeo.no': ['10.53.0.1'] }),
    },
  });
  const asKari = api.asPerson(kari);
  const path = await api.newTeam();
  const hosts = ['pypi.org', '8.8.8.8:53', 'dm08-scan.adeo.no:1521'];
  const ordered = await asKari.put(`${path}/notebook`, { allowlist: { enabled: true, hosts } });
  assert.equal(ordered.statusCode, 201, ordered.body);
  return {
    api,
    asKari,
    path,
    /** The policies that would be applied, by kind and name. */
    async policies(serves: Cluster['serves']): Promise<readonly string[]> {
      api.outside.cluster = { ...api.outside.cluster, serves };
      const answer = await asKari.get(`${path}/notebook/manifests`);
      assert.equal(answer.statusCode, 200, answer.body);
      const items: { kind: string; metadata: { name: string } }[] = answer.json().items;
      return items.flatMap(({ kind, metadata }) =>
        metadata.name.startsWith('notebook-egress') ? [`${kind} ${metadata.name}`] : [],
      );
    },
  };
};

describe('the egress backend', async () => {
  const native = await opened('gke-fqdn');
  const plain = await opened('ip');
  after(async () => {
    await native.api.close();
    await plain.api.close();
  });

  it('is GKE’s if configured and served in its one version: names by its policies, addresses by NetworkPolicies', async () => {
    const asked: string[] = [];
    const [baseline, addresses, ...named] = await native.policies(async (apiVersion, kind) => {
      asked.push(`${apiVersion} ${kind}`);
      return true;
    });
    assert.deepEqual(
      [baseline, addresses],
      ['NetworkPolicy notebook-egress-baseline', 'NetworkPolicy notebook-egress-allow'],
    );
    assert.equal(named.length, 1);
    assert.match(named[0] ?? '', /^FQDNNetworkPolicy notebook-egress-allow-/);
    assert.deepEqual([...new Set(asked)], ['networking.gke.io/v1alpha1 FQDNNetworkPolicy']);
  });

  it('is ours if GKE’s version is not served', async () => {
    assert.deepEqual(await native.policies(async () => false), [
      'NetworkPolicy notebook-egress-baseline',
      'NetworkPolicy notebook-egress-allow',
    ]);
  });

  it('in checkEgress is the active one, and the configured one while the cluster does not answer', async () => {
    const isolating = {
      ...kinds.networkPolicy,
      metadata: { name: 'notebook-egress-baseline' },
      spec: { podSelector: {}, policyTypes: ['Egress'] },
    };
    const check = async (serves: Cluster['serves']) => {
      const list: Cluster['list'] = async ({ kind }) => (kind === isolating.kind ? [isolating] : []);
      native.api.outside.cluster = { ...native.api.outside.cluster, list, serves };
      const answer = await native.asKari.post(`${native.path}/egress/check`, { destination: 'pypi.org' });
      return answer.json().allowed;
    };
    // No address is known: GKE opens the name all the same, and addresses would have to be known.
    assert.equal(await check(async () => true), true);
    assert.equal(await check(async () => false), false);
    assert.equal(await check(() => Promise.reject(new Unavailable('Kubernetes', 'It is away.'))), true);
  });

  it('is unknown while the cluster does not answer', async () => {
    native.api.outside.cluster = {
      ...native.api.outside.cluster,
      serves: () => Promise.reject(new Unavailable('Kubernetes', 'Kubernetes cannot be reached.')),
    };
    assertProblem(await native.asKari.get(`${native.path}/notebook/manifests`), 'upstream_unavailable');
  });

  it('is ours without a discovery request if no other is configured', async () => {
    const policies = await plain.policies(() => assert.fail('the cluster was asked'));
    assert.equal(policies.length, 2);
  });
});
