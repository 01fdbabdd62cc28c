import { keysOf } from '../lib/keys.ts';
import { known } from '../lib/schema.ts';
import type { CodeText } from './code-text.ts';

/** Why a condition has its status. A reason may be given by several conditions. Reasons are part of the API. */
export const conditionReasons = {
  AsOrdered: ['As ordered', 'Everything that was ordered is in the cluster.'],
  Conflict: [
    'Name taken',
    'An object with a name that the team needs belongs to someone else. The message names it; rename or delete it.',
  ],
  Refused: ['Rejected by the cluster', 'The cluster rejects an object of the team. The message says why.'],
  Terminating: [
    'Waiting for a deletion',
    'An object of the team is being deleted. It is created again once it is gone.',
  ],
  HomesNotGrown: [
    'Home volume not grown',
    'The cluster refuses to grow a home volume. Contact the platform team.',
  ],
  ForeignContent: [
    'Namespace not empty',
    'The namespace holds objects of others, so it is not deleted. Remove them, and the deletion continues.',
  ],
  Deleting: ['Deleting', 'The deletion is in progress and continues by itself.'],
  StoreBehindCluster: [
    'Database older than the cluster',
    'The database was restored from a backup. The platform team has to run the step after a restore.',
  ],
  KubernetesUnavailable: ['Cluster unavailable', 'The cluster does not answer. The attempt is repeated.'],
  GKEUnavailable: ['GKE unavailable', 'The GKE API does not answer. The attempt is repeated.'],
  GoogleUnavailable: ['Google unavailable', 'A Google API does not answer. The attempt is repeated.'],
  DependencyUnavailable: [
    'Dependency unavailable',
    'A system that the platform depends on does not answer. The attempt is repeated.',
  ],
  InternalError: [
    'Internal error',
    'An unexpected error occurred. It is in the log for the platform team, and the attempt is repeated.',
  ],
  Pending: ['Pending', 'The change has not been made yet. It continues by itself.'],
  Applying: ['Applying', 'Flux is installing or upgrading the hub.'],
  Retrying: ['Retrying', 'An attempt to install or upgrade the hub failed. Flux tries again.'],
  Installed: ['Installed', 'The hub is installed.'],
  Drifted: [
    'Changed by hand',
    'An object of the hub was changed or deleted. Retry the notebook by force to restore it.',
  ],
  Suspended: ['Suspended', 'Flux is suspended for this hub. The platform team has to resume it.'],
  Failed: [
    'Failed',
    'The hub could not be installed or upgraded, and all attempts are used. Retry the notebook, or contact the platform team.',
  ],
  RolledBack: [
    'Rolled back',
    'The upgrade of the hub failed, and the previous version is running again. Retry the notebook, or contact the platform team.',
  ],
  ImageGone: [
    'Image deleted',
    'The team’s image was deleted from its registry, so new servers cannot start with it. Push it again, or order another image.',
  ],
  Pinned: ['Pinned', 'The image is pinned to a digest.'],
  InStep: ['In step', 'The hub’s users are the team’s members.'],
  NoHub: ['No hub yet', 'Members are added once the hub is running.'],
  InPlace: ['In place', 'The secret and the service account exist, and the members may use the secret.'],
  UnknownMembers: [
    'Members without access',
    'Google does not know some members, or the organization’s policy does not allow them. They have no access to the secret; every other member has.',
  ],
  AccountPending: [
    'Service account pending',
    'The team’s service account is new and gets access to the secret within minutes.',
  ],
  QuotaExceeded: [
    'Google quota exhausted',
    'A quota of the Google project is exhausted. Contact the platform team.',
  ],
  Unavailable: ['Google unavailable', 'A Google API does not answer. The attempt is repeated.'],
  Effective: [
    'Effective',
    'Notebooks can reach the allowlist and nothing else. The message names the entries that cannot be reached now.',
  ],
  NotSeen: ['Unknown', 'The cluster does not answer, so it is not known whether the allowlist is enforced.'],
  NotApplied: ['Not applied', 'The restriction is not in the cluster yet, or a policy is being restored.'],
  Widened: [
    'Widened by another policy',
    'Another policy in the namespace opens more than the allowlist. Remove it, or its egress rules.',
  ],
  PolicyTooLarge: [
    'Too many addresses',
    'The allowlist needs a policy larger than the cluster accepts, so nothing on it is open. Shorten the list.',
  ],
  GoogleApisNotCovered: [
    'Google APIs not covered',
    'Google’s APIs have addresses that notebooks cannot reach, so they cannot read their secret. Contact the platform team.',
  ],
} as const satisfies Record<string, CodeText>;

export type ConditionReason = keyof typeof conditionReasons;

export const ConditionReason = known(keysOf(conditionReasons), {
  $id: 'ConditionReason',
  description: 'Why a condition has its status. listCodes explains each reason.',
  examples: ['AsOrdered'],
});
