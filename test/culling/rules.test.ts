import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import fc from 'fast-check';
import type { ActivityFacts, CullingSpec } from '../../src/culling/activity.ts';
import { decide, stopOf } from '../../src/culling/rules.ts';
import { aMoment } from '../support/records.ts';

const now = Date.parse(aMoment);
const at = (ms: number): string => new Date(ms).toISOString();
const [second, minute, hour, day] = [1000, 60_000, 3_600_000, 86_400_000];
const ago = (ms: number): string => at(now - ms);
const ahead = (ms: number): string => at(now + ms);

/** A server that is stopped: idle for 61 minutes where 60 are allowed, its kernels idle, the look fresh. */
const due: ActivityFacts = {
  observedAt: aMoment,
  running: true,
  ready: true,
  pending: null,
  startedAt: ago(3 * hour),
  lastActivityAt: ago(61 * minute),
  busy: 'idle',
  busyAt: null,
  probeFailingSince: null,
  extendedUntil: null,
  culledAt: null,
};
const hourly: CullingSpec = { timeoutSeconds: 3600, maxAgeSeconds: 604_800, keepBusyKernels: true };

interface Situation {
  readonly facts?: Partial<ActivityFacts>;
  readonly culling?: Partial<CullingSpec>;
}
type Row = readonly [situation: string, breaks: Situation, outcome: string];

const outcomeOf = ({ facts, culling }: Situation): string => {
  const { verdict, reason } = decide({ ...due, ...facts }, { ...hourly, ...culling }, now);
  return `${verdict} ${reason}`;
};

/** Each row differs from the server that is due in one thing. */
const oneThing: readonly Row[] = [
  ['nothing else', {}, 'stop idle'],
  ['the hub gave no answer', { facts: { observedAt: null } }, 'keep hub_unavailable'],
  ['the look is 61 s old', { facts: { observedAt: ago(61 * second) } }, 'keep stale'],
  ['the look is 60 s old', { facts: { observedAt: ago(60 * second) } }, 'stop idle'],
  ['it does not run', { facts: { running: false } }, 'keep not_running'],
  ['it is on its way up', { facts: { pending: 'spawn' } }, 'keep pending'],
  ['it is on its way down', { facts: { pending: 'stop' } }, 'keep pending'],
  ['the hub has just restarted', { facts: { pending: 'check' } }, 'keep pending'],
  ['it is not ready', { facts: { ready: false } }, 'keep not_ready'],
  ['the start is unknown', { facts: { startedAt: null } }, 'keep start_unknown'],
  ['its start is no instant', { facts: { startedAt: 'yesterday' } }, 'keep start_unknown'],
  ['its activity is no instant', { facts: { lastActivityAt: 'lately' } }, 'keep start_unknown'],
  ['it was never used', { facts: { lastActivityAt: null } }, 'stop idle'],
  ['it started 9 min 59 s ago', { facts: { startedAt: ago(10 * minute - second) } }, 'keep just_started'],
  ['it started an hour ago', { facts: { startedAt: ago(hour - second) } }, 'keep active'],
  ['it is extended', { facts: { extendedUntil: ahead(second) } }, 'keep extended'],
  ['its extension has ended', { facts: { extendedUntil: ago(0) } }, 'stop idle'],
  ['it was used 59 min ago', { facts: { lastActivityAt: ago(59 * minute) } }, 'keep active'],
  ['it was used just an hour ago', { facts: { lastActivityAt: ago(hour) } }, 'stop idle'],
  ['its use lies ahead', { facts: { lastActivityAt: ahead(59 * minute) } }, 'keep active'],
  ['its start lies ahead', { facts: { startedAt: ahead(59 * minute) } }, 'keep just_started'],
  ['the Cull Timeout is two hours', { culling: { timeoutSeconds: 7200 } }, 'keep active'],
  ['it is as old as it may get', { culling: { maxAgeSeconds: 3 * 3600 } }, 'stop max_age'],
  ['a kernel is busy', { facts: { busy: 'busy' } }, 'keep busy'],
  ['a kernel was busy 59 min ago', { facts: { busyAt: ago(59 * minute) } }, 'keep active'],
  ['a kernel was busy 60 min ago', { facts: { busyAt: ago(hour) } }, 'stop idle'],
  ['the kernels were not asked', { facts: { busy: 'not asked' } }, 'probe idle'],
  ['the kernels gave no answer', { facts: { busy: 'unknown' } }, 'keep probe_failed'],
  ['the team does not keep busy kernels', { culling: { keepBusyKernels: false } }, 'stop idle'],
  ['the culling stopped it a minute ago', { facts: { culledAt: ago(minute) } }, 'keep being_culled'],
  ['the culling stopped it, in vain', { facts: { culledAt: ago(10 * minute) } }, 'stop idle'],
  ['the culling stopped an earlier run', { facts: { culledAt: ago(4 * hour) } }, 'stop idle'],
];

const unanswered = (since: number): Partial<ActivityFacts> => ({
  lastActivityAt: ago(9 * hour),
  startedAt: ago(12 * hour),
  busy: 'unknown',
  probeFailingSince: ago(since),
});
const old = { maxAgeSeconds: 3 * 3600 };
const unkept = { keepBusyKernels: false };

/** What one rule says where another one would say something else. */
const together: readonly Row[] = [
  ['too old, and a kernel is busy', { facts: { busy: 'busy' }, culling: old }, 'stop max_age'],
  ['too old, kernels not asked', { facts: { busy: 'not asked' }, culling: old }, 'stop max_age'],
  ['too old, in use', { facts: { lastActivityAt: ago(0) }, culling: old }, 'stop max_age'],
  ['too old, extended', { facts: { extendedUntil: ahead(hour) }, culling: old }, 'keep extended'],
  ['too old, pending', { facts: { pending: 'stop' }, culling: old }, 'keep pending'],
  ['too old, by a stale look', { facts: { observedAt: ago(5 * minute) }, culling: old }, 'keep stale'],
  [
    'too old within its first minutes',
    { facts: { startedAt: ago(5 * minute), lastActivityAt: null }, culling: { maxAgeSeconds: 60 } },
    'keep just_started',
  ],
  ['kernels silent for 5 h 59 min', { facts: unanswered(6 * hour - minute) }, 'keep probe_failed'],
  ['kernels silent for 6 h', { facts: unanswered(6 * hour) }, 'stop idle'],
  [
    'kernels silent for 6 h, but it was used since they first were',
    { facts: { ...unanswered(6 * hour), lastActivityAt: ago(2 * hour) } },
    'keep probe_failed',
  ],
  [
    'started again since the culling stopped it',
    { facts: { culledAt: ago(5 * minute), startedAt: ago(4 * minute) } },
    'keep just_started',
  ],
  ['a busy kernel that does not count', { facts: { busy: 'busy' }, culling: unkept }, 'stop idle'],
  [
    'a kernel that was busy and does not count',
    { facts: { busyAt: ago(minute) }, culling: unkept },
    'stop idle',
  ],
  ['kernels need not be asked', { facts: { busy: 'not asked' }, culling: unkept }, 'stop idle'],
];

describe('the decision about a due server, with one fact changed', () => {
  for (const [situation, breaks, outcome] of oneThing) {
    it(`${situation}: ${outcome}`, () => assert.equal(outcomeOf(breaks), outcome));
  }
});

describe('the decision when rules conflict', () => {
  for (const [situation, breaks, outcome] of together) {
    it(`${situation}: ${outcome}`, () => assert.equal(outcomeOf(breaks), outcome));
  }
});

describe('the next check of a server', () => {
  const rows: readonly (readonly [situation: string, breaks: Situation, ms: number | null])[] = [
    ['in use: when it may be stopped', { facts: { lastActivityAt: ago(20 * minute) } }, 40 * minute],
    ['extended: when that ends', { facts: { extendedUntil: ahead(5 * hour) } }, 5 * hour],
    [
      'just started: when it may be stopped',
      { facts: { startedAt: ago(minute), lastActivityAt: null } },
      59 * minute,
    ],
    ['on its way up: when it may be stopped', { facts: { pending: 'spawn', startedAt: ago(0) } }, hour],
    ['on its way up for long: in a minute', { facts: { pending: 'spawn' } }, minute],
    ['not known by its hub yet: in a minute', { facts: { pending: 'check' } }, minute],
    ['starting at an unknown time: in a minute', { facts: { ready: false, startedAt: null } }, minute],
    ['stopped by the culling: ten minutes after that', { facts: { culledAt: ago(4 * minute) } }, 6 * minute],
    ['busy: a Cull Timeout later', { facts: { busy: 'busy' } }, hour],
    [
      'busy: when it gets too old',
      { facts: { busy: 'busy' }, culling: { maxAgeSeconds: 3.5 * 3600 } },
      hour / 2,
    ],
    ['silent kernels: in five minutes', { facts: { busy: 'unknown' } }, 5 * minute],
    ['silent kernels: when patience ends', { facts: unanswered(6 * hour - minute) }, minute],
    [
      'silent kernels: when it gets too old',
      { facts: { busy: 'unknown' }, culling: { maxAgeSeconds: 3 * 3600 + 60 } },
      minute,
    ],
    ['due: at the time that it had', {}, -minute],
    ['not running: not scheduled', { facts: { running: false } }, null],
    ['running since an unknown time: not scheduled', { facts: { startedAt: null } }, null],
  ];
  for (const [situation, { facts, culling }, ms] of rows) {
    it(situation, () => {
      const verdict = decide({ ...due, ...facts }, { ...hourly, ...culling }, now);
      assert.equal(verdict.at, ms === null ? null : ahead(ms));
    });
  }
});

describe('the reason that members read', () => {
  const message = (facts: Partial<ActivityFacts>, culling: Partial<CullingSpec> = {}) => {
    const verdict = decide({ ...due, ...facts }, { ...hourly, ...culling }, now);
    return verdict.verdict === 'stop' ? verdict.message : verdict.reason;
  };
  const rows: readonly (readonly [says: string, actual: string])[] = [
    [
      'No activity for 62 minutes; the Cull Timeout is 60 minutes.',
      message({ lastActivityAt: ago(62 * minute) }),
    ],
    [
      'No activity for 2 hours and 1 minute; the Cull Timeout is 2 hours.',
      message({ lastActivityAt: ago(121 * minute) }, { timeoutSeconds: 7200 }),
    ],
    [
      'No activity for 9 hours; the Cull Timeout is 60 minutes. Its kernels could not be probed for 6 hours.',
      message(unanswered(7 * hour)),
    ],
    [
      'It ran for 7 days; the maximum age is 7 days (maxAgeSeconds).',
      message({ startedAt: ago(7 * day + minute), busy: 'busy' }),
    ],
    [
      'It ran for 8 days and 3 hours; the maximum age is 7 days (maxAgeSeconds).',
      message({ startedAt: ago(8 * day + 3 * hour) }),
    ],
    [
      'No activity for 1 day and 1 hour; the Cull Timeout is 1 day.',
      message({ startedAt: ago(3 * day), lastActivityAt: ago(25 * hour) }, { timeoutSeconds: 86_400 }),
    ],
  ];
  for (const [says, actual] of rows) it(says, () => assert.equal(actual, says));
});

describe('the time when a server stops', () => {
  const stop = (facts: Partial<ActivityFacts>, culling: Partial<CullingSpec> = {}) =>
    stopOf({ ...due, ...facts }, { ...hourly, ...culling });

  it('is its last activity plus the Cull Timeout', () => {
    assert.deepEqual(stop({ lastActivityAt: ago(minute) }), {
      stopsAt: ahead(59 * minute),
      stopsBecause: 'idle',
    });
  });
  it('is its start plus the Cull Timeout if it was not used since', () => {
    const unused = { startedAt: ago(20 * minute), lastActivityAt: ago(day) };
    assert.deepEqual(stop(unused), { stopsAt: ahead(40 * minute), stopsBecause: 'idle' });
  });
  it('is the end of its maximum age, if that is earlier', () => {
    const old = { startedAt: ago(7 * day - minute), lastActivityAt: ago(minute) };
    assert.deepEqual(stop(old), { stopsAt: ahead(minute), stopsBecause: 'max_age' });
  });
  it('is the end of an extension, if that is later', () => {
    assert.deepEqual(stop({ extendedUntil: ahead(5 * hour) }), {
      stopsAt: ahead(5 * hour),
      stopsBecause: 'extended',
    });
  });
  it('is unchanged by an extension that ends earlier', () => {
    const shortly = { lastActivityAt: ago(minute), extendedUntil: ahead(minute) };
    assert.deepEqual(stop(shortly), { stopsAt: ahead(59 * minute), stopsBecause: 'idle' });
  });
  it('is one Cull Timeout after a kernel was seen busy', () => {
    assert.deepEqual(stop({ busyAt: ago(minute) }), { stopsAt: ahead(59 * minute), stopsBecause: 'idle' });
  });
  it('is not in its first ten minutes, for any Cull Timeout', () => {
    const fresh = { startedAt: ago(2 * minute), lastActivityAt: ago(minute) };
    assert.deepEqual(stop(fresh, { timeoutSeconds: 60 }), {
      stopsAt: ahead(8 * minute),
      stopsBecause: 'idle',
    });
  });
  it('is at most one Cull Timeout ahead, for any clock of the hub', () => {
    assert.deepEqual(stop({ lastActivityAt: ahead(59 * minute) }), {
      stopsAt: ahead(hour),
      stopsBecause: 'idle',
    });
  });
  it('is null for a stopped server, an unknown start and a hub that did not answer', () => {
    for (const facts of [{ running: false }, { startedAt: null }, { observedAt: null }])
      assert.equal(stop(facts), null);
  });
});

const timeline = fc.integer({ min: now - 9 * day, max: now + 2 * hour }).map(at);
const maybe = (instant: fc.Arbitrary<string>) => fc.option(instant, { nil: null });
const anyFacts: fc.Arbitrary<ActivityFacts> = fc.record({
  observedAt: fc.oneof(
    { weight: 8, arbitrary: fc.constant(aMoment) },
    { weight: 1, arbitrary: maybe(timeline) },
  ),
  running: fc.oneof({ weight: 8, arbitrary: fc.constant(true) }, fc.boolean()),
  ready: fc.oneof({ weight: 8, arbitrary: fc.constant(true) }, fc.boolean()),
  pending: fc.oneof({ weight: 8, arbitrary: fc.constant(null) }, fc.constantFrom('spawn', 'stop', 'check')),
  startedAt: maybe(timeline),
  lastActivityAt: maybe(timeline),
  busy: fc.constantFrom('busy', 'idle', 'unknown', 'not asked'),
  busyAt: fc.oneof({ weight: 3, arbitrary: fc.constant(null) }, timeline),
  probeFailingSince: maybe(timeline),
  extendedUntil: fc.oneof({ weight: 3, arbitrary: fc.constant(null) }, timeline),
  culledAt: fc.oneof({ weight: 3, arbitrary: fc.constant(null) }, timeline),
});
const anyCulling: fc.Arbitrary<CullingSpec> = fc.record({
  timeoutSeconds: fc.integer({ min: 60, max: 86_400 }),
  maxAgeSeconds: fc.integer({ min: 86_400, max: 604_800 }),
  keepBusyKernels: fc.boolean(),
});
const stopsAtOf = (facts: ActivityFacts, culling: CullingSpec): number => {
  const stop = stopOf(facts, culling);
  return stop === null ? Number.POSITIVE_INFINITY : Date.parse(stop.stopsAt);
};
const stopped = (facts: ActivityFacts, culling: CullingSpec, when = now): boolean =>
  decide(facts, culling, when).verdict === 'stop';

describe('for any facts', () => {
  it('every verdict occurs', () => {
    const verdicts = new Set(
      fc.sample(fc.tuple(anyFacts, anyCulling), { numRuns: 500, seed: 1 }).map(([facts, culling]) => {
        const { verdict, reason } = decide(facts, culling, now);
        return `${verdict} ${reason}`;
      }),
    );
    for (const outcome of [
      'stop idle',
      'stop max_age',
      'probe idle',
      'keep active',
      'keep extended',
      'keep busy',
    ])
      assert.ok(verdicts.has(outcome), outcome);
  });

  it('no server is stopped, nor its kernels probed, before the time that members were shown', () => {
    fc.assert(
      fc.property(anyFacts, anyCulling, (facts, culling) => {
        fc.pre(decide(facts, culling, now).verdict !== 'keep');
        assert.ok(stopsAtOf(facts, culling) <= now);
      }),
    );
  });

  it('a server whose time has come is stopped, unless another rule keeps it', () => {
    fc.assert(
      fc.property(anyFacts, anyCulling, (facts, culling) => {
        fc.pre(stopsAtOf(facts, culling) <= now);
        const { verdict, reason } = decide(facts, culling, now);
        if (verdict === 'keep') assert.ok(!['active', 'extended', 'just_started'].includes(reason), reason);
      }),
    );
  });

  it('an extension is honoured', () => {
    fc.assert(
      fc.property(anyFacts, anyCulling, fc.integer({ min: 1, max: day }), (facts, culling, ms) => {
        const extended = { ...facts, extendedUntil: ahead(ms) };
        assert.equal(decide(extended, culling, now).verdict, 'keep');
        assert.ok(stopsAtOf(extended, culling) >= now + ms);
      }),
    );
  });

  it('use, a busy kernel or an extension never make a stop earlier', () => {
    const moved = fc.constantFrom('lastActivityAt', 'busyAt', 'extendedUntil');
    fc.assert(
      fc.property(anyFacts, anyCulling, moved, fc.nat(2 * day), (facts, culling, field, ms) => {
        const before = facts[field];
        const later = { ...facts, [field]: at((before === null ? now - 9 * day : Date.parse(before)) + ms) };
        assert.ok(stopsAtOf(later, culling) >= stopsAtOf(facts, culling));
        if (stopped(later, culling)) assert.ok(stopped(facts, culling));
      }),
    );
  });

  it('a busy kernel postpones a stop until the maximum age, if busy kernels count', () => {
    fc.assert(
      fc.property(anyFacts, anyCulling, (facts, culling) => {
        const verdict = decide({ ...facts, busy: 'busy' }, { ...culling, keepBusyKernels: true }, now);
        if (verdict.verdict === 'stop') assert.equal(verdict.reason, 'max_age');
      }),
    );
  });

  it('only kernels that were not probed are to be probed, and only if they count', () => {
    fc.assert(
      fc.property(anyFacts, anyCulling, (facts, culling) => {
        if (decide(facts, culling, now).verdict !== 'probe') return;
        assert.equal(facts.busy, 'not asked');
        assert.ok(culling.keepBusyKernels);
      }),
    );
  });

  it('failing kernel probes postpone a stop for six hours at most', () => {
    fc.assert(
      fc.property(anyCulling, fc.integer({ min: 6 * hour, max: 8 * hour }), (culling, silentMs) => {
        const facts: ActivityFacts = {
          ...due,
          startedAt: ago(9 * day),
          lastActivityAt: ago(8 * day),
          busy: 'unknown',
          probeFailingSince: ago(silentMs),
        };
        assert.ok(stopped(facts, { ...culling, maxAgeSeconds: 30 * 86_400 }));
      }),
    );
  });

  it('a repeated check is not due before its outcome can change', () => {
    fc.assert(
      fc.property(anyFacts, anyCulling, (facts, culling) => {
        const verdict = decide(facts, culling, now);
        const settled = ['active', 'extended', 'just_started'].includes(verdict.reason);
        if (verdict.verdict !== 'keep' || verdict.at === null || !settled) return;
        const justBefore = Date.parse(verdict.at) - 1;
        const lookedThen = { ...facts, observedAt: at(justBefore) };
        assert.equal(decide(lookedThen, culling, justBefore).verdict, 'keep');
      }),
    );
  });
});
