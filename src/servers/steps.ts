import { isoOf } from '../lib/time.ts';
import type { OperationKind, OperationRecord, OperationStep } from '../model/operation.ts';
import type { HubRefusal } from '../ports/hubs.ts';
import { type Failure, hubFailure } from './failure.ts';
import type { PodView } from './pod.ts';
import { isStopped, type ServerView } from './rules.ts';

/** What an operation on a server is decided on. */
export interface ServerFacts extends ServerView {
  readonly isMember: boolean;
  /** What the hub tells of a start that failed; empty when it does not. */
  readonly told: string;
}

/** The hub’s Deployment, as far as a rollout restart goes. */
export interface HubDeployment {
  /** Value of kubectl’s restartedAt annotation on the pod template. */
  readonly restartedAt: string | null;
  /** Every pod is of the newest template, and available. */
  readonly isRolledOut: boolean;
}

/** What an operation on a hub is decided on. `deployment`: null when there is none, undefined when not known. */
export interface HubFacts {
  readonly deployment: HubDeployment | null | undefined;
  readonly answers: boolean;
}

/** One outside call. Each is safe to repeat. */
export type Call =
  | { readonly call: 'stop'; readonly formerPod: string | null }
  | { readonly call: 'force_stop'; readonly pod: PodView | undefined }
  | { readonly call: 'start'; readonly formerPod: string | null; readonly isUser: boolean }
  | { readonly call: 'forget' }
  | { readonly call: 'cancel' }
  | { readonly call: 'confirm' }
  | { readonly call: 'restart_hub' };

/** What a call came to. `no_answer`: nobody knows whether it arrived. */
export type Answer =
  | { readonly answer: 'done' }
  | { readonly answer: 'not_yet' }
  | { readonly answer: 'no_answer' }
  | ({ readonly answer: 'refused' } & HubRefusal);

export type Next =
  | { readonly do: 'wait' }
  | ({ readonly do: 'call' } & Call)
  | { readonly do: 'go'; readonly to: OperationRecord };

/** How long a step and the wait after it may take together. The hub gives a start 300 seconds (startTimeout). */
const limitMs: Readonly<Record<Exclude<OperationStep, 'done'>, number>> = {
  stop: 60_000,
  await_stopped: 60_000,
  start: 330_000,
  await_ready: 330_000,
  cancel: 30_000,
  restart_hub: 180_000,
  await_hub: 180_000,
};

/** Waits go on under the deadline of the call before them. */
const waits: readonly OperationStep[] = ['await_stopped', 'await_ready', 'await_hub'];

/** An image that cannot be pulled for this long does not come by itself (the kubelet tries again after 10 s). */
const pullPatienceMs = 20_000;
const keptMs = 7 * 24 * 3_600_000;

const first = {
  start: 'start',
  stop: 'stop',
  restart: 'stop',
  restart_hub: 'restart_hub',
} as const satisfies Record<OperationKind, OperationStep>;

const percent: Readonly<Record<OperationStep, number>> = {
  stop: 5,
  await_stopped: 20,
  start: 30,
  await_ready: 40,
  cancel: 90,
  restart_hub: 10,
  await_hub: 40,
  done: 100,
};

export const sentence: Readonly<Record<Exclude<OperationStep, 'done' | 'cancel'>, string>> = {
  stop: 'The notebook is being stopped.',
  await_stopped: 'The notebook is stopping.',
  start: 'The notebook is about to start.',
  await_ready: 'The notebook is starting.',
  restart_hub: 'The hub is being restarted; notebooks keep running.',
  await_hub: 'The hub is restarting; notebooks keep running.',
};

const finished: Readonly<Record<OperationKind, string>> = {
  start: 'The notebook is running.',
  stop: 'The notebook is stopped.',
  restart: 'The notebook is running again.',
  restart_hub: 'The hub is running again.',
};

/** An operation as it begins. `now`: epoch milliseconds. */
export const begun = (
  wish: Pick<OperationRecord, 'id' | 'kind' | 'user' | 'force' | 'profile' | 'by'>,
  now: number,
): OperationRecord => {
  const step = first[wish.kind];
  return {
    ...wish,
    step,
    outcome: null,
    progress: percent[step],
    message: sentence[step],
    formerPod: null,
    createdAt: isoOf(now),
    updatedAt: isoOf(now),
    deadlineAt: isoOf(now + limitMs[step]),
    dueAt: isoOf(now),
    expiresAt: isoOf(now + keptMs),
  };
};

const moved = (
  operation: OperationRecord,
  step: Exclude<OperationStep, 'done' | 'cancel'>,
  now: number,
  change: Partial<OperationRecord> = {},
): OperationRecord => ({
  ...operation,
  ...change,
  step,
  progress: Math.max(operation.progress, percent[step]),
  message: sentence[step],
  updatedAt: isoOf(now),
  deadlineAt: waits.includes(step) ? operation.deadlineAt : isoOf(now + limitMs[step]),
  dueAt: isoOf(now),
});

const ended = (operation: OperationRecord, now: number): OperationRecord => ({
  ...operation,
  step: 'done',
  outcome: 'ready',
  progress: 100,
  message: finished[operation.kind],
  updatedAt: isoOf(now),
  dueAt: null,
});

/** The operation given up, for a reason and with a sentence that says what to do. */
export const failed = (
  operation: OperationRecord,
  { reason, message }: Pick<Failure, 'reason' | 'message'>,
  now: number,
): OperationRecord => ({
  ...operation,
  step: 'done',
  outcome: 'failed',
  reason,
  message,
  updatedAt: isoOf(now),
  dueAt: null,
});

/** The same operation from its beginning, by force; it waits for nobody’s call that is under way. */
export const forced = (
  { claimedUntil: _claim, ...operation }: OperationRecord,
  by: string,
  now: number,
): OperationRecord => ({
  ...moved(operation, first[operation.kind], now),
  by,
  force: true,
});

const wait: Next = { do: 'wait' };
const go = (to: OperationRecord): Next => ({ do: 'go', to });

/** Waits on, and writes only what is news: a store takes few writes a second. */
const telling = (
  operation: OperationRecord,
  { message, pullFailingSince }: Pick<OperationRecord, 'message' | 'pullFailingSince'>,
  now: number,
): Next => {
  if (message === operation.message && pullFailingSince === operation.pullFailingSince) return wait;
  const { pullFailingSince: _before, ...rest } = operation;
  const failing = pullFailingSince === undefined ? {} : { pullFailingSince };
  return go({ ...rest, ...failing, message, updatedAt: isoOf(now) });
};

const podOf = ({ pods }: ServerView): PodView | undefined => (pods.answered ? pods.pod : undefined);
const isGone = ({ pods }: ServerView): boolean => pods.answered && pods.pod === undefined;

/** Down for the hub, and no pod that says otherwise. */
const isDown = (facts: ServerView): boolean =>
  facts.hub.answered && isStopped(facts.hub.server) && podOf(facts) === undefined;

const afterStop = (operation: OperationRecord, now: number): Next =>
  go(operation.kind === 'restart' ? moved(operation, 'start', now) : ended(operation, now));

const stopping = (operation: OperationRecord, facts: ServerFacts, now: number): Next => {
  const pod = podOf(facts);
  const formerPod = pod?.uid ?? operation.formerPod;
  if (isDown(facts)) return afterStop({ ...operation, formerPod }, now);
  if (operation.force) {
    return facts.hub.answered || facts.pods.answered ? { do: 'call', call: 'force_stop', pod } : wait;
  }
  if (!facts.hub.answered) return wait;
  const pending = facts.hub.server?.pending ?? null;
  if (pending === 'check') return wait;
  if (pending === 'stop' || isStopped(facts.hub.server)) {
    return go(moved(operation, 'await_stopped', now, { formerPod }));
  }
  return { do: 'call', call: 'stop', formerPod };
};

const awaitingStopped = (operation: OperationRecord, facts: ServerFacts, now: number): Next => {
  if (isDown(facts)) return afterStop(operation, now);
  const pod = podOf(facts);
  if (operation.force) {
    // The hub notices by its own poll that the pod is gone; a start makes it notice first.
    if (isGone(facts)) return afterStop(operation, now);
    return pod !== undefined && !pod.isLeaving ? { do: 'call', call: 'force_stop', pod } : wait;
  }
  const isRunning = facts.hub.answered && facts.hub.server?.pending === null && !isStopped(facts.hub.server);
  // A hub that was restarted meanwhile has forgotten that it was to stop it.
  return isRunning ? { do: 'call', call: 'stop', formerPod: operation.formerPod } : wait;
};

const starting = (operation: OperationRecord, facts: ServerFacts, now: number): Next => {
  if (!facts.isMember) {
    const message = `${operation.user} is not a member of the team any more.`;
    return go(failed(operation, { reason: 'not_a_member', message }, now));
  }
  const { hub, pods } = facts;
  if (!hub.answered || !pods.answered) return wait;
  const { pod } = pods;
  const pending = hub.server?.pending ?? null;
  if (pending === 'spawn') return go(moved(operation, 'await_ready', now));
  if (pending !== null || pod?.isLeaving) return wait;
  if (isStopped(hub.server)) {
    return { do: 'call', call: 'start', formerPod: pod?.uid ?? operation.formerPod, isUser: hub.isUser };
  }
  if (pod === undefined) return { do: 'call', call: 'forget' };
  return pod.uid === operation.formerPod ? wait : go(moved(operation, 'await_ready', now));
};

const cancelled = (operation: OperationRecord, { reason, message }: Failure, now: number): Next =>
  go({
    ...operation,
    step: 'cancel',
    progress: percent.cancel,
    reason,
    message,
    updatedAt: isoOf(now),
    deadlineAt: isoOf(now + limitMs.cancel),
  });

const awaitingReady = (operation: OperationRecord, facts: ServerFacts, now: number): Next => {
  const { hub } = facts;
  const seen = podOf(facts);
  const pod = seen?.uid === operation.formerPod ? undefined : seen;
  if (hub.answered && isStopped(hub.server)) {
    const failure = pod?.failure ?? hubFailure(facts.told);
    return go(failed(operation, failure, now));
  }
  if (hub.answered && hub.server?.ready && hub.server.pending === null) {
    return pod !== undefined && !pod.isLeaving ? { do: 'call', call: 'confirm' } : wait;
  }
  const failure = pod?.isLeaving ? undefined : pod?.failure;
  if (failure?.final) return cancelled(operation, failure, now);
  if (failure?.reason === 'image_pull_failed') {
    const since = operation.pullFailingSince ?? isoOf(now);
    if (now - Date.parse(since) >= pullPatienceMs) return cancelled(operation, failure, now);
    return telling(operation, { message: failure.message, pullFailingSince: since }, now);
  }
  return facts.pods.answered
    ? telling(operation, { message: failure?.message ?? sentence.await_ready }, now)
    : wait;
};

const cancelling = (operation: OperationRecord, { hub }: ServerFacts, now: number): Next => {
  if (!hub.answered) return wait;
  const isOver = isStopped(hub.server) || hub.server?.pending === 'stop';
  return isOver ? go(failed(operation, reasonOf(operation), now)) : { do: 'call', call: 'cancel' };
};

const reasonOf = ({ reason = 'start_failed', message }: OperationRecord) => ({ reason, message });

const restartingHub = (operation: OperationRecord, { deployment, answers }: HubFacts, now: number): Next => {
  if (deployment === undefined) return wait;
  if (deployment === null) {
    const message = 'The hub is not installed (any more); there is nothing to restart.';
    return go(failed(operation, { reason: 'no_hub', message }, now));
  }
  const isTold = Date.parse(deployment.restartedAt ?? '') >= Date.parse(operation.createdAt);
  if (!isTold) return { do: 'call', call: 'restart_hub' };
  if (operation.step === 'restart_hub') return go(moved(operation, 'await_hub', now));
  return deployment.isRolledOut && answers ? go(ended(operation, now)) : wait;
};

const decide = (operation: OperationRecord, facts: ServerFacts | HubFacts, now: number): Next => {
  if ('deployment' in facts) return restartingHub(operation, facts, now);
  switch (operation.step) {
    case 'stop':
      return stopping(operation, facts, now);
    case 'await_stopped':
      return awaitingStopped(operation, facts, now);
    case 'start':
      return starting(operation, facts, now);
    case 'await_ready':
      return awaitingReady(operation, facts, now);
    case 'cancel':
      return cancelling(operation, facts, now);
    default:
      return wait;
  }
};

const withForce = 'Try again with force: the pod is deleted then. If the hub is stuck, restart the hub.';

/** Why a step took too long, and what to do. */
const timedOut = (
  operation: OperationRecord,
  facts: ServerFacts | HubFacts,
): Pick<Failure, 'reason' | 'message'> => {
  if ('deployment' in facts) {
    const message =
      'The hub did not come back within 3 minutes. Notebooks keep running; the platform team can help.';
    return { reason: 'hub_restart_timed_out', message };
  }
  if (operation.step === 'cancel') return reasonOf(operation);
  const isStop = operation.step === 'stop' || operation.step === 'await_stopped';
  if (isStop && operation.force) {
    const message = 'The pod is still there: its machine may be gone. The platform team can help.';
    return { reason: 'stop_timed_out', message };
  }
  if (!facts.hub.answered) {
    const advice = isStop ? withForce : 'Try again shortly; if it stays so, restart the hub.';
    return { reason: 'hub_unavailable', message: `The hub does not answer. ${advice}` };
  }
  if (isStop)
    return { reason: 'stop_timed_out', message: `The notebook did not stop within a minute. ${withForce}` };
  const failure = podOf(facts)?.failure;
  if (failure !== undefined) return failure;
  const message =
    'The notebook did not become ready within five minutes. Try again; if it stays so, restart the hub.';
  return { reason: 'start_timed_out', message };
};

const isLate = ({ deadlineAt }: OperationRecord, now: number): boolean => now >= Date.parse(deadlineAt);

/**
 * What is to be done now about an operation that is not finished. A step that took too long fails, whatever it was
 * about to do; what has come about by then counts all the same.
 */
export const nextStep = (operation: OperationRecord, facts: ServerFacts | HubFacts, now: number): Next => {
  const next = decide(operation, facts, now);
  if (!isLate(operation, now)) return next;
  if (next.do === 'go' && next.to.step !== operation.step) return next;
  if (next.do === 'call' && next.call === 'confirm') return next;
  return go(failed(operation, timedOut(operation, facts), now));
};

/** The server is there for the hub, or will be: our start, or that of whoever was faster. */
const isStarted = (answer: Answer): boolean =>
  answer.answer === 'done' ||
  (answer.answer === 'refused' &&
    (answer.refused === 'already_running' || answer.refused === 'pending_spawn'));

const busySeconds = 10;

/** The operation after a call; undefined when it stays where it is and is looked at again. */
export const afterCall = (
  operation: OperationRecord,
  call: Call,
  answer: Answer,
  now: number,
): OperationRecord | undefined => {
  switch (call.call) {
    case 'force_stop':
      return moved(operation, 'await_stopped', now, { formerPod: call.pod?.uid ?? operation.formerPod });
    case 'stop': {
      const stays = answer.answer === 'no_answer' || isPending(answer, 'pending_check');
      if (stays) return undefined;
      const formerPod = call.formerPod ?? operation.formerPod;
      if (answer.answer === 'refused' && answer.refused === 'refused') {
        const message = `The hub does not stop it: ${answer.message} ${withForce}`;
        return failed(operation, { reason: 'stop_refused', message }, now);
      }
      return moved(operation, 'await_stopped', now, { formerPod });
    }
    case 'start': {
      if (isStarted(answer)) return moved(operation, 'await_ready', now, { formerPod: call.formerPod });
      if (answer.answer !== 'refused') return undefined;
      return afterRefusal(operation, answer, now);
    }
    case 'confirm': {
      if (answer.answer === 'done') return ended(operation, now);
      const message = 'The notebook runs, but its network access is not confirmed yet.';
      if (isLate(operation, now)) {
        const reason = 'access_not_confirmed';
        return failed(
          operation,
          { reason, message: `${message} It comes as soon as the cluster takes it.` },
          now,
        );
      }
      return operation.message === message ? undefined : { ...operation, message, updatedAt: isoOf(now) };
    }
    case 'cancel':
      return answer.answer === 'no_answer' ? undefined : failed(operation, reasonOf(operation), now);
    case 'restart_hub': {
      if (answer.answer === 'done') return moved(operation, 'await_hub', now);
      if (answer.answer !== 'refused') return undefined;
      const message = `Kubernetes does not restart the hub: ${answer.message}`;
      return failed(operation, { reason: 'restart_refused', message }, now);
    }
    case 'forget':
      return undefined;
  }
};

const isPending = (answer: Answer, what: HubRefusal['refused']): boolean =>
  answer.answer === 'refused' && answer.refused === what;

const afterRefusal = (
  operation: OperationRecord,
  { refused, message, retryAfterSeconds = busySeconds }: HubRefusal,
  now: number,
): OperationRecord | undefined => {
  switch (refused) {
    case 'pending_stop':
    case 'pending_check':
      return undefined;
    case 'too_many_starts':
      return {
        ...operation,
        message: 'Many notebooks are starting at this hub; this one is next as soon as there is room.',
        updatedAt: isoOf(now),
        dueAt: isoOf(now + retryAfterSeconds * 1000),
      };
    case 'too_many_servers': {
      const sentence =
        'The hub runs as many notebooks as it may. Stop one, or ask the platform team for more.';
      return failed(operation, { reason: refused, message: sentence }, now);
    }
    default:
      return failed(
        operation,
        { reason: 'start_refused', message: `The hub does not start it: ${message}` },
        now,
      );
  }
};
