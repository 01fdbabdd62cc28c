import type { Kubernetes } from '../support/world.ts';
import { applying } from './reconcile/applying.ts';
import { drift } from './reconcile/drift.ts';

/**
 * What reconciling must do on any API server; to be called inside a `describe` that names it. `open` is asked
 * inside the tests.
 */
export const reconcileContract = (open: () => Kubernetes): void => {
  applying(open);
  drift(open);
};
