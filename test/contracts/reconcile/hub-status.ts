import assert from 'node:assert/strict';
import { it } from 'node:test';
import type { TeamRecord } from '../../../src/model/record.ts';
import { retryNotebook } from '../../../src/notebooks/rules.ts';
import { aMoment } from '../../support/records.ts';
import { aWorld, conditionOf, type Kubernetes } from '../../support/world.ts';

const condition = (type: string, status: string, reason: string, message = `${reason}.`) => ({
  type,
  status,
  reason,
  message,
  observedGeneration: 1,
  lastTransitionTime: '2026-11-23T09:00:00Z',
});

const installed = {
  chartName: 'jupyterhub',
  chartVersion: '4.4.0',
  configDigest: `sha256:${'1'.repeat(64)}`,
  digest: `sha256:${'2'.repeat(64)}`,
  firstDeployed: '2026-11-23T09:00:00Z',
  lastDeployed: '2026-11-23T09:00:00Z',
  name: 'jupyterhub',
  namespace: 'team',
  status: 'deployed',
  version: 1,
};
const helmFailed = 'Helm install failed: context deadline exceeded';

/** What Flux’s helm-controller writes into a HelmRelease’s status. */
export const reports = {
  waiting: { conditions: [] },
  outdated: { conditions: [{ ...condition('Ready', 'True', 'InstallSucceeded'), observedGeneration: 0 }] },
  installing: {
    conditions: [
      condition('Reconciling', 'True', 'Progressing'),
      condition('Ready', 'Unknown', 'Progressing', 'Running installation'),
    ],
  },
  retrying: {
    installFailures: 1,
    conditions: [
      condition('Reconciling', 'True', 'ProgressingWithRetry'),
      condition('Ready', 'False', 'InstallFailed', helmFailed),
    ],
  },
  failed: {
    installFailures: 3,
    conditions: [
      condition('Stalled', 'True', 'RetriesExceeded'),
      condition('Ready', 'False', 'InstallFailed', helmFailed),
    ],
  },
  rolledBack: {
    failures: 3,
    upgradeFailures: 3,
    conditions: [
      condition('Stalled', 'True', 'RetriesExceeded', 'Failed to upgrade after 3 attempt(s)'),
      condition('Ready', 'False', 'RollbackSucceeded', 'Rolled back to version 1'),
      condition('Remediated', 'True', 'RollbackSucceeded'),
    ],
  },
  stuck: {
    history: [installed],
    conditions: [condition('Ready', 'Unknown', 'Progressing', 'Running upgrade')],
  },
  ready: {
    history: [installed],
    conditions: [condition('Ready', 'True', 'InstallSucceeded', 'Helm install succeeded')],
  },
} as const;

/** What Flux says of a first installation, and what its team is shown then. */
const shown: readonly (readonly [keyof typeof reports, string, string, string, RegExp])[] = [
  ['waiting', 'Unknown', 'Pending', 'Applying', /not reconciled the HelmRelease/],
  ['outdated', 'Unknown', 'Pending', 'Applying', /not reconciled the newest/],
  ['installing', 'Unknown', 'Applying', 'Applying', /Running installation/],
  ['retrying', 'False', 'Retrying', 'Applying', /deadline exceeded/],
  ['failed', 'False', 'Failed', 'Degraded', /deadline exceeded/],
  ['rolledBack', 'False', 'RolledBack', 'Degraded', /Rolled back to version 1/],
  ['stuck', 'True', 'Installed', 'Ready', /installed/],
  ['ready', 'True', 'Installed', 'Ready', /succeeded/],
];

const waitSeconds: Readonly<Record<string, number>> = { Ready: 1800, Degraded: 60, Applying: 0 };

/** What Flux says of the hub reaches the team; to be called inside a `describe` that names the API server. */
export const hubStatus = (open: () => Kubernetes): void => {
  for (const [report, status, reason, phase, message] of shown) {
    it(`shows a hub that Flux reports as ${report} with reason ${reason}, and its notebook as ${phase}`, async (t) => {
      const world = await aWorld(t, open());
      await world.ordered();
      await world.report(reports[report]);
      world.pass(5);
      const team = await world.look();
      assert.partialDeepStrictEqual(conditionOf(team, 'HubReady'), { status, reason });
      assert.match(conditionOf(team, 'HubReady')?.message ?? '', message);
      assert.equal(team?.status.phase, phase);
      assert.equal(conditionOf(team, 'Applied')?.status, 'True');
      assert.equal(conditionOf(team, 'Applied')?.lastTransitionTime, aMoment);
      const record = await world.record();
      await world.look();
      assert.deepEqual(await world.record(), record, 'the same again is no news');
      if (phase !== 'Applying') {
        const wait = (Date.parse(record.reconcile.dueAt) - world.clock.now()) / 1000;
        assert.equal(wait, waitSeconds[phase]);
      } else assert.ok(Date.parse(record.reconcile.dueAt) <= world.clock.now());
    });
  }

  it('shows a hub as Drifted when Flux calls it ready and its Deployment is gone, until it is back', async (t) => {
    const world = await aWorld(t, open());
    await world.ordered();
    await world.report(reports.ready);
    assert.equal((await world.look())?.status.phase, 'Ready');
    const { code } = await world.send(
      'DELETE',
      `/apis/apps/v1/namespaces/${await world.namespace()}/deployments/hub`,
    );
    assert.equal(code, 200);
    const team = await world.look();
    assert.equal(team?.status.phase, 'Degraded');
    assert.partialDeepStrictEqual(conditionOf(team, 'HubReady'), { status: 'False', reason: 'Drifted' });
    assert.match(conditionOf(team, 'HubReady')?.message ?? '', /Deployment is gone/);
    await world.report(reports.ready);
    assert.equal((await world.look())?.status.phase, 'Ready');
  });

  it('looks again within a minute at a ready hub whose retry Flux has not handled, as an operation waits for it', async (t) => {
    const world = await aWorld(t, open());
    await world.ordered();
    await world.change((team) => retryNotebook(team, false, world.act(), 'op-1'));
    const dueIn = (team: TeamRecord | undefined) =>
      (Date.parse(team?.reconcile.dueAt ?? '') - world.clock.now()) / 1000;
    await world.look();
    await world.report({ ...reports.ready, lastHandledReconcileAt: '2026-11-23T08:00:00.000Z' });
    const waiting = await world.look();
    assert.equal(waiting?.status.phase, 'Ready');
    assert.equal(dueIn(waiting), 60);
    await world.report({ ...reports.ready, lastHandledReconcileAt: waiting.notebook?.retry?.at });
    world.pass(60);
    assert.equal(dueIn(await world.look()), 1800);
  });

  it('follows a notebook from Pending to Ready, to Degraded, and back by a retry', async (t) => {
    const world = await aWorld(t, open());
    await world.create();
    await world.order();
    assert.equal((await world.record()).status.phase, 'Pending');
    const phases: string[] = [];
    const versions = [(await world.record()).statusVersion];
    const next = async (report: object) => {
      await world.report(report);
      world.pass(1);
      const team = await world.look();
      phases.push(`${team?.status.phase} ${conditionOf(team, 'HubReady')?.reason}`);
      versions.push(team?.statusVersion ?? 0);
      return team;
    };
    await world.look();
    await next(reports.installing);
    await next(reports.ready);
    await next(reports.retrying);
    await next({ ...reports.failed, upgradeFailures: 3 });
    await world.retry(true);
    assert.equal((await world.record()).status.phase, 'Applying');
    const last = await next({ ...reports.ready, installFailures: 0, upgradeFailures: 0 });
    assert.deepEqual(phases, [
      'Applying Applying',
      'Ready Installed',
      'Degraded Retrying',
      'Degraded Failed',
      'Ready Installed',
    ]);
    assert.deepEqual(
      versions,
      [...versions].sort((a, b) => a - b),
    );
    assert.equal(new Set(versions).size, versions.length);
    assert.equal(conditionOf(last, 'Applied')?.lastTransitionTime, aMoment);
    assert.notEqual(conditionOf(last, 'HubReady')?.lastTransitionTime, aMoment);
  });

  it('is Ready at once with an order that the hub need not hear of', async (t) => {
    const world = await aWorld(t, open());
    await world.ordered();
    await world.report(reports.ready);
    assert.equal((await world.look())?.status.phase, 'Ready');
    await world.order({ resources: { cpu: { limit: 4 } } });
    assert.equal((await world.record()).status.phase, 'Applying');
    const team = await world.look();
    assert.equal(team?.status.phase, 'Ready');
    assert.equal(team?.status.appliedRevision, 2);
  });
};
