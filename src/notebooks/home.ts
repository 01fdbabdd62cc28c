import { at } from '../lib/json.ts';
import { bytesOf } from '../lib/quantity.ts';
import type { Manifest } from '../ports/cluster.ts';

/** Selects home volumes: zero-to-jupyterhub configures KubeSpawner to set this label on the claims it creates. */
export const homeLabels = { component: 'singleuser-storage' } as const;

/**
 * The merge patch that grows an existing claim to the ordered size; undefined when it is large enough, when its size
 * is not in a unit that orders use, or while it is not bound (Kubernetes resizes only bound claims). A claim cannot
 * shrink.
 */
export const growth = (claim: Manifest, home: string): Readonly<Record<string, unknown>> | undefined => {
  if (at(claim.status, 'phase') !== 'Bound') return undefined;
  const size = at(claim.spec, 'resources', 'requests', 'storage');
  if (
    typeof size !== 'string' ||
    !/^[0-9]+(\.[0-9]+)?(Mi|Gi)$/.test(size) ||
    bytesOf(size) >= bytesOf(home)
  ) {
    return undefined;
  }
  return { spec: { resources: { requests: { storage: home } } } };
};
