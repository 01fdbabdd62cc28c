import assert from 'node:assert/strict';
import { it } from 'node:test';
import type { Cluster, Manifest } from '../../../src/ports/cluster.ts';
import { Unavailable } from '../../../src/ports/unavailable.ts';
import type { ReasonsOf } from '../../../src/reconcile/conditions.ts';
import { patchTeam } from '../../../src/teams/rules.ts';
import { intercepted, refusing } from '../../support/intercepted.ts';
import { aWorld, conditionOf, type Kubernetes, type World } from '../../support/world.ts';
import { reports } from './hub-status.ts';

const [kari, ola] = ['kari.nordmann@nav.no', 'ola.nordmann@nav.no'];

/** What prevents one part of a reconcile. */
interface Obstacle {
  readonly title: string;
  readonly through: (world: World) => Promise<Cluster>;
  /** Conditions that cannot be determined then, each with status and reason. */
  readonly otherwise?: Readonly<Record<string, readonly [status: string, reason: string]>>;
}

const isTerminating = (object: Manifest | undefined): Manifest | undefined =>
  object && { ...object, metadata: { ...object.metadata, deletionTimestamp: '2026-11-23T09:00:00Z' } };

/** Every read and write of the cluster throws this. */
const throwing = (title: string, error: () => Error, reason: ReasonsOf['Applied']): Obstacle => ({
  title,
  through: async (world) =>
    intercepted(world.cluster, {
      before: () => {
        throw error();
      },
    }),
  otherwise: { HubReady: ['Unknown', reason], EgressEffective: ['Unknown', 'NotSeen'] },
});
const silent = (system: string, reason: ReasonsOf['Applied']): Obstacle =>
  throwing(`no answer from ${system}`, () => new Unavailable(system, `${system} does not answer.`), reason);

/** What is Terminating in the cluster. */
const terminating = (title: string, kind: string): Obstacle => ({
  title,
  through: async (world) => ({
    ...world.cluster,
    async read(ref, signal) {
      const object = await world.cluster.read(ref, signal);
      return ref.kind === kind ? isTerminating(object) : object;
    },
  }),
});

/**
 * What prevents one part of a reconcile, by the reason that Applied gives; the compiler asks for the row of a new one.
 * During a teardown there is no hub to sync, and nothing is written while the store is behind the cluster.
 */
const obstacles: Readonly<
  Record<
    Exclude<ReasonsOf['Applied'], 'AsOrdered' | 'ForeignContent' | 'Deleting' | 'StoreBehindCluster'>,
    readonly [Obstacle, ...Obstacle[]]
  >
> = {
  HomesNotGrown: [
    {
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
          ...refusing(world.cluster, claim.kind),
          list: async (query, signal) =>
            query.kind === claim.kind ? [claim] : world.cluster.list(query, signal),
        };
      },
    },
  ],
  Conflict: [
    {
      title: 'a ServiceAccount of another owner',
      async through(world) {
        const { id } = await world.record();
        await world.edit('ServiceAccount', id, { metadata: { labels: { 'knada.io/team-id': 'another' } } });
        return world.cluster;
      },
    },
  ],
  Refused: [
    {
      title: 'a ConfigMap that an admission policy refuses',
      through: async (world) => refusing(world.cluster, 'ConfigMap'),
    },
  ],
  Terminating: [
    terminating('a Secret that is being deleted', 'Secret'),
    terminating('a namespace that is being deleted', 'Namespace'),
  ],
  KubernetesUnavailable: [silent('Kubernetes', 'KubernetesUnavailable')],
  GKEUnavailable: [silent('GKE', 'GKEUnavailable')],
  GoogleUnavailable: [silent('Google', 'GoogleUnavailable')],
  DependencyUnavailable: [silent('another system', 'DependencyUnavailable')],
  InternalError: [throwing('an unexpected error', () => new TypeError('unexpected'), 'InternalError')],
};

const restricted = { allowlist: { enabled: true, hosts: [] } };
const members = (world: World, ...emails: readonly string[]) =>
  world.change((team) =>
    patchTeam(team, { members: emails.map((email) => ({ email, role: 'owner' })) }, world.act(), {
      requester: { email: 'admin@nav.no', isAdmin: true },
    }),
  );

/** The parts of a reconcile do not wait for each other; to be called inside a `describe` that names the API server. */
export const independentParts = (open: () => Kubernetes): void => {
  const rows = Object.entries(obstacles).flatMap(([reason, some]) => some.map((one) => ({ reason, ...one })));
  for (const { reason, title, through, otherwise } of rows) {
    const others = otherwise === undefined ? ', reads the release and judges egress' : '';
    it(`syncs the members${others} in spite of ${title}`, async (t) => {
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
      const expected = {
        MembersSynced: ['True', 'InStep'],
        HubReady: ['True', 'Installed'],
        EgressEffective: ['True', 'Effective'],
        ...otherwise,
      };
      for (const [type, finding] of Object.entries(expected)) {
        const { status, reason: why } = conditionOf(team, type) ?? {};
        assert.deepEqual([status, why], finding, type);
      }
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
