import assert from 'node:assert/strict';
import { it } from 'node:test';
import { isWrite, recorded } from '../../support/intercepted.ts';
import {
  aWorld,
  conditionOf,
  contents,
  eventually,
  type Kubernetes,
  pathOf,
  versions,
  type World,
} from '../../support/world.ts';

interface Meddling {
  /** What another user did. */
  readonly title: string;
  readonly kind: string;
  readonly name: string;
  readonly patch: object;
}

const maps = { kind: 'ConfigMap', name: 'notebook-profiles' };
const secret = { kind: 'Secret', name: 'notebook-hub' };
const release = { kind: 'HelmRelease', name: 'jupyterhub' };
const baseline = { kind: 'NetworkPolicy', name: 'notebook-egress-baseline' };
const bogus = Buffer.from('bogus').toString('base64');

const meddlings: readonly Meddling[] = [
  { title: 'empties the profiles', ...maps, patch: { data: { 'profiles.json': '[]' } } },
  { title: 'takes a file out of the profiles', ...maps, patch: { data: { 'culling.json': null } } },
  { title: 'adds a file to the profiles', ...maps, patch: { data: { 'extra.json': '{}' } } },
  { title: 'changes a key of the hub', ...secret, patch: { data: { 'hub.config.CryptKeeper.keys': bogus } } },
  { title: 'adds a key to the hub’s Secret', ...secret, patch: { data: { 'hub.config.Other.key': bogus } } },
  { title: 'changes a chart value', ...release, patch: { spec: { values: { cull: { enabled: false } } } } },
  {
    title: 'adds a chart value',
    ...release,
    patch: { spec: { values: { hub: { extraConfig: { mine: 'c.JupyterHub.admin_access = True' } } } } },
  },
  {
    title: 'takes values from elsewhere',
    ...release,
    patch: { spec: { valuesFrom: [{ kind: 'ConfigMap', name: 'mine' }] } },
  },
  {
    title: 'pins another chart',
    ...release,
    patch: { spec: { chart: { spec: { version: '3.0.0' } } } },
  },
  { title: 'opens the baseline', ...baseline, patch: { spec: { egress: [{}] } } },
  {
    title: 'has the baseline hold for fewer pods',
    ...baseline,
    patch: { spec: { podSelector: { matchLabels: { 'hub.jupyter.org/username': 'kari' } } } },
  },
  {
    title: 'has the baseline hold for fewer pods by an expression',
    ...baseline,
    patch: {
      spec: { podSelector: { matchExpressions: [{ key: 'restricted', operator: 'Exists' }] } },
    },
  },
  {
    title: 'adds ingress to the baseline',
    ...baseline,
    patch: { spec: { policyTypes: ['Egress', 'Ingress'], ingress: [{}] } },
  },
  {
    title: 'adds ingress to the baseline without saying so',
    ...baseline,
    patch: { spec: { ingress: [{}] } },
  },
];

const settled = async (world: World): Promise<void> => {
  const { cluster, calls } = recorded(world.cluster);
  await world.look(cluster);
  assert.deepEqual(calls.filter(isWrite), [], 'a look after the repair still writes');
};

/** Manual changes are reverted; to be called inside a `describe` that names the API server. */
export const drift = (open: () => Kubernetes): void => {
  const restricted = { allowlist: { enabled: true, hosts: ['pypi.org'] } };

  for (const { title, kind, name, patch } of meddlings) {
    it(`repairs drift when another user ${title}`, async (t) => {
      const world = await aWorld(t, open());
      await world.ordered(restricted);
      const before = contents(await world.objects());
      await world.edit(kind, name, patch);
      assert.notDeepEqual(contents(await world.objects()), before);
      await world.look();
      assert.deepEqual(contents(await world.objects()), before);
      await settled(world);
    });
  }

  it('removes a peer that another user added to a rule of the baseline', async (t) => {
    const world = await aWorld(t, open());
    await world.ordered(restricted);
    const before = contents(await world.objects());
    const policy = JSON.parse(JSON.stringify(await world.raw('NetworkPolicy', baseline.name)));
    const peer = policy.spec.egress
      .flatMap(({ to }: { to: { podSelector?: object; namespaceSelector?: object }[] }) => to)
      .find(({ podSelector, namespaceSelector }: { podSelector?: object; namespaceSelector?: object }) =>
        Boolean(podSelector !== undefined && namespaceSelector === undefined),
      );
    peer.namespaceSelector = {};
    await world.edit('NetworkPolicy', baseline.name, { spec: { egress: policy.spec.egress } });
    await world.look();
    assert.deepEqual(contents(await world.objects()), before);
    await settled(world);
  });

  it('puts back the labels and annotations that others rely on', async (t) => {
    const world = await aWorld(t, open());
    const { id } = await world.ordered(restricted);
    const before = contents(await world.objects());
    await world.edit('Namespace', `team-${id}`, {
      metadata: { labels: { 'team-namespace': 'no', 'knada.io/egress': null } },
    });
    await world.edit('ServiceAccount', id, {
      metadata: { annotations: { 'iam.gke.io/gcp-service-account': 'someone@else.iam.gserviceaccount.com' } },
    });
    await world.look();
    assert.deepEqual(contents(await world.objects()), before);
    await settled(world);
  });

  it('recreates each deleted object', async (t) => {
    const world = await aWorld(t, open());
    await world.ordered(restricted);
    const before = await world.objects();
    for (const { kind, metadata } of before.values()) {
      if (kind === 'Namespace') continue;
      await world.delete(kind, metadata.name);
      assert.equal(await world.raw(kind, metadata.name), undefined);
      await world.look();
      assert.deepEqual(contents(await world.objects()), contents(before), `${kind} was deleted`);
    }
    await settled(world);
  });

  it('waits for a terminating object, and recreates it once it is deleted', async (t) => {
    const world = await aWorld(t, open());
    await world.ordered();
    await world.edit('HelmRelease', 'jupyterhub', { metadata: { finalizers: ['finalizers.fluxcd.io'] } });
    await world.delete('HelmRelease', 'jupyterhub');
    const before = await world.objects();
    const waiting = await world.look();
    assert.partialDeepStrictEqual(conditionOf(waiting, 'Applied'), {
      status: 'Unknown',
      reason: 'Terminating',
    });
    assert.deepEqual(versions(await world.objects()), versions(before));
    await world.edit('HelmRelease', 'jupyterhub', { metadata: { finalizers: null } });
    const whole = await world.look();
    assert.equal(conditionOf(whole, 'Applied')?.status, 'True');
    const made = await world.raw('HelmRelease', 'jupyterhub');
    assert.notEqual(made?.metadata.uid, before.get('HelmRelease jupyterhub')?.metadata.uid);
  });

  it('recreates a deleted namespace', async (t) => {
    const world = await aWorld(t, open());
    const { id } = await world.ordered();
    const before = contents(await world.objects());
    await world.send('DELETE', pathOf(`team-${id}`, 'Namespace'));
    await eventually(
      async () =>
        conditionOf(await world.look(), 'Applied')?.status === 'True' &&
        Object.keys(contents(await world.objects())).length === Object.keys(before).length,
    );
    assert.deepEqual(contents(await world.objects()), before);
    await settled(world);
  });

  it('stops at another owner’s object of the same name, and applies nothing after it', async (t) => {
    const world = await aWorld(t, open());
    const { id } = await world.create();
    await world.look();
    const map = await world.put('ConfigMap', {
      metadata: { name: 'notebook-profiles' },
      data: { theirs: '1' },
    });
    await world.order();
    const blocked = await world.look();
    assert.partialDeepStrictEqual(conditionOf(blocked, 'Applied'), { status: 'False', reason: 'Conflict' });
    assert.match(conditionOf(blocked, 'Applied')?.message ?? '', /ConfigMap notebook-profiles/);
    assert.deepEqual([...(await world.objects()).keys()].sort(), [
      'ConfigMap notebook-profiles',
      `Namespace team-${id}`,
      'NetworkPolicy notebook-egress-open',
      `ServiceAccount ${id}`,
    ]);
    assert.deepEqual(await world.raw('ConfigMap', 'notebook-profiles'), map);
    const due = Date.parse(blocked?.reconcile.dueAt ?? '') - world.clock.now();
    assert.equal(due, 60_000);

    await world.delete('ConfigMap', 'notebook-profiles');
    world.pass(60);
    assert.equal(conditionOf(await world.look(), 'Applied')?.status, 'True');
    assert.notEqual(await world.raw('HelmRelease', 'jupyterhub'), undefined);
  });

  it('does not take over a namespace of another owner', async (t) => {
    const world = await aWorld(t, open());
    const { id } = await world.create();
    await world.send('POST', '/api/v1/namespaces', { metadata: { name: `team-${id}` } });
    await world.order();
    const before = await world.raw('Namespace', `team-${id}`);
    const blocked = await world.look();
    assert.partialDeepStrictEqual(conditionOf(blocked, 'Applied'), { status: 'False', reason: 'Conflict' });
    assert.deepEqual([...(await world.objects()).keys()], [`Namespace team-${id}`]);
    assert.equal(
      (await world.raw('Namespace', `team-${id}`))?.metadata.resourceVersion,
      before?.metadata.resourceVersion,
    );
  });

  it('restricts a team that opted in even while something after its policies is in the way', async (t) => {
    const world = await aWorld(t, open());
    const { id } = await world.ordered();
    await world.delete('ConfigMap', 'notebook-profiles');
    await world.put('ConfigMap', { metadata: { name: 'notebook-profiles' } });
    await world.order(restricted);
    const blocked = await world.look();
    assert.equal(conditionOf(blocked, 'Applied')?.reason, 'Conflict');
    assert.deepEqual(
      (await world.list('NetworkPolicy', `team-${id}`)).map(({ metadata }) => metadata.name),
      ['airflow-egress-baseline', 'notebook-egress-baseline'],
    );
  });

  it('becomes Degraded when a conflict occurs after it was Ready', async (t) => {
    const world = await aWorld(t, open());
    await world.create();
    const ready = await world.look();
    assert.equal(ready?.status.phase, 'Ready');
    await world.edit('ServiceAccount', ready?.id ?? '', {
      metadata: { labels: { 'knada.io/team-id': 'another-0000' } },
    });
    const degraded = await world.look();
    assert.equal(degraded?.status.phase, 'Degraded');
    assert.equal(conditionOf(degraded, 'Applied')?.reason, 'Conflict');
  });
};
