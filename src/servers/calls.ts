import { kinds } from '../model/kinds.ts';
import type { OperationRecord } from '../model/operation.ts';
import type { TeamRecord } from '../model/record.ts';
import type { HubRefusal } from '../ports/hubs.ts';
import type { Clock, Log } from '../ports/runtime.ts';
import type { OperationStore, Store } from '../ports/store.ts';
import {
  askHub,
  hubDeployment,
  type ObserveDeps,
  restartedAtAnnotation,
  withForcedTimeout,
} from './observe.ts';
import type { Answer, Call } from './transition.ts';

/** Opens network access for a notebook that starts. Both are safe to repeat. */
export interface EgressAccess {
  /** Called before the hub starts the server: the team’s policies must exist before the pod does. */
  prepare(slug: string, signal: AbortSignal): Promise<void>;
  /** Called once the new pod is observed running; the start succeeds only when this answers true. */
  isEffective(slug: string, signal: AbortSignal): Promise<boolean>;
}

export interface OperationDeps extends ObserveDeps {
  readonly store: Pick<Store, 'team' | 'change'> & OperationStore;
  readonly clock: Clock;
  readonly access: EgressAccess;
  readonly log: Pick<Log, 'info' | 'warn'>;
}

/** What must be left of a claim for the hub to have time to answer. */
const claimReserveMs = 3_000;

/** Whether both records are at the same point: an operation is written only by an instance that observed it there. */
export const isAtSameStep = (a: OperationRecord, b: OperationRecord): boolean =>
  a.step === b.step &&
  a.outcome === b.outcome &&
  a.deadlineAt === b.deadlineAt &&
  a.force === b.force &&
  a.claimedUntil === b.claimedUntil;

export const isClaimed = ({ claimedUntil }: OperationRecord, now: number): boolean =>
  Date.parse(claimedUntil ?? '') > now;

const answerOf = (answer: string | HubRefusal): Answer =>
  typeof answer === 'string' ? { answer: 'done' } : { answer: 'refused', ...answer };

const restartHub = async (
  { cluster }: OperationDeps,
  team: TeamRecord,
  { createdAt }: OperationRecord,
  signal: AbortSignal,
): Promise<Answer> => {
  const ref = hubDeployment(team);
  const { uid, resourceVersion } = (await cluster.read(ref, signal))?.metadata ?? {};
  if (uid === undefined || resourceVersion === undefined) return { answer: 'not_yet' };
  // The value is the same in every instance and on every retry, so the hub restarts once.
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

/** Its own time: an instance that was held back has used up its deadline. */
const undoMs = 5_000;

/** Whether the user is added and still a member; one who has left meanwhile is removed again. */
const addMember = async (
  deps: OperationDeps,
  team: TeamRecord,
  user: string,
  signal: AbortSignal,
): Promise<boolean> => {
  const { hubs, store } = deps;
  const isMember = async (): Promise<boolean> => {
    const current = await store.team(team.slug);
    if (current?.id !== team.id || current.deletion !== null) return false;
    return current.members.some(({ username }) => username === user);
  };
  if (!(await isMember())) return false;
  await askHub(deps, (bounded) => hubs.addUser(team, user, bounded), signal);
  if (await isMember()) return true;
  await askHub(deps, (bounded) => hubs.removeUser(team, user, bounded), AbortSignal.timeout(undoMs));
  return false;
};

const start = async (
  deps: OperationDeps,
  team: TeamRecord,
  operation: OperationRecord & { readonly user: string },
  { isUser }: Extract<Call, { call: 'start' }>,
  signal: AbortSignal,
): Promise<Answer> => {
  const { hubs, access, store, clock } = deps;
  const { id, user, profile, profileChosenAt } = operation;
  if (profile === null) throw new TypeError(`Operation ${id} has no profile to start with`);
  await access.prepare(team.slug, signal);
  // That took time: the claim may have expired, and another instance may have started the server since.
  const current = await store.operation(team.slug, id);
  const isOurs = current !== undefined && isAtSameStep(current, operation);
  if (!isOurs || !isClaimed(operation, clock.now() + claimReserveMs)) return { answer: 'not_yet' };
  if (!isUser && !(await addMember(deps, team, user, signal))) return { answer: 'not_yet' };
  const options = { profile, revision: team.generation, chosenAt: profileChosenAt ?? team.generation };
  const reply = await askHub(deps, (bounded) => hubs.start(team, user, options, bounded), signal);
  return reply.answered ? answerOf(reply.value) : { answer: 'no_answer' };
};

const forceStop = async (
  deps: OperationDeps,
  team: TeamRecord,
  user: string,
  { pod }: Extract<Call, { call: 'force_stop' }>,
  signal: AbortSignal,
): Promise<Answer> => {
  if (pod !== undefined && !pod.isTerminating) {
    const { name, uid } = pod;
    const { namespace } = team.names;
    await deps.cluster.remove({ ...kinds.pod, namespace, name, uid }, signal);
  }
  // A courtesy: a hub that does not answer finds out by its own poll.
  await askHub(withForcedTimeout(deps), (bounded) => deps.hubs.stop(team, user, bounded), signal);
  return { answer: 'done' };
};

/** Makes the call. A call that the hub does not answer is made again after the next observation. */
export const makeCall = async (
  deps: OperationDeps,
  team: TeamRecord,
  operation: OperationRecord,
  call: Call,
  signal: AbortSignal,
): Promise<Answer> => {
  const { user } = operation;
  if (call.call === 'restart_hub') return restartHub(deps, team, operation, signal);
  if (user === null) throw new TypeError(`Operation ${operation.id} concerns no server`);
  switch (call.call) {
    case 'confirm_access':
      return { answer: (await deps.access.isEffective(team.slug, signal)) ? 'done' : 'not_yet' };
    case 'force_stop':
      return forceStop(deps, team, user, call, signal);
    case 'start':
      return start(deps, team, { ...operation, user }, call, signal);
    case 'stop':
    case 'stop_stale':
    case 'cancel': {
      const reply = await askHub(deps, (bounded) => deps.hubs.stop(team, user, bounded), signal);
      return reply.answered ? answerOf(reply.value) : { answer: 'no_answer' };
    }
  }
};
