import { kinds } from '../model/kinds.ts';
import type { Manifest, OwnerReference } from '../ports/cluster.ts';

/**
 * References to these pods, by name: Kubernetes deletes what they own together with the last of them. Only for pods that
 * were read from the API server, since the garbage collector takes an owner that is not stored yet for a deleted one.
 */
export const podOwners = (pods: readonly Manifest[]): readonly OwnerReference[] =>
  pods
    .toSorted((a, b) => (a.metadata.name < b.metadata.name ? -1 : 1))
    .flatMap(({ metadata: { name, uid } }) =>
      uid === undefined ? [] : [{ ...kinds.pod, name, uid, controller: false, blockOwnerDeletion: false }],
    );
