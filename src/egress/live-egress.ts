import type { OwnerReference } from '../ports/cluster.ts';
import type { Addresses } from './destinations.ts';

/** What a team’s egress policies are compiled from, in addition to its list. */
export interface LiveEgress {
  /** The known addresses of every host on the list, and of Google APIs. */
  readonly addresses: Addresses;
  /** Whether a notebook is running or announced. */
  readonly podsAlive: boolean;
  /** The notebook pods that exist: Kubernetes deletes the allow policies with the last of them. */
  readonly owners: readonly OwnerReference[];
}

/** A team without running notebooks and without known addresses. */
export const noNotebooks: LiveEgress = { addresses: new Map(), podsAlive: false, owners: [] };
