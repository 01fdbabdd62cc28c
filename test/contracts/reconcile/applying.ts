import assert from 'node:assert/strict';
import { it } from 'node:test';
import fc from 'fast-check';
import type { TeamRecord } from '../../../src/model/record.ts';
import { platformHash, releaseSpec } from '../../../src/notebooks/desired.ts';
import { profilesOf } from '../../../src/notebooks/profiles.ts';
import type { Manifest } from '../../../src/ports/cluster.ts';
import { type TickDeps, tick } from '../../../src/reconcile/tick.ts';
import { anyImage, anySpec } from '../../notebooks/arbitrary.ts';
import { aPlatform } from '../../notebooks/platform.ts';
import { isWrite, recorded, spoken } from '../../support/intercepted.ts';
import {
  aPod,
  aWorld,
  conditionOf,
  contents,
  type Kubernetes,
  type Raw,
  render,
  versions,
  type World,
} from '../../support/world.ts';

const revisionOf = ({ metadata }: Raw): string | undefined => metadata.annotations?.['knada.io/revision'];

/** Whether a record says all of what is in the other, as far as the other says anything. */
const holds = (object: Raw | undefined, wanted: Manifest): void => {
  assert.ok(object !== undefined, `${wanted.kind} ${wanted.metadata.name} is not there`);
  assert.partialDeepStrictEqual(object, wanted);
};

const written = async (world: World): Promise<readonly string[]> => {
  const { cluster, calls } = recorded(world.cluster);
  await world.look(cluster);
  return calls.filter(isWrite).map(spoken);
};

/** What one look makes of an order; to be called inside a `describe` that names the API server. */
export const applying = (open: () => Kubernetes): void => {
  it('applies a first order with deny before the hub, and what the hub mounts before the hub', async (t) => {
    const world = await aWorld(t, open());
    const { id } = await world.create();
    await world.order({ allowlist: { enabled: true, hosts: ['pypi.org'] } });
    const writes = await written(world);
    assert.deepEqual(writes, [
      `apply Namespace team-${id}`,
      'apply NetworkPolicy notebook-egress-baseline',
      'apply NetworkPolicy airflow-egress-baseline',
      `apply ServiceAccount ${id}`,
      'apply ConfigMap notebook-profiles',
      'apply Secret notebook-hub',
      'apply HelmRelease jupyterhub',
    ]);
    const team = await world.record();
    assert.equal(conditionOf(team, 'Applied')?.status, 'True');
    assert.equal(team.status.appliedGeneration, 2);
    assert.equal(team.status.appliedRevision, 1);
  });

  it('labels every object with its team and the applied revision', async (t) => {
    const world = await aWorld(t, open());
    const { id, slug } = await world.ordered();
    const objects = await world.objects();
    assert.equal(objects.size, 6);
    for (const { kind, metadata } of objects.values()) {
      assert.partialDeepStrictEqual(metadata.labels, {
        'app.kubernetes.io/managed-by': 'knada-notebooks',
        'knada.io/team-id': id,
        'knada.io/team': slug,
      });
      assert.equal(metadata.annotations?.['knada.io/revision'], '2', kind);
    }
    assert.equal(objects.get(`Namespace team-${id}`)?.metadata.labels?.['team-namespace'], 'true');
    assert.equal(objects.get(`Namespace team-${id}`)?.metadata.labels?.['knada.io/egress'], undefined);
    assert.equal(
      objects.get(`ServiceAccount ${id}`)?.metadata.annotations?.['iam.gke.io/gcp-service-account'],
      `${id}@knada-gcp.iam.gserviceaccount.com`,
    );
    assert.deepEqual(Object.keys(objects.get('Secret notebook-hub')?.data ?? {}).sort(), [
      'hub.config.CryptKeeper.keys',
      'hub.config.JupyterHub.cookie_secret',
      'hub.services.knada-notebooks.apiToken',
    ]);
    assert.deepEqual(Object.keys(objects.get('ConfigMap notebook-profiles')?.data ?? {}).sort(), [
      'culling.json',
      'image-revision',
      'profiles.json',
      'revision',
    ]);
  });

  it('gives a team without a notebook its namespace and its account, and is then Ready', async (t) => {
    const world = await aWorld(t, open());
    const { id } = await world.create();
    const team = await world.look();
    assert.deepEqual([...(await world.objects()).keys()].sort(), [
      `Namespace team-${id}`,
      `ServiceAccount ${id}`,
    ]);
    assert.equal(team?.status.phase, 'Ready');
    assert.deepEqual(
      team?.status.conditions.map(({ type }) => type),
      ['SecretReady', 'Applied'],
    );
  });

  it('writes nothing on the second reconcile, neither to the cluster nor to the store', async (t) => {
    const world = await aWorld(t, open());
    await world.ordered({ allowlist: { enabled: true, hosts: ['pypi.org'] } });
    const [objects, record] = [await world.objects(), await world.record()];
    world.pass(7);
    assert.deepEqual(await written(world), []);
    assert.deepEqual(versions(await world.objects()), versions(objects));
    assert.deepEqual(await world.record(), record);
  });

  it('keeps fields that other managers own, and writes nothing because of them', async (t) => {
    const world = await aWorld(t, open());
    const { id } = await world.ordered();
    const theirs = { labels: { 'cost-centre': '42' }, annotations: { 'example.com/seen': 'yes' } };
    const names = [...(await world.objects()).values()].map(({ kind, metadata }) => [kind, metadata.name]);
    for (const [kind = '', name = ''] of names) await world.edit(kind, name, { metadata: theirs });
    await world.edit('ServiceAccount', id, { imagePullSecrets: [{ name: 'registry' }] });
    await world.report({ observedGeneration: 1, helmChart: 'flux-system/jupyterhub' });
    const objects = await world.objects();
    assert.deepEqual(await written(world), []);
    assert.deepEqual(versions(await world.objects()), versions(objects));
    await world.order({ pip: { userInstallByDefault: true } });
    assert.equal((await written(world)).length, 6);
    for (const { metadata } of (await world.objects()).values()) {
      assert.partialDeepStrictEqual(metadata, theirs);
    }
  });

  it('applies any order through profiles and policies, never through the chart', async (t) => {
    const world = await aWorld(t, open());
    await world.ordered();
    const first = await world.raw('HelmRelease', 'jupyterhub');
    const anyOrder = fc.tuple(anySpec, anyImage, fc.boolean()).map(([spec, image, own]) => ({
      spec: { ...spec, storage: { home: '10Gi' }, image: own ? image.reference : null },
      image: own ? image : null,
    }));
    await fc.assert(
      fc.asyncProperty(anyOrder, async ({ spec, image }) => {
        await world.place(spec, image);
        const team = await world.look();
        assert.ok(team !== undefined);
        const objects = await world.objects();
        for (const wanted of render(team)) {
          holds(objects.get(`${wanted.kind} ${wanted.metadata.name}`), wanted);
        }
        assert.deepEqual(
          [...objects.keys()].sort(),
          render(team)
            .map(({ kind, metadata }) => `${kind} ${metadata.name}`)
            .sort(),
        );
        for (const object of objects.values()) assert.equal(revisionOf(object), String(team.generation));
        const release = objects.get('HelmRelease jupyterhub');
        assert.deepEqual(release?.spec, first?.spec);
        assert.equal(release?.metadata.generation, 1);
        assert.equal(release?.metadata.uid, first?.metadata.uid);
        assert.equal(
          JSON.parse(objects.get('ConfigMap notebook-profiles')?.data?.['profiles.json'] ?? '').length,
          profilesOf(spec, image, []).length + (spec.standardEnvironments ? 1 : 0),
        );
      }),
      { numRuns: 12 },
    );
  });

  it('restricts before it stops allowing everything, and allows everything before it stops restricting', async (t) => {
    const world = await aWorld(t, open());
    const { id } = await world.ordered();
    const policies = (calls: readonly string[]) => calls.filter((call) => call.includes('NetworkPolicy'));
    await world.order({ allowlist: { enabled: true, hosts: ['pypi.org'] } });
    assert.deepEqual(policies(await written(world)), [
      'apply NetworkPolicy notebook-egress-baseline',
      'apply NetworkPolicy airflow-egress-baseline',
      'remove NetworkPolicy notebook-egress-open',
    ]);
    assert.deepEqual(
      (await world.list('NetworkPolicy', `team-${id}`)).map(({ metadata }) => metadata.name),
      ['airflow-egress-baseline', 'notebook-egress-baseline'],
    );
    const restricted = await world.raw('Namespace', `team-${id}`);
    assert.equal(restricted?.metadata.labels?.['knada.io/egress'], 'restricted');

    await world.order();
    assert.deepEqual(policies(await written(world)), [
      'apply NetworkPolicy notebook-egress-open',
      'remove NetworkPolicy airflow-egress-baseline',
      'remove NetworkPolicy notebook-egress-baseline',
    ]);
    assert.deepEqual(
      (await world.list('NetworkPolicy', `team-${id}`)).map(({ metadata }) => metadata.name),
      ['notebook-egress-open'],
    );
    const free = await world.raw('Namespace', `team-${id}`);
    assert.ok(!('knada.io/egress' in (free?.metadata.labels ?? {})));
  });

  it('prunes policies that are this team’s and not wanted, and no other', async (t) => {
    const world = await aWorld(t, open());
    const { id } = await world.ordered();
    const policy = (name: string, labels: Record<string, string>) => ({
      apiVersion: 'networking.k8s.io/v1',
      kind: 'NetworkPolicy',
      metadata: { name, labels },
      spec: { podSelector: {}, policyTypes: ['Egress'], egress: [] },
    });
    await world.put('NetworkPolicy', policy('left-over', { 'knada.io/team-id': id }));
    await world.put('NetworkPolicy', policy('another-teams', { 'knada.io/team-id': `${id}0` }));
    await world.put('NetworkPolicy', policy('the-charts', { component: 'hub' }));
    await world.put('ConfigMap', {
      metadata: { name: 'an-older-map', labels: { 'knada.io/team-id': id } },
    });
    assert.deepEqual(await written(world), ['remove NetworkPolicy left-over']);
    const left = (await world.list('NetworkPolicy', `team-${id}`)).map(({ metadata }) => metadata.name);
    assert.deepEqual(left.sort(), ['another-teams', 'notebook-egress-open', 'the-charts']);
    assert.notEqual(await world.raw('ConfigMap', 'an-older-map'), undefined);
  });

  it('has the hub read its profiles and their revision at once when they changed, and only then', async (t) => {
    const world = await aWorld(t, open());
    await world.ordered();
    await world.put('Pod', aPod('hub-1', { component: 'hub' }));
    await world.put('Pod', aPod('jupyter-kari', { component: 'singleuser-server' }));
    const nudged = async (pod: string) =>
      (await world.raw('Pod', pod))?.metadata.annotations?.['knada.io/profiles'];
    await world.look();
    assert.equal(await nudged('hub-1'), undefined);

    await world.order({ resources: { cpu: { limit: 2 } } });
    await world.look();
    const first = await nudged('hub-1');
    assert.notEqual(first, undefined);
    assert.equal(await nudged('jupyter-kari'), undefined);

    await world.look();
    assert.equal(await nudged('hub-1'), first);

    // Nothing in it is the hub’s, but a start names the newest revision, and the hub waits until it has that.
    await world.order({ resources: { cpu: { limit: 2 } }, culling: { timeoutSeconds: 1200 } });
    await world.look();
    const seen = [first, await nudged('hub-1')];
    for (const bogus of ['[]', '[{}]']) {
      await world.edit('ConfigMap', 'notebook-profiles', { data: { 'profiles.json': bogus } });
      await world.look();
      seen.push(await nudged('hub-1'));
    }
    assert.equal(new Set(seen).size, 4, 'the kubelet looks only at a pod that changed');
  });

  it('updates the revision of every object when an order leaves the content unchanged', async (t) => {
    const world = await aWorld(t, open());
    await world.ordered();
    const before = await world.objects();
    await world.retry(false);
    await world.look();
    const after = await world.objects();
    for (const object of after.values()) assert.equal(revisionOf(object), '3', object.kind);
    const said = (objects: ReadonlyMap<string, Raw>) =>
      Object.fromEntries(Object.entries(contents(objects)).map(([name, content]) => [name, content]));
    const withoutStamp = (objects: ReadonlyMap<string, Raw>) =>
      JSON.parse(
        JSON.stringify(said(objects), (key, value) =>
          key === 'annotations' || (key === 'revision' && typeof value === 'string') ? undefined : value,
        ),
      );
    assert.deepEqual(withoutStamp(after), withoutStamp(before));
    assert.equal(after.get('HelmRelease jupyterhub')?.metadata.generation, 1);
  });

  it('changes the hub only when the platform has changed, by a tick', async (t) => {
    const world = await aWorld(t, open());
    await world.ordered();
    const before = await world.objects();
    const tomorrow = aPlatform({ chartVersion: '4.4.1' });
    const log = { info: () => {}, warn: () => {}, error: () => {} };
    const deps: TickDeps = {
      store: world.store,
      clock: world.clock,
      log,
      cluster: { list: async () => [], serves: async () => false },
      hubs: world.hub.port,
      reconcile: (_slug, deadline) => world.look(world.cluster, deadline),
      rolloutPerTick: 5,
      advanceOperations: async () => 0,
      platform: { hash: platformHash(tomorrow), releaseSpec: (team) => releaseSpec(team, tomorrow) },
    };
    assert.deepEqual(await tick(deps), { looked: 1, rolledOut: 1, operations: 0 });
    const after = await world.objects();
    const release = after.get('HelmRelease jupyterhub');
    assert.equal(release?.metadata.generation, 2);
    assert.partialDeepStrictEqual(release?.spec, { chart: { spec: { version: '4.4.1' } } });
    for (const [name, { spec }] of after) {
      if (name !== 'HelmRelease jupyterhub') assert.deepEqual(spec, before.get(name)?.spec, name);
    }
    const { revision, notebookRevision } = await world.record();
    assert.deepEqual([revision, notebookRevision], [1, 1], 'nobody asked for anything');
    world.pass(60);
    assert.equal((await tick(deps)).rolledOut, 0);
    assert.deepEqual(versions(await world.objects()), versions(after));
  });

  it('hands a retry to Flux: requestedAt and resetAt, forceAt when it is forced', async (t) => {
    const world = await aWorld(t, open());
    await world.ordered();
    const asked = async () => {
      const annotations = (await world.raw('HelmRelease', 'jupyterhub'))?.metadata.annotations ?? {};
      return Object.fromEntries(
        Object.entries(annotations).filter(([name]) => name.startsWith('reconcile.fluxcd.io/')),
      );
    };
    assert.deepEqual(await asked(), {});
    const at = (team: TeamRecord) => team.notebook?.retry?.at;
    const first = at(await world.retry(true));
    await world.look();
    assert.deepEqual(await asked(), {
      'reconcile.fluxcd.io/requestedAt': first,
      'reconcile.fluxcd.io/resetAt': first,
      'reconcile.fluxcd.io/forceAt': first,
    });
    world.pass(60);
    const second = at(await world.retry(false));
    assert.notEqual(second, first);
    await world.look();
    assert.deepEqual(await asked(), {
      'reconcile.fluxcd.io/requestedAt': second,
      'reconcile.fluxcd.io/resetAt': second,
    });
  });
};
