import type { TeamRecord } from '../model/record.ts';
import { type Manifest, nameOf } from '../ports/cluster.ts';
import { isOwned } from '../teams/desired.ts';
import { differs, foreignContent } from './difference.ts';

/** How an object in the cluster compares with the desired one. */
export type ObjectState =
  | { readonly state: 'Absent' }
  | { readonly state: 'InSync' }
  /** It lacks something of ours. */
  | { readonly state: 'OutOfSync' }
  /** It has everything of ours, and content of others where only ours belongs; `patch` removes that. */
  | { readonly state: 'Drifted'; readonly patch: Readonly<Record<string, unknown>> }
  /** It is not this team’s. */
  | { readonly state: 'Blocked'; readonly reason: 'Conflict'; readonly message: string }
  | { readonly state: 'Terminating'; readonly message: string };

export const objectState = (
  team: TeamRecord,
  wanted: Manifest,
  actual: Manifest | undefined,
): ObjectState => {
  if (actual === undefined) return { state: 'Absent' };
  if (!isOwned(actual, team)) {
    const message = `${nameOf(wanted)} exists and does not belong to this team. Rename or delete it.`;
    return { state: 'Blocked', reason: 'Conflict', message };
  }
  if (actual.metadata.deletionTimestamp !== undefined) {
    const message = `${nameOf(wanted)} is being deleted. It is created again once it is gone.`;
    return { state: 'Terminating', message };
  }
  if (differs(actual, wanted)) return { state: 'OutOfSync' };
  const patch = foreignContent(actual, wanted);
  return patch === undefined ? { state: 'InSync' } : { state: 'Drifted', patch };
};
