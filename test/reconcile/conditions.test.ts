import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import fc from 'fast-check';
import type { Condition, Phase } from '../../src/model/condition.ts';
import type { TeamRecord, TeamStatus } from '../../src/model/record.ts';
import { type ReconcileFacts, statusAfter } from '../../src/reconcile/conditions.ts';
import type { ReleaseState } from '../../src/reconcile/release-state.ts';
import { aMoment, aNotebook, anOrderedRecord, aRecord } from '../support/records.ts';

const now = '2026-11-23T10:00:00.000Z';

const outcomes = {
  complete: { outcome: 'complete' },
  waiting: { outcome: 'waiting', reason: 'Terminating', message: 'Secret x is being deleted.' },
  blocked: { outcome: 'blocked', reason: 'Conflict', message: 'Namespace x is not this team’s.' },
  unknown: { outcome: 'unknown', reason: 'KubernetesUnavailable', message: 'It did not answer.' },
} as const satisfies Record<string, ReconcileFacts['applied']>;
type Outcome = keyof typeof outcomes;
const states = ['pending', 'applying', 'retrying', 'applied', 'failed', 'rolled_back'] as const;

const facts = (outcome: Outcome, state?: ReleaseState['state']): ReconcileFacts => ({
  applied: outcomes[outcome],
  release: state === undefined ? undefined : { state, message: `Flux: ${state}` },
});

const team = (overrides: Partial<TeamStatus> = {}, record: Partial<TeamRecord> = {}): TeamRecord => {
  const base = anOrderedRecord(record);
  return { ...base, status: { ...base.status, ...overrides } };
};
const applied = { appliedGeneration: 2, appliedRevision: 1 };
const wasReady = { ...applied, wasReady: true };

describe('the phase of a notebook', () => {
  const rows: readonly (readonly [string, Partial<TeamStatus>, ReconcileFacts, Phase])[] = [
    // Nothing applied yet.
    ['ordered, the cluster away', {}, facts('unknown'), 'Pending'],
    ['ordered, something in the way', {}, facts('blocked'), 'Pending'],
    ['ordered, something on its way out', {}, facts('waiting'), 'Pending'],
    // On its way.
    ['applied, Flux has not looked', {}, facts('complete', 'pending'), 'Applying'],
    ['applied, Flux is at it', {}, facts('complete', 'applying'), 'Applying'],
    ['applied, the release not read', {}, facts('complete'), 'Applying'],
    ['the first installation failed once', {}, facts('complete', 'retrying'), 'Applying'],
    ['applied earlier, the cluster away now', applied, facts('unknown'), 'Applying'],
    ['applied earlier, blocked now', applied, facts('blocked'), 'Applying'],
    // As ordered.
    ['applied and installed', {}, facts('complete', 'applied'), 'Ready'],
    ['applied and installed, as before', wasReady, facts('complete', 'applied'), 'Ready'],
    // Every try spent, whether Ready before or not.
    ['the first installation given up', {}, facts('complete', 'failed'), 'Degraded'],
    ['an upgrade rolled back', applied, facts('complete', 'rolled_back'), 'Degraded'],
    // False after having been Ready.
    ['was Ready, an upgrade failed once', wasReady, facts('complete', 'retrying'), 'Degraded'],
    ['was Ready, blocked now', wasReady, facts('blocked'), 'Degraded'],
    // What could not be found out is no fault.
    ['was Ready, the cluster away', wasReady, facts('unknown'), 'Applying'],
    ['was Ready, something on its way out', wasReady, facts('waiting'), 'Applying'],
    ['was Ready, being upgraded', wasReady, facts('complete', 'applying'), 'Applying'],
    ['was Ready, installed, but not all applied', wasReady, facts('waiting', 'applied'), 'Applying'],
  ];
  for (const [sentence, status, found, phase] of rows) {
    it(`${sentence}: ${phase}`, () => assert.equal(statusAfter(team(status), found, now).phase, phase));
  }

  it('is Deleting once deletion is requested, for any facts', () => {
    const deletion = { requestedAt: aMoment, deleteHomes: false };
    for (const outcome of Object.keys(outcomes) as Outcome[]) {
      for (const state of [undefined, ...states]) {
        const found = facts(outcome, state);
        const notebook = team(wasReady, { notebook: aNotebook({ deletion }) });
        assert.equal(statusAfter(notebook, found, now).phase, 'Deleting');
        const whole = team(wasReady, { deletion: { ...deletion, deleteSecret: false } });
        assert.equal(statusAfter(whole, found, now).phase, 'Deleting');
      }
    }
  });
});

describe('the phase of a team without a notebook', () => {
  const rows: readonly (readonly [string, Partial<TeamStatus>, Outcome, Phase])[] = [
    ['nothing applied, the cluster away', {}, 'unknown', 'Pending'],
    ['applied', {}, 'complete', 'Ready'],
    ['applied earlier, the cluster away', { appliedGeneration: 1 }, 'unknown', 'Applying'],
    ['was Ready, blocked now', { appliedGeneration: 1, wasReady: true }, 'blocked', 'Degraded'],
  ];
  for (const [sentence, status, outcome, phase] of rows) {
    it(`${sentence}: ${phase}`, () => {
      const record = { ...aRecord(), status: { ...aRecord().status, ...status } };
      const after = statusAfter(record, facts(outcome), now);
      assert.equal(after.phase, phase);
      assert.deepEqual(
        after.conditions.map(({ type }) => type),
        ['Applied'],
        'what is not in use is absent',
      );
    });
  }
});

describe('the conditions', () => {
  const of = (record: TeamRecord, found: ReconcileFacts) =>
    statusAfter(record, found, now).conditions.map(
      ({ type, status, reason }) => `${type} ${status} ${reason}`,
    );

  const rows: readonly (readonly [ReconcileFacts, readonly string[]])[] = [
    [facts('complete', 'applied'), ['Applied True AsOrdered', 'HubReady True Installed']],
    [facts('complete', 'pending'), ['Applied True AsOrdered', 'HubReady Unknown Pending']],
    [facts('complete', 'applying'), ['Applied True AsOrdered', 'HubReady Unknown Applying']],
    [facts('complete', 'retrying'), ['Applied True AsOrdered', 'HubReady False Retrying']],
    [facts('complete', 'failed'), ['Applied True AsOrdered', 'HubReady False Failed']],
    [facts('complete', 'rolled_back'), ['Applied True AsOrdered', 'HubReady False RolledBack']],
    [facts('complete'), ['Applied True AsOrdered', 'HubReady Unknown Pending']],
    [facts('blocked'), ['Applied False Conflict', 'HubReady Unknown Conflict']],
    [facts('waiting'), ['Applied Unknown Terminating', 'HubReady Unknown Terminating']],
    [facts('unknown'), ['Applied Unknown KubernetesUnavailable', 'HubReady Unknown KubernetesUnavailable']],
  ];
  for (const [found, expected] of rows) {
    it(`${found.applied.outcome}, release ${found.release?.state ?? 'not read'}: ${expected.join(', ')}`, () => {
      assert.deepEqual(of(team(), found), expected);
    });
  }

  it('quote Flux’s messages about the hub, and the cluster’s about a rejected object', () => {
    const [, hub] = statusAfter(team(), facts('complete', 'failed'), now).conditions;
    assert.equal(hub?.message, 'Flux: failed');
    const [refused] = statusAfter(team(), facts('blocked'), now).conditions;
    assert.equal(refused?.message, 'Namespace x is not this team’s.');
  });

  it('name the team’s own image if there is one', () => {
    const digest = `sha256:${'a'.repeat(64)}`;
    const image = { reference: 'ghcr.io/navikt/a:1', digest, resolvedAt: aMoment, newerDigest: null };
    const [first] = statusAfter(
      team({}, { notebook: aNotebook({ image }) }),
      facts('complete', 'applied'),
      now,
    ).conditions;
    assert.equal(first?.type, 'ImageResolved');
    assert.equal(first?.status, 'True');
    assert.equal(first?.message, `ghcr.io/navikt/a:1 is pinned to ${digest}.`);
  });

  it('keep lastTransitionTime while their status is the same, for any message', () => {
    const before = statusAfter(team(), facts('complete', 'applying'), aMoment);
    const after = statusAfter(team(before), facts('complete', 'pending'), now);
    const turn = ({ conditions }: TeamStatus) =>
      conditions.map(({ type, lastTransitionTime }) => `${type} ${lastTransitionTime}`);
    assert.notDeepEqual(before.conditions, after.conditions);
    assert.deepEqual(turn(after), turn(before));
    const turned = statusAfter(team(after), facts('complete', 'applied'), now);
    assert.deepEqual(turn(turned), [`Applied ${aMoment}`, `HubReady ${now}`]);
  });
});

describe('the applied generation and revision', () => {
  it('are the current ones once everything is applied', () => {
    const { appliedGeneration, appliedRevision } = statusAfter(
      anOrderedRecord({ generation: 9, notebookRevision: 4 }),
      facts('complete', 'pending'),
      now,
    );
    assert.deepEqual([appliedGeneration, appliedRevision], [9, 4]);
  });

  it('are unchanged while something is missing', () => {
    for (const outcome of ['waiting', 'blocked', 'unknown'] as const) {
      const after = statusAfter(team(applied, { generation: 9, notebookRevision: 4 }), facts(outcome), now);
      assert.deepEqual([after.appliedGeneration, after.appliedRevision], [2, 1]);
    }
  });

  it('have no notebook revision without a notebook', () => {
    const { appliedRevision } = statusAfter(aRecord({ notebookRevision: 4 }), facts('complete'), now);
    assert.equal(appliedRevision, 0);
  });
});

describe('any reconcile', () => {
  const anyFacts: fc.Arbitrary<ReconcileFacts> = fc
    .tuple(
      fc.constantFrom<Outcome>('complete', 'waiting', 'blocked', 'unknown'),
      fc.constantFrom(undefined, ...states),
    )
    .map(([outcome, state]) => facts(outcome, state));

  /** A team after some looks, with and without a notebook. */
  const anyHistory = fc.record({
    start: fc.constantFrom(anOrderedRecord(), aRecord()),
    looks: fc.array(anyFacts, { maxLength: 6 }),
  });

  it('gives the phase that the contract derives from its conditions', () => {
    fc.assert(
      fc.property(anyHistory, anyFacts, ({ start, looks }, last) => {
        let record = start;
        for (const look of looks) record = { ...record, status: statusAfter(record, look, aMoment) };
        const after = statusAfter(record, last, now);
        const statusOf = (type: Condition['type']) =>
          after.conditions.find((condition) => condition.type === type)?.status;

        // Unknown is never shown as True or False.
        if (last.applied.outcome === 'unknown' || last.applied.outcome === 'waiting') {
          assert.equal(statusOf('Applied'), 'Unknown');
        }
        if (last.release === undefined && record.notebook !== null) {
          assert.equal(statusOf('HubReady'), 'Unknown');
        }

        const someFalse = after.conditions.some(({ status }) => status === 'False');
        const isReady =
          statusOf('Applied') === 'True' &&
          (record.notebook === null || statusOf('HubReady') === 'True') &&
          !someFalse;
        assert.equal(after.phase === 'Ready', isReady);
        const isSpent = last.release?.state === 'failed' || last.release?.state === 'rolled_back';
        if (record.notebook !== null || last.release === undefined) {
          assert.equal(after.phase === 'Degraded', isSpent || (someFalse && record.status.wasReady));
        }
        if (after.phase === 'Pending') assert.equal(after.appliedRevision, 0);

        assert.equal(after.wasReady, record.status.wasReady || isReady);
        assert.ok(after.appliedGeneration >= record.status.appliedGeneration);
        assert.deepEqual(
          statusAfter({ ...record, status: after }, last, '2027-01-01T00:00:00.000Z').conditions,
          after.conditions,
          'the same look again shows the same',
        );
      }),
    );
  });
});
