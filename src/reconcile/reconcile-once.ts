import { policiesIn } from '../egress/current-egress.ts';
import { policiesFingerprint } from '../egress/fingerprint.ts';
import { isEgressPolicy } from '../egress/policy.ts';
import { transition } from '../egress/transition.ts';
import { type Manifest, nameOf } from '../ports/cluster.ts';
import { isOwned } from '../teams/desired.ts';
import { isRestricted } from '../teams/lifecycle.ts';
import { applyObjects } from './apply.ts';
import { StaleRead } from './blocked.ts';
import type { ReconcileFacts } from './conditions.ts';
import type { ReconcileContext } from './context.ts';
import { egressFact, egressUnknown } from './egress-fact.ts';
import { appliedFact } from './failure-facts.ts';
import { withInstalledHub } from './installed-hub.ts';
import { objectState } from './object-state.ts';
import { observe } from './observe.ts';
import { provision } from './provision.ts';
import { handledRequest, releaseState } from './release-state.ts';
import { type MembersFact, syncMembers } from './sync-members.ts';
import { tearDownNotebook } from './teardown-notebook.ts';
import { tearDownTeam } from './teardown-team.ts';

/** What one attempt has found, or what it has seen to be gone. */
export type Outcome = { readonly facts: ReconcileFacts } | { readonly gone: 'notebook' | 'team' };

/**
 * Observe, decide, apply. The parts are independent: the secret, the members, the objects and the restriction of egress
 * each tell what they found, whatever prevents the others. Throws StaleRead, once every part has ended.
 */
export const reconcileOnce = async (context: ReconcileContext): Promise<Outcome> => {
  const { team } = context;
  if (team.deletion !== null || team.notebook?.deletion) return tearDown(context);
  const [cluster, secret] = await allEnded(reconcileCluster(context), provision(context));
  return { facts: { ...cluster, secret } };
};

const tearDown = async (context: ReconcileContext): Promise<Outcome> => {
  const { deletion, notebook } = context.team;
  try {
    if (deletion !== null) {
      await tearDownTeam(context, deletion);
      return { gone: 'team' };
    }
    if (notebook?.deletion) await tearDownNotebook(context, notebook.deletion);
    return { gone: 'notebook' };
  } catch (error) {
    return { facts: { applied: appliedFact(context, error), release: undefined } };
  }
};

/** A hub whose users are known is synced without waiting for the cluster; a new one once it is installed. */
const reconcileCluster = async (context: ReconcileContext): Promise<ReconcileFacts> => {
  const { hubUsers } = context.team.status;
  if (context.team.notebook === null || hubUsers === undefined) {
    const facts = await reconcileObjects(context);
    return facts.release === undefined
      ? facts
      : { ...facts, members: await syncMembers(context, facts.release) };
  }
  const syncing: Promise<MembersFact> = syncMembers(context, undefined);
  const [facts, members] = await allEnded(reconcileObjects(context), syncing);
  return { ...facts, members };
};

const reconcileObjects = async (context: ReconcileContext): Promise<ReconcileFacts> => {
  const { deps, team, signal } = context;
  let release: Pick<ReconcileFacts, 'release' | 'handledRequest'> = { release: undefined };
  try {
    const observed = await observe(context);
    const applied = await applyObjects(context, observed);
    if (applied.release !== undefined) {
      release = {
        release: await withInstalledHub(context, releaseState(applied.release)),
        handledRequest: handledRequest(applied.release),
      };
    }
    const [error] = applied.errors;
    const policies = applied.hasWrittenPolicies
      ? (await policiesIn(deps.cluster, team.names.namespace, signal)).policies
      : observed.policies;
    const egress = egressFact(context, observed.live, policies);
    if (error !== undefined) return { applied: appliedFact(context, error), ...release, egress };
    const fingerprint = policiesInSync(context, observed.wanted, policies);
    return { applied: { outcome: 'complete' }, ...release, egress, policies: fingerprint };
  } catch (error) {
    const applied = appliedFact(context, error);
    return { applied, ...release, egress: egressUnknown(team, applied.message) };
  }
};

/** The fingerprint of a restricted team’s policies, if none has changed again since they were applied. */
const policiesInSync = (
  { team }: ReconcileContext,
  wanted: readonly Manifest[],
  policies: readonly Manifest[],
): string | undefined => {
  if (!isRestricted(team)) return undefined;
  const steps = transition(wanted.filter(isEgressPolicy), policies, (policy) => isOwned(policy, team));
  const find = (policy: Manifest) => policies.find((one) => nameOf(one) === nameOf(policy));
  const areInSync = steps.every(
    ({ do: verb, policy }) => verb === 'apply' && objectState(team, policy, find(policy)).state === 'InSync',
  );
  return areInSync ? policiesFingerprint(policies) : undefined;
};

/** Both results once both have ended; else throws, what was read out of date before anything else. */
const allEnded = async <A, B>(first: Promise<A>, second: Promise<B>): Promise<[A, B]> => {
  const ended = await Promise.allSettled([first, second]);
  const errors = ended.flatMap((one) => (one.status === 'rejected' ? [one.reason] : []));
  if (errors.length > 0) throw errors.find((error) => error instanceof StaleRead) ?? errors[0];
  return Promise.all([first, second]);
};
