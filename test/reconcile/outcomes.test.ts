import assert from 'node:assert/strict';
import { after, before, describe, it, type TestContext } from 'node:test';
import { defaultEntryOptions } from '../../src/egress/entry.ts';
import { defaultEgressSettings } from '../../src/egress/policy.ts';
import type { Condition, ConditionType } from '../../src/model/condition.ts';
import { conditionReasons } from '../../src/model/condition-reasons.ts';
import type { NotebookImage } from '../../src/model/notebook.ts';
import type { TeamRecord } from '../../src/model/record.ts';
import type { Cluster, Manifest } from '../../src/ports/cluster.ts';
import { Unavailable } from '../../src/ports/unavailable.ts';
import type { ReasonsOf } from '../../src/reconcile/conditions.ts';
import type { ProvisionResult } from '../../src/secrets/provision.ts';
import { reports } from '../contracts/reconcile/hub-status.ts';
import { intercepted, refusing } from '../support/intercepted.ts';
import { aSpec } from '../support/records.ts';
import { type OpenedSimulator, openSimulator } from '../support/simulated-kubernetes.ts';
import { aHome, aPod, aWorld, conditionOf, eventually, type World } from '../support/world.ts';

type Team = TeamRecord | undefined;

/** How a reconcile comes to a reason, and the status of its condition then. */
interface Row {
  readonly status: Condition['status'];
  readonly reach: (world: World) => Promise<Team>;
}
type Rows<Reason extends string> = Readonly<Record<Reason, Row>>;

const restricted = { allowlist: { enabled: true, hosts: ['pypi.org'] } };

/** A team with its namespace, and a notebook that is ordered and not applied yet. */
const firstOrder = async (world: World): Promise<void> => {
  await world.create();
  await world.look();
  await world.order();
};

const failing = (world: World, error: () => Error): Cluster =>
  intercepted(world.cluster, {
    before: () => {
      throw error();
    },
  });

const unavailable = (system: string) => ({
  status: 'Unknown' as const,
  reach: async (world: World): Promise<Team> => {
    await firstOrder(world);
    return world.look(failing(world, () => new Unavailable(system, `${system} does not answer.`)));
  },
});

/** The cluster, whose objects of this kind are shown changed. */
const showing = (world: World, kind: string, change: (object: Manifest) => Manifest): Cluster => ({
  ...world.cluster,
  async read(ref, signal) {
    const object = await world.cluster.read(ref, signal);
    return ref.kind === kind && object !== undefined ? change(object) : object;
  },
});

/** What prevents applying a first order, so there is no release to read either. */
const applied: Rows<ReasonsOf['Applied']> = {
  AsOrdered: { status: 'True', reach: (world) => world.ordered() },
  Conflict: {
    status: 'False',
    async reach(world) {
      await firstOrder(world);
      const { id } = await world.record();
      await world.edit('ServiceAccount', id, { metadata: { labels: { 'knada.io/team-id': 'another' } } });
      return world.look();
    },
  },
  Refused: {
    status: 'False',
    async reach(world) {
      await firstOrder(world);
      return world.look(refusing(world.cluster, 'ConfigMap'));
    },
  },
  HomesNotGrown: {
    status: 'False',
    async reach(world) {
      const { id } = await world.ordered();
      const home = { ...aHome('claim-kari', id), apiVersion: 'v1', kind: 'PersistentVolumeClaim' };
      const resourceVersion = '7';
      const claim: Manifest = {
        ...home,
        metadata: { ...home.metadata, uid: 'u1', resourceVersion },
        spec: { resources: { requests: { storage: '1Gi' } } },
        status: { phase: 'Bound' },
      };
      return world.look({
        ...refusing(world.cluster, claim.kind),
        list: async (query, signal) =>
          query.kind === claim.kind ? [claim] : world.cluster.list(query, signal),
      });
    },
  },
  ForeignContent: {
    status: 'False',
    async reach(world) {
      await world.ordered();
      await world.put('ConfigMap', { metadata: { name: 'their-settings' } });
      await world.deleteTeam();
      return eventually(async () => {
        const team = await world.look();
        return conditionOf(team, 'Applied')?.reason !== 'Deleting' && team;
      });
    },
  },
  StoreBehindCluster: {
    status: 'False',
    async reach(world) {
      const backup = await world.ordered();
      await world.order(restricted);
      await world.look();
      await world.change(() => ({ next: backup }));
      return world.look();
    },
  },
  Terminating: {
    status: 'Unknown',
    async reach(world) {
      await firstOrder(world);
      const isTerminating = (object: Manifest): Manifest => ({
        ...object,
        metadata: { ...object.metadata, deletionTimestamp: '2026-11-23T09:00:00Z' },
      });
      return world.look(showing(world, 'Namespace', isTerminating));
    },
  },
  Deleting: {
    status: 'Unknown',
    async reach(world) {
      await world.ordered();
      await world.edit('HelmRelease', 'jupyterhub', { metadata: { finalizers: ['finalizers.fluxcd.io'] } });
      await world.deleteNotebook();
      const team = await world.look();
      await world.edit('HelmRelease', 'jupyterhub', { metadata: { finalizers: null } });
      return team;
    },
  },
  KubernetesUnavailable: unavailable('Kubernetes'),
  GKEUnavailable: unavailable('GKE'),
  GoogleUnavailable: unavailable('Google'),
  DependencyUnavailable: unavailable('another system'),
  InternalError: {
    status: 'Unknown',
    async reach(world) {
      await firstOrder(world);
      return world.look(failing(world, () => new TypeError('unexpected')));
    },
  },
};

/** Reasons of Applied beside which the release is read. */
const withRelease = ['AsOrdered', 'HomesNotGrown'];

const reported = (report: object, status: Condition['status']): Row => ({
  status,
  async reach(world) {
    await world.ordered();
    await world.report(report);
    return world.look();
  },
});

const drifted = {
  ...reports.ready,
  conditions: [
    ...reports.ready.conditions,
    { ...reports.ready.conditions[0], type: 'Drifted', reason: 'DriftDetected' },
  ],
};

const hubReady: Rows<Exclude<ReasonsOf['HubReady'], ReasonsOf['Applied']>> = {
  Pending: reported(reports.waiting, 'Unknown'),
  Applying: reported(reports.installing, 'Unknown'),
  Retrying: reported(reports.retrying, 'False'),
  Installed: reported(reports.ready, 'True'),
  Drifted: reported(drifted, 'False'),
  Failed: reported(reports.failed, 'False'),
  RolledBack: reported(reports.rolledBack, 'False'),
  Suspended: {
    status: 'False',
    async reach(world) {
      await world.ordered();
      const suspended = (release: Manifest): Manifest => ({
        ...release,
        spec: { ...Object(release.spec), suspend: true },
      });
      return world.look(showing(world, 'HelmRelease', suspended));
    },
  },
};

const membersSynced: Rows<ReasonsOf['MembersSynced']> = {
  NoHub: { status: 'Unknown', reach: (world) => world.ordered() },
  InStep: reported(reports.ready, 'True'),
  Pending: {
    status: 'Unknown',
    async reach(world) {
      await world.ordered();
      await world.report(reports.ready);
      world.hub.state.away = true;
      return world.look();
    },
  },
};

const provisioned = (answer: ProvisionResult, status: Condition['status']): Row => ({
  status,
  async reach(world) {
    world.google.answer = answer;
    await world.create();
    return world.look();
  },
});
const failed = (reason: 'Conflict' | 'QuotaExceeded' | 'Unavailable', status: Condition['status']) =>
  provisioned({ state: 'failed', reason, message: 'No.' }, status);
const incomplete = (reason: 'UnknownMembers' | 'AccountPending', status: Condition['status']) =>
  provisioned({ state: 'incomplete', reason, message: 'Not yet.' }, status);

const secretReady: Rows<ReasonsOf['SecretReady']> = {
  InPlace: provisioned({ state: 'ready' }, 'True'),
  UnknownMembers: incomplete('UnknownMembers', 'True'),
  AccountPending: incomplete('AccountPending', 'False'),
  Conflict: failed('Conflict', 'False'),
  QuotaExceeded: failed('QuotaExceeded', 'False'),
  Unavailable: failed('Unavailable', 'Unknown'),
};

const egressEffective: Rows<ReasonsOf['EgressEffective']> = {
  Effective: { status: 'True', reach: (world) => world.ordered(restricted) },
  NotSeen: {
    status: 'Unknown',
    async reach(world) {
      await world.ordered(restricted);
      return world.look(failing(world, () => new Unavailable('Kubernetes', 'It does not answer.')));
    },
  },
  NotApplied: {
    status: 'False',
    async reach(world) {
      await world.ordered();
      await world.order(restricted);
      return world.look(refusing(world.cluster, 'NetworkPolicy'));
    },
  },
  Widened: {
    status: 'False',
    async reach(world) {
      await world.ordered(restricted);
      await world.put('NetworkPolicy', {
        metadata: { name: 'everything' },
        spec: { podSelector: {}, policyTypes: ['Egress'], egress: [{}] },
      });
      return world.look();
    },
  },
  PolicyTooLarge: {
    status: 'False',
    async reach(world) {
      world.dns.set('pypi.org', ['151.101.0.223', '151.101.64.223']);
      await world.ordered(restricted);
      await world.put('Pod', aPod('jupyter-kari', { component: 'singleuser-server' }));
      const egress = { settings: { ...defaultEgressSettings, maxPeers: 1 }, entries: defaultEntryOptions };
      return world.reconcile({ egress });
    },
  },
  GoogleApisNotCovered: {
    status: 'False',
    async reach(world) {
      world.dns.set('secretmanager.googleapis.com', ['142.250.74.42']);
      return world.ordered(restricted);
    },
  },
};

const image: NotebookImage = {
  reference: 'ghcr.io/navikt/x:1',
  digest: `sha256:${'a'.repeat(64)}`,
  resolvedAt: '2026-11-23T09:00:00.000Z',
  newerDigest: null,
};
const withImage = async (world: World): Promise<void> => {
  await world.create();
  await world.place(aSpec({ image: image.reference }), image);
};

const imageResolved: Rows<ReasonsOf['ImageResolved']> = {
  Pinned: {
    status: 'True',
    async reach(world) {
      await withImage(world);
      return world.look();
    },
  },
  ImageGone: {
    status: 'False',
    async reach(world) {
      await withImage(world);
      const missingSince = '2026-11-23T08:00:00.000Z';
      await world.change((team) => ({
        next: {
          ...team,
          notebook: team.notebook && { ...team.notebook, imageAbsence: { missingSince, missing: true } },
        },
      }));
      return world.look();
    },
  },
};

/** A row for every reason that a reconcile can report; the compiler asks for the row of a new one. */
const outcomes: Readonly<Record<ConditionType, Readonly<Record<string, Row>>>> = {
  ImageResolved: imageResolved,
  SecretReady: secretReady,
  Applied: applied,
  HubReady: hubReady,
  MembersSynced: membersSynced,
  EgressEffective: egressEffective,
};

describe('what a reconcile reports', () => {
  let kubernetes: OpenedSimulator;
  before(async () => {
    kubernetes = await openSimulator();
  });
  after(() => kubernetes.close());

  const reached = async (t: TestContext, { reach }: Row): Promise<Team> => reach(await aWorld(t, kubernetes));
  const found = (team: Team, type: string) => {
    const { status, reason, message = '' } = conditionOf(team, type) ?? {};
    assert.notEqual(message, '');
    return { status, reason };
  };

  it('has every reason that is documented for clients', () => {
    const reasons = Object.values(outcomes).flatMap((rows) => Object.keys(rows));
    assert.deepEqual([...new Set(reasons)].toSorted(), Object.keys(conditionReasons).toSorted());
  });

  for (const [type, rows] of Object.entries(outcomes)) {
    for (const [reason, row] of Object.entries(rows)) {
      it(`${type} is ${row.status} with reason ${reason}`, async (t) => {
        assert.deepEqual(found(await reached(t, row), type), { status: row.status, reason });
      });
    }
  }

  for (const [reason, row] of Object.entries(applied)) {
    if (withRelease.includes(reason)) continue;
    it(`HubReady is Unknown with reason ${reason} when that prevents reading the release`, async (t) => {
      assert.deepEqual(found(await reached(t, row), 'HubReady'), { status: 'Unknown', reason });
    });
  }
});
