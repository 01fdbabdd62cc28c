import assert from 'node:assert/strict';
import { it } from 'node:test';
import type { Cluster, Manifest } from '../../../src/ports/cluster.ts';
import { Unavailable } from '../../../src/ports/unavailable.ts';
import { patchTeam } from '../../../src/teams/rules.ts';
import { intercepted } from '../../support/intercepted.ts';
import { aWorld, conditionOf, type Kubernetes, type World } from '../../support/world.ts';
import { reports } from './hub-status.ts';

const [kari, ola] = ['kari.nordmann@nav.no', 'ola.nordmann@nav.no'];

/** What prevents one part of a reconcile. */
interface Obstacle {
  readonly reason: string;
  readonly title: string;
  readonly through: (world: World) => Promise<Cluster>;
}

const refusing = (world: World, kind: string): Cluster => {
  const refused = { outcome: 'refused', message: 'no' } as const;
  return {
    ...world.cluster,
    apply: async (manifest, signal) =>
      manifest.kind === kind ? refused : world.cluster.apply(manifest, signal),
    patch: async (ref, patch, signal) =>
      ref.kind === kind ? refused : world.cluster.patch(ref, patch, signal),
  };
};

const isTerminating = (object: Manifest | undefined): Manifest | undefined =>
  object && { ...object, metadata: { ...object.metadata, deletionTimestamp: '2026-11-23T09:00:00Z' } };

const obstacles: readonly Obstacle[] = [
  {
    reason: 'HomesNotGrown',
    title: 'a home volume that cannot grow',
    async through(world) {
      const claim: Manifest = {
        apiVersion: 'v1',
        kind: 'PersistentVolumeClaim',
        metadata: { name: 'claim-kari', uid: 'u1', resourceVersion: '7' },
        spec: { resources: { requests: { storage: '1Gi' } } },
        status: { phase: 'Bound' },
      };
      return {
        ...refusing(world, claim.kind),
        list: async (query, signal) =>
          query.kind === claim.kind ? [claim] : world.cluster.list(query, signal),
      };
    },
  },
  {
    reason: 'Conflict',
    title: 'a ServiceAccount of another owner',
    async through(world) {
      const { id } = await world.record();
      await world.edit('ServiceAccount', id, { metadata: { labels: { 'knada.io/team-id': 'another' } } });
      return world.cluster;
    },
  },
  {
    reason: 'Refused',
    title: 'a ConfigMap that an admission policy refuses',
    through: async (world) => refusing(world, 'ConfigMap'),
  },
  {
    reason: 'Terminating',
    title: 'a Secret that is being deleted',
    through: async (world) => ({
      ...world.cluster,
      async read(ref, signal) {
        const object = await world.cluster.read(ref, signal);
        return ref.kind === 'Secret' ? isTerminating(object) : object;
      },
    }),
  },
  {
    reason: 'Terminating',
    title: 'a namespace that is being deleted',
    through: async (world) => ({
      ...world.cluster,
      async read(ref, signal) {
        const object = await world.cluster.read(ref, signal);
        return ref.kind === 'Namespace' ? isTerminating(object) : object;
      },
    }),
  },
];

const restricted = { allowlist: { enabled: true, hosts: [] } };
const members = (world: World, ...emails: readonly string[]) =>
  world.change((team) =>
    patchTeam(team, { members: emails.map((email) => ({ email, role: 'owner' })) }, world.act(), {
      requester: { email: 'admin@nav.no', isAdmin: true },
    }),
  );

/** The parts of a reconcile do not wait for each other; to be called inside a `describe` that names the API server. */
export const independentParts = (open: () => Kubernetes): void => {
  for (const { reason, title, through } of obstacles) {
    it(`syncs the members, reads the release and judges egress in spite of ${title}`, async (t) => {
      const world = await aWorld(t, open());
      await world.ordered(restricted);
      await world.report(reports.ready);
      await members(world, kari, ola);
      await world.look();
      assert.ok(world.hub.users.has(ola));

      const cluster = await through(world);
      await members(world, kari);
      const team = await world.look(cluster);
      assert.equal(conditionOf(team, 'Applied')?.reason, reason);
      assert.deepEqual([...world.hub.users], [kari]);
      const told = (type: string) => {
        const { status, reason: why } = conditionOf(team, type) ?? {};
        return [status, why];
      };
      assert.deepEqual(told('MembersSynced'), ['True', 'InStep']);
      assert.deepEqual(told('HubReady'), ['True', 'Installed']);
      assert.deepEqual(told('EgressEffective'), ['True', 'Effective']);
    });
  }

  it('syncs the members while the cluster does not answer, and soon again while the hub does not', async (t) => {
    const world = await aWorld(t, open());
    await world.ordered(restricted);
    await world.report(reports.ready);
    await members(world, kari, ola);
    await world.look();
    const away = intercepted(world.cluster, {
      before: () => {
        throw new Unavailable('Kubernetes', 'Kubernetes cannot be reached.');
      },
    });
    await members(world, kari);
    const team = await world.look(away);
    assert.deepEqual([...world.hub.users], [kari]);
    assert.equal(conditionOf(team, 'MembersSynced')?.status, 'True');
    assert.equal(conditionOf(team, 'HubReady')?.status, 'Unknown');
    assert.equal(conditionOf(team, 'EgressEffective')?.status, 'Unknown');

    world.hub.state.away = true;
    for (let attempt = 0; attempt < 8; attempt++) await world.look(away);
    const { reconcile } = await world.record();
    assert.equal((Date.parse(reconcile.dueAt) - world.clock.now()) / 1000, 30);
  });
};
