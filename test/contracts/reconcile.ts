import type { Moments } from '../support/intercepted.ts';
import type { Kubernetes } from '../support/world.ts';
import { applying } from './reconcile/applying.ts';
import { drift } from './reconcile/drift.ts';
import { liveEgress } from './reconcile/egress.ts';
import { failures } from './reconcile/failures.ts';
import { fencing } from './reconcile/fencing.ts';
import { hubStatus } from './reconcile/hub-status.ts';
import { membersAtTheHub } from './reconcile/members.ts';
import { independentParts } from './reconcile/parts.ts';
import { quotaOfTheTeam } from './reconcile/quota.ts';
import { restore } from './reconcile/restore.ts';
import { secretOfTheTeam } from './reconcile/secret.ts';
import { teardown } from './reconcile/teardown.ts';

/** Every call of a look but the reads in the midst of others: those are sent at once. */
const everyMoment: Moments = (calls) =>
  calls.flatMap(({ verb }, index) => {
    const amongReads = [calls[index - 1], calls[index + 1]].every((next) => next?.verb === 'read');
    return verb === 'read' && amongReads ? [] : [index];
  });

/**
 * What reconciling must do on any API server; to be called inside a `describe` that names it. `open` is asked
 * inside the tests. `moments`: at which calls of a look it is disturbed.
 */
export const reconcileContract = (open: () => Kubernetes, moments: Moments = everyMoment): void => {
  applying(open);
  drift(open);
  hubStatus(open);
  membersAtTheHub(open);
  liveEgress(open);
  independentParts(open);
  secretOfTheTeam(open);
  quotaOfTheTeam(open);
  teardown(open);
  restore(open);
  failures(open, moments);
  fencing(open, moments);
};
