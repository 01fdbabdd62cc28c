import type { Call } from '../support/intercepted.ts';
import type { Kubernetes } from '../support/world.ts';
import { applying } from './reconcile/applying.ts';
import { drift } from './reconcile/drift.ts';
import { failures } from './reconcile/failures.ts';
import { fencing } from './reconcile/fencing.ts';
import { hubStatus } from './reconcile/hub-status.ts';
import { teardown } from './reconcile/teardown.ts';

/**
 * What reconciling must do on any API server; to be called inside a `describe` that names it. `open` is asked
 * inside the tests. `naps`: before which calls of a look an instance is put to sleep.
 */
export const reconcileContract = (
  open: () => Kubernetes,
  naps: (calls: readonly Call[]) => readonly number[] = (calls) => calls.map((_call, index) => index),
): void => {
  applying(open);
  drift(open);
  hubStatus(open);
  teardown(open);
  failures(open);
  fencing(open, naps);
};
