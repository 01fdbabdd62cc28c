import assert from 'node:assert/strict';
import { describe, it, type TestContext } from 'node:test';
import type { TeamRecord } from '../../src/model/record.ts';
import { boundedBy } from '../../src/reconcile/bounded.ts';
import { aMoment, aNotebook, anOrderedRecord, aRecord } from '../support/records.ts';

const silent = { info: () => {}, warn: () => {}, error: () => {} };
const under = (phase: TeamRecord['status']['phase'], overrides: Partial<TeamRecord> = {}): TeamRecord => {
  const team = anOrderedRecord(overrides);
  return { ...team, status: { ...team.status, phase } };
};

const bench = (t: TestContext, look: (slug: string) => Promise<TeamRecord | undefined>) => {
  const deadlines: number[] = [];
  const timeout = AbortSignal.timeout.bind(AbortSignal);
  t.mock.method(AbortSignal, 'timeout', (ms: number) => {
    deadlines.push(ms);
    return timeout(ms);
  });
  const looked: string[] = [];
  const warned: object[] = [];
  let elapsed = 5_000;
  const bounded = boundedBy({
    reconcile: async (slug, signal) => {
      looked.push(slug);
      assert.equal(signal.aborted, false);
      return look(slug);
    },
    elapsedMs: () => elapsed,
    log: { ...silent, warn: (fields) => warned.push(fields) },
  });
  const pass = (ms: number) => {
    elapsed += ms;
  };
  return { bounded, deadlines, looked, warned, pass };
};

describe('a reconcile within a request', () => {
  it('after a write has eight seconds, and returns the team as stored afterwards', async (t) => {
    const ready = under('Ready');
    const { bounded, deadlines } = bench(t, async () => ready);
    assert.equal(await bounded.afterWrite(under('Pending')), ready);
    assert.deepEqual(deadlines, [8_000]);
  });

  it('answers undefined once the team is gone', async (t) => {
    const { bounded } = bench(t, async () => undefined);
    assert.equal(await bounded.afterWrite(under('Deleting')), undefined);
  });

  it('that fails does not fail the request: the order is stored and due', async (t) => {
    const { bounded, warned } = bench(t, async () => {
      throw new Error('the store is away');
    });
    const team = under('Pending');
    assert.equal(await bounded.afterWrite(team), team);
    assert.equal(await bounded.whileUnderWay(aRecord({ slug: 'other' })).then((it) => it?.slug), 'other');
    assert.equal(warned.length, 2);
  });

  const deletion = { requestedAt: aMoment, deleteHomes: false };
  const rows: readonly (readonly [string, TeamRecord, boolean])[] = [
    ['Pending', under('Pending'), true],
    ['Applying', under('Applying'), true],
    ['Ready', under('Ready'), false],
    ['Degraded', under('Degraded'), false],
    ['whose notebook is being deleted', under('Deleting', { notebook: aNotebook({ deletion }) }), true],
    ['that is being deleted', under('Deleting', { deletion: { ...deletion, deleteSecret: false } }), true],
  ];
  for (const [sentence, team, expected] of rows) {
    it(`for a reader of a team ${sentence}: ${expected ? 'runs, two seconds long' : 'does not run'}`, async (t) => {
      const { bounded, looked, deadlines } = bench(t, async () => undefined);
      const answer = await bounded.whileUnderWay(team);
      assert.deepEqual(looked, expected ? ['team-a'] : []);
      assert.deepEqual(deadlines, expected ? [2_000] : []);
      assert.equal(answer, expected ? undefined : team);
    });
  }

  it('runs at most once a second per team, for any number of readers', async (t) => {
    const { bounded, looked, pass } = bench(t, async () => under('Ready'));
    const team = under('Applying');
    const other = under('Applying', { slug: 'team-b', id: 'team-b-0000' });
    const answers = await Promise.all([bounded.whileUnderWay(team), bounded.whileUnderWay(team)]);
    assert.deepEqual(
      answers.map((answer) => answer?.status.phase),
      ['Ready', 'Applying'],
      'the second has the store’s answer',
    );
    await bounded.whileUnderWay(other);
    pass(999);
    await bounded.whileUnderWay(team);
    assert.deepEqual(looked, ['team-a', 'team-b']);
    pass(1);
    await bounded.whileUnderWay(team);
    assert.deepEqual(looked, ['team-a', 'team-b', 'team-a']);
  });

  it('after a write counts for readers too, and is never skipped', async (t) => {
    const { bounded, looked } = bench(t, async () => under('Applying'));
    const team = under('Applying');
    await bounded.afterWrite(team);
    await bounded.whileUnderWay(team);
    await bounded.afterWrite(team);
    assert.equal(looked.length, 2);
  });

  it('is forgotten first for the team that was reconciled the longest ago', async (t) => {
    const { bounded, looked } = bench(t, async () => undefined);
    const numbered = (n: number) => under('Applying', { slug: `t${n}`, id: `t${n}-0000` });
    for (let n = 0; n <= 10_000; n++) await bounded.whileUnderWay(numbered(n));
    looked.length = 0;
    await bounded.whileUnderWay(numbered(1));
    assert.deepEqual(looked, [], 'still known');
    await bounded.whileUnderWay(numbered(0));
    assert.deepEqual(looked, ['t0'], 'forgotten, so looked at once more');
  });
});
