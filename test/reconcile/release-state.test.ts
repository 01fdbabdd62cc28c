import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import fc from 'fast-check';
import type { Manifest } from '../../src/ports/cluster.ts';
import { type ReleaseState, releaseState } from '../../src/reconcile/release-state.ts';

type Status = 'True' | 'False' | 'Unknown';
const condition = (type: string, status: Status, reason: string, message = '', observedGeneration = 2) => ({
  type,
  status,
  reason,
  message,
  observedGeneration,
});

/** A HelmRelease of generation 2, with two more tries for either action, as Flux left it. */
const release = (status: unknown, spec: unknown = {}): Manifest => ({
  apiVersion: 'helm.toolkit.fluxcd.io/v2',
  kind: 'HelmRelease',
  metadata: { name: 'jupyterhub', namespace: 'team-team-a-3f9c', generation: 2 },
  spec: {
    install: { remediation: { retries: 2 } },
    upgrade: { remediation: { retries: 2, strategy: 'rollback' } },
    ...Object(spec),
  },
  status,
});

const ready = condition('Ready', 'True', 'UpgradeSucceeded', 'Helm upgrade succeeded');
const failed = condition('Ready', 'False', 'UpgradeFailed', 'timed out waiting for hub');
const notReleased = condition('Released', 'False', 'UpgradeFailed', 'timed out waiting for hub');
const running = condition('Ready', 'Unknown', 'Progressing', "Running 'upgrade' action with timeout of 10m");
const reconciling = condition('Reconciling', 'True', 'ProgressingWithRetry', 'retrying');
const stalled = condition('Stalled', 'True', 'RetriesExceeded', 'Failed to upgrade after 3 attempt(s)');
const rolledBack = condition('Remediated', 'True', 'RollbackSucceeded', 'Helm rollback succeeded');
const deployed = [{ version: 1, status: 'deployed', chartVersion: '4.4.0' }];

const rows: readonly (readonly [string, Manifest, ReleaseState['state'], string?])[] = [
  ['not reconciled yet', release(undefined), 'pending', 'Flux has not reconciled the HelmRelease yet.'],
  ['it was looked at, without a verdict', release({ observedGeneration: -1, conditions: [] }), 'pending'],
  ['it is ready', release({ conditions: [ready] }), 'applied', 'Helm upgrade succeeded'],
  [
    'it was ready in the generation before',
    release({ conditions: [{ ...ready, observedGeneration: 1 }] }),
    'pending',
    'Flux has not reconciled the newest HelmRelease yet.',
  ],
  [
    'it had failed in the generation before',
    release({ conditions: [{ ...failed, observedGeneration: 1 }, stalled], upgradeFailures: 3 }),
    'pending',
  ],
  [
    'the generation on top lags behind the condition’s own (#946)',
    release({ observedGeneration: 1, conditions: [ready] }),
    'applied',
  ],
  [
    'the generation on top is ahead of the condition’s own (#946)',
    release({ observedGeneration: 2, conditions: [{ ...ready, observedGeneration: 1 }] }),
    'pending',
  ],
  [
    'the condition names no generation at all',
    release({ conditions: [{ type: 'Ready', status: 'True' }] }),
    'pending',
  ],
  [
    'it is being upgraded',
    release({ conditions: [running, reconciling], history: deployed }),
    'applying',
    "Running 'upgrade' action with timeout of 10m",
  ],
  ['it is being installed for the first time', release({ conditions: [running, reconciling] }), 'applying'],
  [
    'its Ready is stuck at Unknown although it is deployed (#1409)',
    release({ conditions: [running], history: deployed }),
    'applied',
    'The hub is installed.',
  ],
  [
    'Ready is Unknown, nothing is going on, and the last release is no success',
    release({ conditions: [running], history: [{ version: 2, status: 'failed' }, ...deployed] }),
    'applying',
  ],
  [
    'one try has failed, two are left',
    release({ conditions: [failed], upgradeFailures: 1 }),
    'retrying',
    'timed out waiting for hub',
  ],
  [
    'Reconciling stays while Ready is False (#1083): it is still to be tried',
    release({ conditions: [failed, reconciling], upgradeFailures: 2 }),
    'retrying',
  ],
  [
    'Reconciling stays while Ready is False (#1083), and every try is spent',
    release({ conditions: [failed, reconciling], upgradeFailures: 3 }),
    'failed',
  ],
  ['every try of an upgrade is spent', release({ conditions: [failed], upgradeFailures: 3 }), 'failed'],
  ['every try of an installation is spent', release({ conditions: [failed], installFailures: 3 }), 'failed'],
  ['Flux has given up', release({ conditions: [failed, stalled] }), 'failed', 'timed out waiting for hub'],
  [
    'a Stalled that is over does not count',
    release({ conditions: [failed, { ...stalled, status: 'False' }], upgradeFailures: 1 }),
    'retrying',
  ],
  [
    'it has no tries of its own, and the first failed',
    release({ conditions: [failed], installFailures: 1 }, { install: undefined }),
    'failed',
  ],
  [
    'it is to be tried for ever',
    release({ conditions: [failed], upgradeFailures: 9 }, { upgrade: { remediation: { retries: -1 } } }),
    'retrying',
  ],
  [
    'its chart cannot be had, so nothing was tried',
    release({ conditions: [condition('Ready', 'False', 'ArtifactFailed', 'chart is not ready')] }),
    'retrying',
    'chart is not ready',
  ],
  [
    'it was rolled back, and two attempts are left',
    release({ conditions: [failed, notReleased, rolledBack], upgradeFailures: 1 }),
    'retrying',
    'timed out waiting for hub',
  ],
  [
    'another attempt runs after a failed one: its failure stays the news',
    release({ conditions: [running, reconciling, notReleased, rolledBack], upgradeFailures: 1 }),
    'retrying',
    'timed out waiting for hub',
  ],
  [
    'its chart is being fetched after a version bump, and an earlier generation was rolled back',
    release({
      conditions: [
        condition('Ready', 'False', 'SourceNotReady', 'HelmChart is not ready'),
        { ...rolledBack, observedGeneration: 1 },
        { ...stalled, observedGeneration: 1 },
        { ...notReleased, observedGeneration: 1 },
      ],
      upgradeFailures: 3,
      failures: 3,
    }),
    'applying',
    'HelmChart is not ready',
  ],
  [
    'its values break the chart’s schema on an upgrade: nothing is released, only failures are counted',
    release({ conditions: [failed, notReleased, reconciling], failures: 3, history: deployed }),
    'failed',
    'timed out waiting for hub',
  ],
  [
    'its values break the chart’s schema, and Flux tries once more',
    release({ conditions: [running, notReleased, reconciling], failures: 7 }),
    'failed',
    'timed out waiting for hub',
  ],
  [
    'its values break the chart’s schema for the second time',
    release({ conditions: [failed, notReleased, reconciling], failures: 2 }),
    'retrying',
  ],
  [
    'it is suspended, with a change that waits',
    release({ observedGeneration: 2, conditions: [{ ...ready, observedGeneration: 1 }] }, { suspend: true }),
    'suspended',
    'Flux is suspended for this hub, so changes to it wait. The platform team resumes it with: flux resume helmrelease jupyterhub -n team-team-a-3f9c',
  ],
  ['it is suspended, and nothing waits', release({ conditions: [ready] }, { suspend: true }), 'applied'],
  [
    'an object of the chart was deleted',
    release({ conditions: [ready, condition('Drifted', 'True', 'DriftDetected', 'Deployment/hub removed')] }),
    'drifted',
    'Deployment/hub removed',
  ],
  [
    'an object of the chart was deleted, and Flux has put it back since',
    release({ conditions: [ready, condition('Drifted', 'True', 'DriftDetected', 'removed', 1)] }),
    'applied',
  ],
  [
    'it was rolled back and Flux has given up',
    release({ conditions: [failed, rolledBack, stalled], upgradeFailures: 3 }),
    'rolled_back',
  ],
  [
    'the roll-back failed too',
    release({
      conditions: [failed, condition('Remediated', 'False', 'RollbackFailed')],
      upgradeFailures: 3,
    }),
    'failed',
  ],
  [
    'a failed installation was taken back',
    release({
      conditions: [failed, condition('Remediated', 'True', 'UninstallSucceeded')],
      installFailures: 1,
    }),
    'retrying',
  ],
  [
    'Flux says nothing about the failure',
    release({ conditions: [{ ...failed, message: '' }] }),
    'retrying',
    'Flux could not install the hub.',
  ],
];

const states = {
  pending: 1,
  applying: 1,
  retrying: 1,
  applied: 1,
  drifted: 1,
  failed: 1,
  rolled_back: 1,
  suspended: 1,
} satisfies Record<ReleaseState['state'], 1>;

describe('the state of a HelmRelease', () => {
  for (const [sentence, given, state, message] of rows) {
    it(`${sentence}: ${state}`, () => {
      const found = releaseState(given);
      assert.equal(found.state, state);
      if (message !== undefined) assert.equal(found.message, message);
    });
  }

  it('has a message for any object', () => {
    const any = fc.oneof(
      fc.jsonValue(),
      fc.record({
        conditions: fc.array(
          fc.record({
            type: fc.constantFrom('Ready', 'Stalled', 'Reconciling', 'Remediated', 'Released', 'Drifted'),
            status: fc.constantFrom('True', 'False', 'Unknown', 7),
            observedGeneration: fc.nat(3),
          }),
        ),
        history: fc.jsonValue(),
        upgradeFailures: fc.jsonValue(),
      }),
    );
    fc.assert(
      fc.property(any, any, (status, spec) => {
        const { state, message } = releaseState(release(status, spec));
        assert.ok(message.length > 0);
        assert.ok(Object.hasOwn(states, state), state);
      }),
    );
  });
});
