import assert from 'node:assert/strict';
import { randomUUID } from 'node:crypto';
import { before, it } from 'node:test';
import Type from 'typebox';
import { Value } from 'typebox/value';
import { deployedUser, enforcePolicies, type Send, until } from '../support/cluster-files.ts';

/** An API server where these people may do everything that no admission policy refuses. */
export interface PoliciesUnderTest {
  /** As a member of system:masters. */
  readonly admin: Send;
  readonly as: (user: string) => Promise<Send>;
}

export const stranger = 'kari.nordmann@nav.no';
export const flux = 'system:serviceaccount:flux-system:helm-controller';
export const collector = 'system:serviceaccount:kube-system:generic-garbage-collector';

const Refusal = Type.Object({ message: Type.String() });
const strategicPatch = 'application/strategic-merge-patch+json';
const mergePatch = 'application/merge-patch+json';

const notebooks = { matchLabels: { component: 'singleuser-server', app: 'jupyterhub' } };
const world = [{ ipBlock: { cidr: '0.0.0.0/0' } }];
const hub = [{ podSelector: { matchLabels: { component: 'hub' } } }];
const chart = {
  labels: { 'app.kubernetes.io/managed-by': 'Helm', app: 'jupyterhub', component: 'singleuser' },
  annotations: {
    'meta.helm.sh/release-name': 'jupyterhub-red-3f2a',
    'meta.helm.sh/release-namespace': 'team-red-3f2a',
  },
};
const ours = {
  labels: { 'app.kubernetes.io/managed-by': 'knada-notebooks', 'knada.io/team-id': 'red-3f2a' },
};
const egress = (rules: readonly object[], podSelector: object = notebooks) => ({
  podSelector,
  policyTypes: ['Egress'],
  egress: rules,
});

/** What deploy/admission-policies.yaml lets through in a team’s namespace; inside a `describe` of the API server. */
export const admissionPolicies = (open: () => PoliciesUnderTest): void => {
  const team = `team-${randomUUID().slice(0, 8)}`;
  const elsewhere = `other-${randomUUID().slice(0, 8)}`;
  const pathOf = (namespace: string) => `/apis/networking.k8s.io/v1/namespaces/${namespace}/networkpolicies`;
  const pods = `/api/v1/namespaces/${team}/pods`;
  let count = 0;
  const aName = () => {
    count += 1;
    return `policy-${count}`;
  };
  const said = ({ code, body }: { readonly code: number; readonly body: unknown }): string =>
    code < 300 ? 'taken' : Value.Parse(Refusal, body).message.replace(/^.*denied request: /s, '');
  const refused =
    'Egress in the namespace of a team is decided by its allowlist alone; no one else may write policies for it.';

  const create = async (user: string, spec: object, metadata: object = {}, namespace = team) => {
    const send = await open().as(user);
    return said(await send('POST', pathOf(namespace), { metadata: { name: aName(), ...metadata }, spec }));
  };
  /** The current policy, and the outcome of another user’s merge patch. */
  const change = async (
    user: string,
    given: { readonly spec: object; readonly metadata?: object },
    patch: object,
  ) => {
    const name = aName();
    const made = await open().admin('POST', pathOf(team), {
      metadata: { name, ...given.metadata },
      spec: given.spec,
    });
    assert.equal(made.code, 201, JSON.stringify(made.body));
    const send = await open().as(user);
    return said(await send('PATCH', `${pathOf(team)}/${name}`, patch, mergePatch));
  };

  before(async () => {
    const { admin, as } = open();
    await enforcePolicies(admin);
    for (const [name, labels] of [
      [team, { 'team-namespace': 'true', 'knada.io/team-id': 'red-3f2a' }],
      [elsewhere, { 'team-namespace': 'true' }],
    ] as const) {
      assert.equal((await admin('POST', '/api/v1/namespaces', { metadata: { name, labels } })).code, 201);
    }
    await until(
      async () => (await admin('GET', `/api/v1/namespaces/${team}/serviceaccounts/default`)).code === 200,
    );
    const send = await as(stranger);
    const probe = { metadata: { name: 'probe' }, spec: egress([{}]) };
    await until(async () => (await send('POST', `${pathOf(team)}?dryRun=All`, probe)).code === 422);
    const hosted = { ...aPod('probe'), spec: { ...aPod('probe').spec, hostNetwork: true } };
    await until(async () => (await send('POST', `${pods}?dryRun=All`, hosted)).code === 422);
  });

  const aPod = (name: string, labels: Readonly<Record<string, string>> = {}) => ({
    metadata: { name, labels },
    spec: { containers: [{ name: 'notebook', image: 'ghcr.io/navikt/jupyter:1' }] },
  });

  it('allows the product to write every policy', async () => {
    assert.equal(await create(deployedUser, egress([{}]), ours), 'taken');
    assert.equal(
      await change(deployedUser, { spec: egress([{}]), metadata: ours }, { spec: egress([{ to: world }]) }),
      'taken',
    );
  });

  for (const [what, spec] of [
    ['opens everything', egress([{}])],
    ['opens every address', egress([{ to: world }])],
    ['opens nothing', egress([])],
    ['is for every pod', egress([{ to: hub }], {})],
    ['has egress without saying so', { podSelector: {}, egress: [{ to: world }] }],
    ['has both directions', { podSelector: {}, policyTypes: ['Ingress', 'Egress'] }],
  ] as const) {
    it(`refuses another user’s policy that ${what}`, async () =>
      assert.equal(await create(stranger, spec), refused));
  }

  it('allows another user’s policy about ingress', async () => {
    const ingress = { podSelector: {}, policyTypes: ['Ingress'], ingress: [{}] };
    assert.equal(await create(stranger, ingress), 'taken');
    assert.equal(await create(stranger, { podSelector: {} }), 'taken');
    assert.equal(await change(stranger, { spec: ingress }, { spec: { ingress: [] } }), 'taken');
  });

  it('does not apply to namespaces without a team', async () => {
    assert.equal(await create(stranger, egress([{}]), {}, elsewhere), 'taken');
  });

  it('refuses another user’s change of what a policy of the product isolates', async () => {
    const baseline = { spec: egress([{ to: hub }]), metadata: ours };
    for (const spec of [
      { egress: [{}] },
      { egress: [] },
      { policyTypes: ['Ingress'] },
      { podSelector: { matchLabels: { component: 'nobody' } } },
    ]) {
      assert.equal(await change(stranger, baseline, { spec }), refused, JSON.stringify(spec));
    }
    const ingress = { podSelector: {}, policyTypes: ['Ingress'] };
    assert.equal(await change(stranger, { spec: ingress }, { spec: egress([{}]) }), refused);
  });

  it('allows updates of owners, labels and finalizers, which leave the spec unchanged', async () => {
    const owner = { apiVersion: 'v1', kind: 'Pod', name: 'gone', uid: randomUUID() };
    for (const user of [collector, stranger]) {
      const given = {
        spec: egress([{ to: world }]),
        metadata: { ...ours, finalizers: ['test.knada.io/hold'] },
      };
      const name = `owned-${aName()}`;
      const path = `${pathOf(team)}/${name}`;
      const metadata = { name, ...given.metadata };
      assert.equal((await open().admin('POST', pathOf(team), { metadata, spec: given.spec })).code, 201);
      const send = await open().as(user);
      for (const metadata of [{ ownerReferences: [owner] }, { ownerReferences: [] }]) {
        assert.equal(said(await send('PATCH', path, { metadata }, mergePatch)), 'taken');
      }
      assert.ok((await send('DELETE', path)).code < 300, 'a deletion is nobody’s question');
      assert.equal(said(await send('PATCH', path, { metadata: { finalizers: null } }, mergePatch)), 'taken');
      assert.equal((await send('GET', path)).code, 404);
    }
  });

  for (const [what, spec] of [
    ['notebooks, which opens the hub', egress([{ to: hub, ports: [{ port: 8081 }] }])],
    ['notebooks, which opens nothing', egress([])],
    ['the hub, which opens the world', egress([{ to: world }, {}], { matchLabels: { component: 'hub' } })],
    ['the proxy, which opens the world', egress([{}], { matchLabels: { component: 'proxy' } })],
  ] as const) {
    it(`allows the chart’s own policy for ${what}`, async () =>
      assert.equal(await create(flux, spec, chart), 'taken'));
  }

  it('allows an upgrade of the chart’s own policy', async () => {
    const given = { spec: egress([{ to: hub }]), metadata: chart };
    assert.equal(
      await change(flux, given, { spec: { egress: [{ to: hub, ports: [{ port: 1 }] }] } }),
      'taken',
    );
  });

  for (const [what, spec, metadata] of [
    ['opens the world to notebooks', egress([{ to: world }]), chart],
    ['opens everything to notebooks', egress([{}]), chart],
    ['opens everything to one rule’s ports', egress([{ to: hub }, { ports: [{ port: 443 }] }]), chart],
    ['opens other namespaces', egress([{ to: [{ namespaceSelector: {}, podSelector: {} }] }]), chart],
    ['opens a namespace', egress([{ to: [{ namespaceSelector: {} }] }]), chart],
    ['is for every pod', egress([{ to: world }], {}), chart],
    [
      'is for notebooks by an expression',
      egress([{ to: world }], { matchExpressions: [{ key: 'component', operator: 'NotIn', values: ['x'] }] }),
      chart,
    ],
    ['is of no chart', egress([{ to: hub }]), {}],
    [
      'is of another chart',
      egress([{ to: hub }]),
      { ...chart, annotations: { 'meta.helm.sh/release-name': 'spark' } },
    ],
  ] as const) {
    it(`refuses a policy by Flux that ${what}`, async () =>
      assert.equal(await create(flux, spec, metadata), refused));
  }

  it('refuses that Flux overwrites a policy of the product as the chart’s', async () => {
    const given = { spec: egress([{ to: world }]), metadata: ours };
    assert.equal(await change(flux, given, { metadata: chart, spec: { egress: [{ to: hub }] } }), refused);
  });

  it('refuses the chart’s policy from any user but Flux', async () => {
    assert.equal(await create(stranger, egress([{ to: hub }]), chart), refused);
  });

  it('refuses a pod on its node’s network from every user', async () => {
    const sentence =
      "A pod in the namespace of a team cannot use its node's network, where network policies do not apply.";
    for (const user of [stranger, flux]) {
      const send = await open().as(user);
      const pod = aPod(aName());
      assert.equal(
        said(await send('POST', pods, { ...pod, spec: { ...pod.spec, hostNetwork: true } })),
        sentence,
      );
      assert.equal(
        said(await send('POST', pods, { ...pod, spec: { ...pod.spec, hostNetwork: false } })),
        'taken',
      );
    }
  });

  it('refuses changes of the pod labels that policies select, from every user', async () => {
    const sentence =
      'The labels component, dag_id, task_id and run_id of a pod decide what it may reach and cannot be changed.';
    const { admin, as } = open();
    const send = await as(stranger);
    const name = aName();
    const labels = { component: 'singleuser-server', user: 'kari' };
    assert.equal((await admin('POST', pods, aPod(name, labels))).code, 201);
    const relabel = async (changed: object) =>
      said(await send('PATCH', `${pods}/${name}`, { metadata: { labels: changed } }, strategicPatch));
    assert.equal(await relabel({ component: 'hub' }), sentence);
    assert.equal(await relabel({ component: null }), sentence);
    assert.equal(await relabel({ dag_id: 'sales' }), sentence);
    assert.equal(await relabel({ run_id: '' }), sentence);
    assert.equal(await relabel({ user: 'ola', more: 'x' }), 'taken');
    const bare = aName();
    assert.equal((await admin('POST', pods, aPod(bare))).code, 201);
    const answer = await send(
      'PATCH',
      `${pods}/${bare}`,
      { metadata: { labels: { component: 'x' } } },
      mergePatch,
    );
    assert.equal(said(answer), sentence);
    assert.ok((await send('DELETE', `${pods}/${name}?gracePeriodSeconds=0`)).code < 300);
  });
};
