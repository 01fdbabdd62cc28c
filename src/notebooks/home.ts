import { at } from '../lib/json.ts';
import { bytesOf } from '../lib/quantity.ts';
import type { Manifest } from '../ports/cluster.ts';

/** The selector of home volumes, by the label that the chart configures in KubeSpawner. */
export const homeLabels = { component: 'singleuser-storage' } as const;

/**
 * The merge patch that grows an existing claim to the ordered size; undefined when it is already as large, when its
 * size cannot be parsed, or while it is not bound (Kubernetes resizes bound claims only). A claim cannot shrink.
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
