import { memoryOf } from '../culling/activity.ts';
import { isoOf } from '../lib/time.ts';
import { isByReconcile, type OperationRecord } from '../model/operation.ts';
import type { TeamRecord } from '../model/record.ts';
import { hasNotebook } from '../teams/lifecycle.ts';
import { afterCall } from './after-call.ts';
import { isAtSameStep, isClaimed, makeCall, type OperationDeps } from './calls.ts';
import { type HubFacts, isStopped, type ServerFacts } from './facts.ts';
import { followReconcile } from './follow-reconcile.ts';
import { recordFailed, scheduleCullingAfterStart } from './history.ts';
import { nextStep } from './next-step.ts';
import { askHub, observeHub, observeServer, withForcedTimeout } from './observe.ts';
import { failed } from './operation-state.ts';
import type { Call } from './transition.ts';

/** Facts older than this are not acted upon: an instance may be suspended between its observation and its call. */
const factsMaxAgeMs = 5_000;

/**
 * An instance that makes a call which must not be repeated has this long for it, and no other instance makes it in the
 * meantime. If it dies, another instance continues afterwards.
 */
const claimMs = 15_000;

/** Calls that have no further effect when repeated, at any time. */
const repeatable: readonly Call['call'][] = ['confirm_access', 'restart_hub'];

/** One call of `advance` takes no more steps than the longest operation has. */
const maxSteps = 8;

const isOpen = ({ outcome }: OperationRecord): boolean => outcome === null;

const released = ({ claimedUntil: _claim, ...operation }: OperationRecord): OperationRecord => operation;

/** What the hub says about a start that failed; it keeps that for later requests for the progress. */
const failureMessageOf = async (
  deps: OperationDeps,
  team: TeamRecord,
  user: string,
  signal: AbortSignal,
): Promise<string> => {
  const read = async (bounded: AbortSignal) => {
    for await (const line of deps.hubs.progress(team, user, bounded)) {
      if (line.outcome === 'failed') return line.message;
    }
    return '';
  };
  const reply = await askHub(deps, read, signal);
  return reply.answered ? reply.value : '';
};

const observe = async (
  deps: OperationDeps,
  team: TeamRecord,
  { user, step, force }: OperationRecord,
  signal: AbortSignal,
): Promise<ServerFacts | HubFacts> => {
  if (user === null) return observeHub(deps, team, signal);
  // Stopping by force does not depend on the hub; what comes after it does.
  const isForcedStop = force && (step === 'stop' || step === 'await_stopped');
  const view = await observeServer(isForcedStop ? withForcedTimeout(deps) : deps, team, user, signal);
  const isMember = team.members.some(({ username }) => username === user);
  const hasEnded = step === 'await_ready' && view.hub.answered && isStopped(view.hub.server);
  const hubMessage = hasEnded ? await failureMessageOf(deps, team, user, signal) : '';
  const stoppedAt = memoryOf(team.culling, user)?.stopped?.stoppedAt ?? null;
  return { ...view, isMember, stoppedAt, hubMessage };
};

/**
 * Advances an operation as far as possible now, within the signal’s deadline, and answers its state. Any instance may
 * do so at any time, and several at once: each observes, makes at most one call that is safe to repeat, and writes the
 * next step only if the operation is still at the step it was observed at. A call that must not be made twice is
 * claimed first. Throws when the store or the cluster fails.
 */
export const advanceWith =
  (deps: OperationDeps) =>
  async (slug: string, opened: OperationRecord, signal: AbortSignal): Promise<OperationRecord> => {
    const { store, clock, log } = deps;

    const written = async (from: OperationRecord, to: OperationRecord): Promise<OperationRecord> => {
      let isOurs = false;
      if (to.outcome === 'ready' && (to.kind === 'start' || to.kind === 'restart')) {
        await store.change(slug, (team) => scheduleCullingAfterStart(team, clock.now()));
      }
      const after = await store.changeOperation(slug, from.id, (current) => {
        isOurs = isAtSameStep(current, from);
        // The hub’s progress may have been stored since: it never goes back.
        return isOurs ? { ...to, progress: Math.max(to.progress, current.progress) } : undefined;
      });
      const isDeletion = to.kind === 'delete_notebook' || to.kind === 'delete_team';
      if (isOurs && to.outcome === 'failed' && !isDeletion)
        await store.change(slug, (team) => recordFailed(team, to));
      if (isOurs && to.outcome !== null) {
        const { id, kind, user, outcome, reason } = to;
        log.info({ team: slug, operation: id, kind, user, outcome, reason }, 'operation finished');
      }
      return after ?? to;
    };

    /** The operation with the next call reserved for this instance; undefined when another one was faster. */
    const claimed = async (from: OperationRecord): Promise<OperationRecord | undefined> => {
      const claimedUntil = isoOf(clock.now() + claimMs);
      let isOurs = false;
      const claim = await store.changeOperation(slug, from.id, (current) => {
        isOurs = isAtSameStep(current, from);
        return isOurs ? { ...current, claimedUntil } : undefined;
      });
      return isOurs ? claim : undefined;
    };

    let operation = opened;
    if (isOpen(operation) && isByReconcile(operation)) {
      const to = followReconcile(operation, await store.team(slug), clock.now());
      return to === operation ? operation : written(operation, to);
    }
    for (let steps = 0; steps < maxSteps && isOpen(operation) && !signal.aborted; steps += 1) {
      const now = clock.now();
      if (Date.parse(operation.dueAt ?? '') > now || isClaimed(operation, now)) return operation;
      const team = await store.team(slug);
      if (team === undefined) return operation;
      if (!hasNotebook(team)) {
        const failure = { reason: 'deleting', message: 'The notebook is being deleted.' } as const;
        return written(operation, failed(released(operation), failure, now));
      }
      const next = nextStep(operation, await observe(deps, team, operation, signal), now);
      if (next.do === 'wait') return operation;
      if (next.do === 'write') {
        const stays = next.to.step === operation.step;
        operation = await written(operation, released(next.to));
        if (stays) return operation;
        continue;
      }
      const isTooLate = () => clock.now() - now > factsMaxAgeMs || signal.aborted;
      if (isTooLate()) return operation;
      const ours = repeatable.includes(next.call) ? operation : await claimed(operation);
      if (ours === undefined) return (await store.operation(slug, operation.id)) ?? operation;
      if (isTooLate()) return ours;
      const answer = await makeCall(deps, team, ours, next, signal);
      const to = afterCall(ours, next, answer, clock.now());
      operation = await written(ours, released(to ?? ours));
      if (to === undefined) return operation;
    }
    return operation;
  };
