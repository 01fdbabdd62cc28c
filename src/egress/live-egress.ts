import type { OwnerReference } from '../ports/cluster.ts';
import type { Addresses } from './destinations.ts';

/** What a team’s egress policies are made from besides its list. */
export interface LiveEgress {
  /** The known addresses of every host on the list, and of Google’s APIs. */
  readonly addresses: Addresses;
  /** Whether a notebook runs, or is announced. */
  readonly podsAlive: boolean;
  /** The notebook pods that were seen: Kubernetes removes the allow policies with the last of them. */
  readonly owners: readonly OwnerReference[];
}

/** Of a team without a running notebook, and without known addresses. */
export const noNotebooks: LiveEgress = { addresses: new Map(), podsAlive: false, owners: [] };
