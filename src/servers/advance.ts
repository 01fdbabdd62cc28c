import { isoOf } from '../lib/time.ts';
import { kinds } from '../model/kinds.ts';
import { namespaceOf } from '../model/names.ts';
import type { OperationRecord } from '../model/operation.ts';
import type { TeamRecord } from '../model/record.ts';
import type { HubRefusal } from '../ports/hubs.ts';
import type { Clock, Log } from '../ports/runtime.ts';
import type { OperationStore, Store } from '../ports/store.ts';
import { hasNotebook } from '../teams/lifecycle.ts';
import {
  asForced,
  askHub,
  hubDeployment,
  type LookDeps,
  lookAtHub,
  lookAtServer,
  restartedAtAnnotation,
} from './observe.ts';
import { cullingAfterStart, isStopped } from './rules.ts';
import {
  type Answer,
  afterCall,
  type Call,
  failed,
  type HubFacts,
  nextStep,
  type ServerFacts,
} from './steps.ts';

/** What lets a notebook that starts reach what it may. Both are safe to repeat. */
export interface EgressAccess {
  /** Called before the hub is told to start: the team’s policies are to be there before the pod is. */
  announce(slug: string, signal: AbortSignal): Promise<void>;
  /** Called once the new pod is seen live; the start ends only when it answers true. */
  confirm(slug: string, signal: AbortSignal): Promise<boolean>;
}

export interface OperationDeps extends LookDeps {
  readonly store: Pick<Store, 'team' | 'change'> & OperationStore;
  readonly clock: Clock;
  readonly access: EgressAccess;
  readonly log: Pick<Log, 'info' | 'warn'>;
}

/** Facts older than this are not acted upon: an instance may have been frozen between its look and its call. */
const freshMs = 5_000;

/**
 * An instance that makes a call which must not be repeated has this long for it, and no other makes it meanwhile. Should
 * it die, another one goes on afterwards.
 */
const claimMs = 15_000;

/** What is left of a claim must be enough for the hub to answer in. */
const claimLeftMs = 3_000;

/** Calls that change nothing the second time, whenever that is. */
const harmless: readonly Call['call'][] = ['confirm', 'restart_hub'];

/** One call of `advance` takes no more steps than the longest operation has. */
const stepsAtMost = 8;

const isOpen = ({ outcome }: OperationRecord): boolean => outcome === null;

/** Whether both stand at the same place: an operation is written only by whoever saw it there. */
const isAtSameStep = (a: OperationRecord, b: OperationRecord): boolean =>
  a.step === b.step &&
  a.outcome === b.outcome &&
  a.deadlineAt === b.deadlineAt &&
  a.force === b.force &&
  a.claimedUntil === b.claimedUntil;

const isClaimed = ({ claimedUntil }: OperationRecord, now: number): boolean =>
  Date.parse(claimedUntil ?? '') > now;

const released = ({ claimedUntil: _claim, ...operation }: OperationRecord): OperationRecord => operation;

const refusalOr = (answer: string | HubRefusal): Answer =>
  typeof answer === 'string' ? { answer: 'done' } : { answer: 'refused', ...answer };

/** Stopping by force goes without the hub; whatever comes after it does not. */
const patienceFor = (deps: OperationDeps, { force, step }: OperationRecord): OperationDeps =>
  force && (step === 'stop' || step === 'await_stopped') ? asForced(deps) : deps;

/** What the hub tells of a start that has failed; it keeps it for whoever asks about the progress. */
const toldBy = async (
  deps: OperationDeps,
  team: TeamRecord,
  user: string,
  signal: AbortSignal,
): Promise<string> => {
  const listen = async (bounded: AbortSignal) => {
    for await (const line of deps.hubs.progress(team, user, bounded)) {
      if (line.outcome === 'failed') return line.message;
    }
    return '';
  };
  const told = await askHub(deps, listen, signal);
  return told.answered ? told.value : '';
};

const look = async (
  deps: OperationDeps,
  team: TeamRecord,
  operation: OperationRecord,
  signal: AbortSignal,
): Promise<ServerFacts | HubFacts> => {
  const { user, step } = operation;
  if (user === null) return lookAtHub(deps, team, signal);
  const view = await lookAtServer(patienceFor(deps, operation), team, user, signal);
  const isMember = team.members.some(({ username }) => username === user);
  const hasEnded = step === 'await_ready' && view.hub.answered && isStopped(view.hub.server);
  return { ...view, isMember, told: hasEnded ? await toldBy(deps, team, user, signal) : '' };
};

const restartHub = async (
  { cluster }: OperationDeps,
  team: TeamRecord,
  { createdAt }: OperationRecord,
  signal: AbortSignal,
): Promise<Answer> => {
  const ref = hubDeployment(team);
  const { uid, resourceVersion } = (await cluster.read(ref, signal))?.metadata ?? {};
  if (uid === undefined || resourceVersion === undefined) return { answer: 'not_yet' };
  // The same value whoever asks and however often: the hub restarts once.
  const metadata = { annotations: { [restartedAtAnnotation]: createdAt } };
  const patch = { spec: { template: { metadata } } };
  const result = await cluster.patch({ ...ref, uid, resourceVersion }, patch, signal);
  switch (result.outcome) {
    case 'applied':
      return { answer: 'done' };
    case 'conflict':
      return { answer: 'not_yet' };
    case 'refused':
      return { answer: 'refused', refused: 'refused', message: result.message };
  }
};

/** Makes the call. What a hub does not answer to is asked again after the next look. */
const make = async (
  deps: OperationDeps,
  team: TeamRecord,
  operation: OperationRecord,
  call: Call,
  signal: AbortSignal,
): Promise<Answer> => {
  const { hubs, access, cluster, store, clock } = deps;
  const { user, profile } = operation;
  if (call.call === 'restart_hub') return restartHub(deps, team, operation, signal);
  if (user === null) throw new TypeError(`${operation.id} is on no server`);
  switch (call.call) {
    case 'confirm':
      return { answer: (await access.confirm(team.slug, signal)) ? 'done' : 'not_yet' };
    case 'force_stop': {
      if (call.pod !== undefined && !call.pod.isLeaving) {
        const { name, uid } = call.pod;
        const namespace = namespaceOf(team.id);
        await cluster.remove({ ...kinds.pod, namespace, name, uid }, signal);
      }
      // Told for its own sake: a hub that does not listen finds out by its poll.
      await askHub(asForced(deps), (bounded) => hubs.stop(team, user, bounded), signal);
      return { answer: 'done' };
    }
    case 'stop':
    case 'forget':
    case 'cancel': {
      const answer = await askHub(deps, (bounded) => hubs.stop(team, user, bounded), signal);
      return answer.answered ? refusalOr(answer.value) : { answer: 'no_answer' };
    }
    case 'start': {
      if (profile === null) throw new TypeError(`${operation.id} has no profile to start with`);
      await access.announce(team.slug, signal);
      // That took a while: the claim may be over, and somebody else have started it since.
      const current = await store.operation(team.slug, operation.id);
      const isOurs = current !== undefined && isAtSameStep(current, operation);
      if (!isOurs || !isClaimed(operation, clock.now() + claimLeftMs)) return { answer: 'not_yet' };
      if (!call.isUser) await askHub(deps, (bounded) => hubs.addUser(team, user, bounded), signal);
      const wish = { profile, revision: team.generation };
      const answer = await askHub(deps, (bounded) => hubs.start(team, user, wish, bounded), signal);
      return answer.answered ? refusalOr(answer.value) : { answer: 'no_answer' };
    }
  }
};

/**
 * Takes an operation as far as it goes now, within the signal’s deadline, and answers how it stands. Any instance may
 * do so at any time, several at once too: each looks, makes at most one call that is safe to repeat, and writes the
 * next step only if the operation still stands where it was looked at. A call that must not come twice is claimed first. Throws when the store or the cluster fails.
 */
export const advanceWith =
  (deps: OperationDeps) =>
  async (slug: string, opened: OperationRecord, signal: AbortSignal): Promise<OperationRecord> => {
    const { store, clock, log } = deps;

    const written = async (from: OperationRecord, to: OperationRecord): Promise<OperationRecord> => {
      let isOurs = false;
      if (to.outcome === 'ready' && (to.kind === 'start' || to.kind === 'restart')) {
        await store.change(slug, (team) => cullingAfterStart(team, clock.now()));
      }
      const after = await store.changeOperation(slug, from.id, (current) => {
        isOurs = isAtSameStep(current, from);
        return isOurs ? to : undefined;
      });
      if (isOurs && to.outcome !== null) {
        const { id, kind, user, outcome, reason } = to;
        log.info({ team: slug, operation: id, kind, user, outcome, reason }, 'operation finished');
      }
      return after ?? to;
    };

    /** The operation with the next call in our hands alone; undefined when somebody was faster. */
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
    for (let steps = 0; steps < stepsAtMost && isOpen(operation) && !signal.aborted; steps += 1) {
      const now = clock.now();
      if (Date.parse(operation.dueAt ?? '') > now || isClaimed(operation, now)) return operation;
      const team = await store.team(slug);
      if (team === undefined) return operation;
      if (!hasNotebook(team)) {
        const failure = { reason: 'deleting', message: 'The notebook is being deleted.' };
        return written(operation, failed(released(operation), failure, now));
      }
      const next = nextStep(operation, await look(deps, team, operation, signal), now);
      if (next.do === 'wait') return operation;
      if (next.do === 'go') {
        const stays = next.to.step === operation.step;
        operation = await written(operation, released(next.to));
        if (stays) return operation;
        continue;
      }
      const isLate = () => clock.now() - now > freshMs || signal.aborted;
      if (isLate()) return operation;
      const ours = harmless.includes(next.call) ? operation : await claimed(operation);
      if (ours === undefined) return (await store.operation(slug, operation.id)) ?? operation;
      if (isLate()) return ours;
      const answer = await make(deps, team, ours, next, signal);
      const to = afterCall(ours, next, answer, clock.now());
      operation = await written(ours, released(to ?? ours));
      if (to === undefined) return operation;
    }
    return operation;
  };
