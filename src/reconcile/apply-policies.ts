import { takeSteps, transition } from '../egress/transition.ts';
import { type Manifest, refOf } from '../ports/cluster.ts';
import { isOwned } from '../teams/desired.ts';
import { StaleRead } from './blocked.ts';
import type { ReconcileContext } from './context.ts';
import { assertNotNewer } from './fencing.ts';

/**
 * Takes the steps of `transition`; answers whether any policy was written. When several steps fail, what was read out of
 * date is reported before anything else. `apply` answers whether it has written.
 */
export const applyPolicies = async (
  context: ReconcileContext,
  wanted: readonly Manifest[],
  existing: readonly Manifest[],
  apply: (policy: Manifest) => Promise<boolean>,
): Promise<boolean> => {
  let hasWritten = false;
  const steps = transition(wanted, existing, (policy) => isOwned(policy, context.team));
  const errors = await takeSteps(steps, async (step) => {
    if (step.do === 'apply') {
      if (await apply(step.policy)) hasWritten = true;
      return;
    }
    await removePolicy(context, step.policy);
    hasWritten = true;
  });
  if (errors.length > 0) throw errors.find((error) => error instanceof StaleRead) ?? errors[0];
  return hasWritten;
};

const removePolicy = async (context: ReconcileContext, policy: Manifest): Promise<void> => {
  const { uid, resourceVersion } = policy.metadata;
  if (uid === undefined || resourceVersion === undefined) return;
  assertNotNewer(context, policy);
  // Guarded by its version: a newer reconcile may want this policy again, and has stamped it then.
  const guarded = { ...refOf(policy), uid, resourceVersion };
  const outcome = await context.deps.cluster.remove(guarded, context.signal);
  if (outcome === 'conflict') throw new StaleRead();
};
