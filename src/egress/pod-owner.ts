import { kinds } from '../model/kinds.ts';
import type { Manifest, OwnerReference } from '../ports/cluster.ts';

/**
 * Owner references to these pods, by name: Kubernetes deletes the dependents with the last owner. Only for pods that
 * were read from the API server: the garbage collector treats an owner that is not stored yet as deleted.
 */
export const podOwners = (pods: readonly Manifest[]): readonly OwnerReference[] =>
  pods
    .toSorted((a, b) => (a.metadata.name < b.metadata.name ? -1 : 1))
    .flatMap(({ metadata: { name, uid } }) =>
      uid === undefined ? [] : [{ ...kinds.pod, name, uid, controller: false, blockOwnerDeletion: false }],
    );
