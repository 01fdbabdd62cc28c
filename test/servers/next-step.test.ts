import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import fc from 'fast-check';
import { operationView } from '../../src/api/operation-view.ts';
import type { OperationKind, OperationRecord, OperationStep } from '../../src/model/operation.ts';
import { catalogue } from '../../src/model/problems.ts';
import { afterCall } from '../../src/servers/after-call.ts';
import type { HubFacts, ServerFacts } from '../../src/servers/facts.ts';
import { nextStep } from '../../src/servers/next-step.ts';
import { newOperation } from '../../src/servers/operation-state.ts';
import type { PodView } from '../../src/servers/pod.ts';
import { aMoment } from '../support/records.ts';

const now = Date.parse(aMoment);
const kari = 'kari.nordmann@nav.no';

const operation = (kind: OperationKind, over: Partial<OperationRecord> = {}): OperationRecord => ({
  ...newOperation(
    {
      id: 'op-0000000000000001',
      kind,
      user: kind === 'restart_hub' ? null : kari,
      force: false,
      profile: 'python-3-13',
      by: kari,
    },
    now,
  ),
  ...over,
});

const view = (record: OperationRecord, message: string) =>
  operationView(record, { slug: 'team-a', team: undefined, live: { message } });

const pod: PodView = {
  name: 'jupyter-kari',
  uid: 'new',
  isTerminating: false,
  isReady: true,
  image: null,
  profile: null,
  profileRevision: null,
  size: { 'requests.cpu': 0, 'requests.memory': 0, 'limits.cpu': 0, 'limits.memory': 0 },
  userInstallByDefault: false,
  startedAt: null,
};
const running = {
  stopped: false,
  ready: true,
  pending: null,
  startedAt: aMoment,
  lastActivityAt: aMoment,
  profile: null,
};
const stopped = { ...running, stopped: true, ready: false };
const spawning = { ...running, ready: false, pending: 'spawn' } as const;
const stopping = { ...running, ready: false, pending: 'stop' } as const;
const checking = { ...running, ready: false, pending: 'check' } as const;

const facts = (over: Partial<ServerFacts> = {}): ServerFacts => ({
  hub: { answered: true, isUser: true, server: running },
  pods: { answered: true, pod },
  isMember: true,
  stoppedAt: null,
  hubMessage: '',
  ...over,
});
const hub = (server: Extract<ServerFacts['hub'], { answered: true }>['server']) =>
  ({ answered: true, isUser: true, server }) as const;
const noPod = { answered: true, pod: undefined } as const;
const silence = { answered: false } as const;

/** What is done next, in a word. */
const next = (record: OperationRecord, seen: ServerFacts | HubFacts, at = now): string => {
  const found = nextStep(record, seen, at);
  switch (found.do) {
    case 'wait':
      return 'wait';
    case 'call':
      return `call ${found.call}`;
    case 'write':
      return found.to.outcome === null
        ? `go ${found.to.step}`
        : `${found.to.outcome} ${found.to.reason ?? ''}`.trim();
  }
};

describe('the next step', () => {
  const late = now + 400_000;
  const rows: readonly (readonly [
    says: string,
    kind: OperationKind,
    step: OperationStep,
    over: Partial<OperationRecord>,
    facts: ServerFacts,
    next: string,
  ])[] = [
    ['what runs is stopped', 'stop', 'stop', {}, facts(), 'call stop'],
    ['what starts is stopped, too', 'stop', 'stop', {}, facts({ hub: hub(spawning) }), 'call stop'],
    [
      'what is stopping already is waited for',
      'stop',
      'stop',
      {},
      facts({ hub: hub(stopping) }),
      'go await_stopped',
    ],
    ['a hub that does not know yet is waited for', 'stop', 'stop', {}, facts({ hub: hub(checking) }), 'wait'],
    ['a hub that does not answer is waited for', 'stop', 'stop', {}, facts({ hub: silence }), 'wait'],
    [
      'force does not wait for it',
      'stop',
      'stop',
      { force: true },
      facts({ hub: silence }),
      'call force_stop',
    ],
    [
      'force needs an answer from hub or cluster',
      'stop',
      'stop',
      { force: true },
      facts({ hub: silence, pods: silence }),
      'wait',
    ],
    ['what is down needs no stop', 'stop', 'stop', {}, facts({ hub: hub(stopped), pods: noPod }), 'ready'],
    [
      'a restart continues from there',
      'restart',
      'stop',
      {},
      facts({ hub: hub(null), pods: noPod }),
      'go start',
    ],

    ['the pod is waited for, too', 'stop', 'await_stopped', {}, facts({ hub: hub(stopped) }), 'wait'],
    [
      'the hub’s word is enough where the cluster is silent',
      'stop',
      'await_stopped',
      {},
      facts({ hub: hub(stopped), pods: silence }),
      'ready',
    ],
    ['a stop that the hub has forgotten is repeated', 'stop', 'await_stopped', {}, facts(), 'call stop'],
    [
      'by force, the pod’s end is enough',
      'stop',
      'await_stopped',
      { force: true },
      facts({ pods: noPod }),
      'ready',
    ],
    [
      'by force, silence of both is not',
      'stop',
      'await_stopped',
      { force: true },
      facts({ hub: silence, pods: silence }),
      'wait',
    ],
    [
      'by force, a pod that is on its way is waited for',
      'stop',
      'await_stopped',
      { force: true },
      facts({ pods: { answered: true, pod: { ...pod, isTerminating: true } } }),
      'wait',
    ],

    [
      'what is down is started',
      'start',
      'start',
      {},
      facts({ hub: hub(stopped), pods: noPod }),
      'call start',
    ],
    [
      'who never had a server is started',
      'start',
      'start',
      {},
      facts({ hub: hub(null), pods: noPod }),
      'call start',
    ],
    [
      'a start requested elsewhere is followed',
      'start',
      'start',
      {},
      facts({ hub: hub(spawning), pods: noPod }),
      'go await_ready',
    ],
    ['what runs already is, too', 'start', 'start', {}, facts(), 'go await_ready'],
    ['the old pod is not the new one', 'restart', 'start', { formerPod: 'new' }, facts(), 'wait'],
    [
      'a pod on its way out is waited for',
      'start',
      'start',
      {},
      facts({ hub: hub(stopped), pods: { answered: true, pod: { ...pod, isTerminating: true } } }),
      'wait',
    ],
    [
      'a hub that has not noticed gets a stop',
      'restart',
      'start',
      {},
      facts({ pods: noPod }),
      'call stop_stale',
    ],
    ['nothing is started unseen', 'start', 'start', {}, facts({ hub: hub(stopped), pods: silence }), 'wait'],
    ['nor while it stops', 'start', 'start', {}, facts({ hub: hub(stopping) }), 'wait'],
    ['nor for who left', 'start', 'start', {}, facts({ isMember: false }), 'failed not_a_member'],

    [
      'hub and pod are there: the access is confirmed',
      'start',
      'await_ready',
      {},
      facts(),
      'call confirm_access',
    ],
    ['a hub without a pod is not enough', 'start', 'await_ready', {}, facts({ pods: noPod }), 'wait'],
    ['nor with the old one', 'restart', 'await_ready', { formerPod: 'new' }, facts(), 'wait'],
    ['nor while the cluster is silent', 'start', 'await_ready', {}, facts({ pods: silence }), 'wait'],
    [
      'a start takes its time',
      'start',
      'await_ready',
      { message: 'The notebook is starting.' },
      facts({ hub: hub(spawning) }),
      'wait',
    ],
    [
      'a hub that went away is waited for',
      'start',
      'await_ready',
      {},
      facts({ hub: silence, pods: silence }),
      'wait',
    ],
    [
      'a hub that came back is waited for',
      'start',
      'await_ready',
      { message: 'The notebook is starting.' },
      facts({ hub: hub(checking) }),
      'wait',
    ],
    [
      'a start that ended has failed',
      'start',
      'await_ready',
      {},
      facts({ hub: hub(stopped), pods: noPod }),
      'failed start_failed',
    ],

    [
      'what cannot succeed is taken back',
      'start',
      'cancel',
      {},
      facts({ hub: hub(spawning) }),
      'call cancel',
    ],
    [
      'and then has failed',
      'start',
      'cancel',
      { reason: 'image_pull_failed' },
      facts({ hub: hub(stopping) }),
      'failed image_pull_failed',
    ],
  ];
  for (const [says, kind, step, over, seen, expected] of rows) {
    it(says, () => assert.equal(next(operation(kind, { step, ...over }), seen), expected));
  }

  it('fails after the deadline, whatever was next', () => {
    const failing = (kind: OperationKind, step: OperationStep, seen: ServerFacts) =>
      next(operation(kind, { step }), seen, late);
    assert.equal(failing('stop', 'stop', facts()), 'failed stop_timed_out');
    assert.equal(failing('stop', 'await_stopped', facts({ hub: silence })), 'failed hub_unavailable');
    assert.equal(
      failing('start', 'start', facts({ hub: hub(stopped), pods: noPod })),
      'failed start_timed_out',
    );
    assert.equal(failing('start', 'await_ready', facts({ hub: hub(spawning) })), 'failed start_timed_out');
  });

  it('counts progress made by the deadline', () => {
    assert.equal(next(operation('start', { step: 'await_ready' }), facts(), late), 'call confirm_access');
    const down = facts({ hub: hub(stopped), pods: noPod });
    assert.equal(next(operation('stop', { step: 'await_stopped' }), down, late), 'ready');
  });

  it('of a hub restart patches once and waits for rollout and answer', () => {
    const old = { restartedAt: '2026-11-01T09:00:00Z', isRolledOut: true };
    const ours = { restartedAt: aMoment, isRolledOut: true };
    const seen = (deployment: HubFacts['deployment'], answers = true): HubFacts => ({ deployment, answers });
    const first = operation('restart_hub');
    const waiting = operation('restart_hub', { step: 'await_hub' });
    assert.equal(next(first, seen(old)), 'call restart_hub');
    assert.equal(next(first, seen(undefined)), 'wait');
    assert.equal(next(first, seen(null)), 'failed no_hub');
    assert.equal(next(first, seen(ours)), 'go await_hub');
    assert.equal(next(waiting, seen({ ...ours, isRolledOut: false })), 'wait');
    assert.equal(next(waiting, seen(ours, false)), 'wait');
    assert.equal(next(waiting, seen(ours)), 'ready');
    assert.equal(next(waiting, seen({ ...ours, isRolledOut: false }), late), 'failed hub_restart_timed_out');
  });
});

describe('a hub’s refusal', () => {
  const starting = operation('start');
  const call = { call: 'start', formerPod: null, isUser: true } as const;
  const after = (refused: Parameters<typeof afterCall>[2] & { readonly answer: 'refused' }) =>
    afterCall(starting, call, refused, now);
  const refusal = (
    refused: 'already_running' | 'pending_spawn' | 'pending_stop' | 'too_many_servers' | 'refused',
  ) => ({ answer: 'refused', refused, message: 'No.' }) as const;

  it('counts as started when the server is already starting', () => {
    assert.equal(after(refusal('already_running'))?.step, 'await_ready');
    assert.equal(after(refusal('pending_spawn'))?.step, 'await_ready');
  });
  it('is retried when temporary, else fails with the hub’s message', () => {
    assert.equal(after(refusal('pending_stop')), undefined);
    assert.equal(after(refusal('too_many_servers'))?.reason, 'too_many_servers');
    assert.match(after(refusal('refused'))?.message ?? '', /No\.$/);
  });
});

describe('an operation as clients see it', () => {
  const starting = operation('start', {
    step: 'await_ready',
    progress: 40,
    message: 'The notebook is starting.',
  });

  it('shows the hub’s message during a start, and only the progress that is stored', () => {
    const heard = view(starting, 'Pulling');
    assert.partialDeepStrictEqual(heard, { progress: 40, message: 'Pulling' });
    const over = view({ ...starting, step: 'done', outcome: 'ready', progress: 100, message: 'Done.' }, 'x');
    assert.partialDeepStrictEqual(over, { done: true, progress: 100, message: 'Done.' });
    assert.equal('error' in over, false);
  });

  it('keeps our message when it says what is wrong', () => {
    const pulling = { ...starting, message: 'The image x cannot be pulled.' };
    assert.equal(view(pulling, 'Pulling').message, pulling.message);
  });
});

describe('an operation of another version', () => {
  const stored = operation('start', { step: 'done', outcome: 'failed', dueAt: null });

  it('has the reason of its failure as the code of its error', () => {
    const message = 'The image x does not exist.';
    assert.deepEqual(view({ ...stored, reason: 'image_pull_failed', message }, '').error, {
      type: 'urn:knada:problem:image_pull_failed',
      title: catalogue.image_pull_failed[0],
      status: 409,
      code: 'image_pull_failed',
      detail: message,
      instance: `urn:knada:operation:${stored.id}`,
    });
  });

  it('is internal when this version does not know its reason', () => {
    // A newer version stored it, and was rolled back.
    const newer: OperationRecord = JSON.parse(JSON.stringify({ ...stored, reason: 'moon_in_the_way' }));
    assert.equal(view(newer, '').error?.code, 'internal');
  });
});

describe('every step', () => {
  const server = fc.constantFrom(null, running, stopped, spawning, stopping, checking);
  const anyFacts: fc.Arbitrary<ServerFacts> = fc.record({
    hub: fc.oneof(fc.constant(silence), server.map(hub)),
    pods: fc.oneof(
      fc.constant(silence),
      fc.record({
        answered: fc.constant(true as const),
        pod: fc.option(
          fc
            .record({
              isTerminating: fc.boolean(),
              isReady: fc.boolean(),
              uid: fc.constantFrom('old', 'new'),
            })
            .map((over) => ({ ...pod, ...over })),
          { nil: undefined },
        ),
      }),
    ),
    isMember: fc.boolean(),
    stoppedAt: fc.constantFrom(null, '2026-11-23T08:00:00.000Z'),
    hubMessage: fc.constantFrom('', 'Spawn failed: no'),
  });
  const steps = {
    start: ['start', 'await_ready', 'cancel'],
    stop: ['stop', 'await_stopped'],
    restart: ['stop', 'await_stopped', 'start', 'await_ready', 'cancel'],
  } as const;
  const stepsOf = (kind: OperationKind): readonly OperationStep[] =>
    kind === 'start' || kind === 'stop' ? steps[kind] : steps.restart;
  const anyOperation = fc.constantFrom('start' as const, 'stop' as const, 'restart' as const).chain((kind) =>
    fc
      .record({
        kind: fc.constant(kind),
        step: fc.constantFrom<OperationStep>(...steps[kind]),
        force: fc.boolean(),
        formerPod: fc.constantFrom(null, 'old'),
      })
      .map(({ kind: of, ...over }) => operation(of, over)),
  );

  it('ends or has a due time, keeps its identity, never goes back and respects its deadline', () => {
    fc.assert(
      fc.property(anyOperation, anyFacts, fc.integer({ min: 0, max: 500_000 }), (record, seen, ms) => {
        const found = nextStep(record, seen, now + ms);
        const isLate = now + ms >= Date.parse(record.deadlineAt);
        if (found.do === 'wait') assert.ok(!isLate);
        if (found.do === 'call' && isLate) assert.equal(found.call, 'confirm_access');
        if (found.do !== 'write') return;
        const { to } = found;
        assert.deepEqual(
          [to.id, to.user, to.kind, to.createdAt],
          [record.id, record.user, record.kind, record.createdAt],
        );
        assert.equal(to.dueAt === null, to.outcome !== null);
        assert.equal(to.outcome === 'failed', to.reason !== undefined && to.step === 'done');
        const order: readonly OperationStep[] = [...stepsOf(record.kind), 'done'];
        assert.ok(order.indexOf(to.step) >= order.indexOf(record.step), `${record.step} → ${to.step}`);
        assert.ok(to.progress >= record.progress);
        // A server that was not observed must not be reported as stopped.
        if (to.outcome === 'ready' && record.kind !== 'stop')
          assert.fail('only a confirmed access ends a start');
        if (to.outcome === 'ready') assert.ok(seen.hub.answered || seen.pods.answered);
      }),
    );
  });
});
