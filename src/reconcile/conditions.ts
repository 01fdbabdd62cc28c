import type { Condition, ConditionType, Phase } from '../model/condition.ts';
import type { ConditionReason } from '../model/condition-reasons.ts';
import type { TeamRecord, TeamStatus } from '../model/record.ts';
import type { ProvisionResult } from '../secrets/provision.ts';
import type { BlockedReason } from './blocked.ts';
import type { EgressFact } from './egress-fact.ts';
import type { ReleaseState } from './release-state.ts';
import type { MembersFact } from './sync-members.ts';

/** Why it could not be determined whether everything is applied. */
export type UnknownReason = Extract<
  ConditionReason,
  'KubernetesUnavailable' | 'GKEUnavailable' | 'GoogleUnavailable' | 'DependencyUnavailable' | 'InternalError'
>;

/** What one reconcile has found. */
export interface ReconcileFacts {
  readonly applied:
    | { readonly outcome: 'complete' }
    | {
        readonly outcome: 'waiting' | 'blocked';
        readonly reason: BlockedReason;
        readonly message: string;
        /** How much of a deletion is done, in percent. */
        readonly progress?: number;
      }
    | { readonly outcome: 'unknown'; readonly reason: UnknownReason; readonly message: string };
  /** The hub’s HelmRelease; undefined when there is none or it could not be read. */
  readonly release: ReleaseState | undefined;
  /** The value of the HelmRelease’s requestedAt annotation that Flux has handled last; absent when it is not known. */
  readonly handledRequest?: string | undefined;
  /** Undefined where this reconcile did not ask: what was found before stands. */
  readonly members?: MembersFact | undefined;
  readonly egress?: EgressFact | undefined;
  readonly secret?: ProvisionResult | undefined;
  /** Fingerprint of the namespace’s policies, when the team is restricted and they are in sync. */
  readonly policies?: string | undefined;
}

type NotAppliedReason = BlockedReason | UnknownReason;

/** The reasons that each condition can have. */
export interface ReasonsOf extends Record<ConditionType, ConditionReason> {
  readonly ImageResolved: 'Pinned' | 'ImageGone';
  readonly SecretReady: 'InPlace' | Extract<ProvisionResult, { reason: unknown }>['reason'];
  readonly Applied: 'AsOrdered' | NotAppliedReason;
  /** Without a release that can be read, the reason why not everything is applied. */
  readonly HubReady: (typeof hubFinding)[ReleaseState['state']]['reason'] | NotAppliedReason;
  readonly MembersSynced: 'InStep' | 'NoHub' | 'Pending';
  readonly EgressEffective: 'Effective' | 'NotSeen' | Extract<EgressFact, { reason: unknown }>['reason'];
}

type Finding<T extends ConditionType = ConditionType> = Omit<
  Condition,
  'type' | 'reason' | 'lastTransitionTime'
> & { readonly reason: ReasonsOf[T] };

const applied = ({ applied: fact }: ReconcileFacts): Finding<'Applied'> => {
  switch (fact.outcome) {
    case 'complete':
      return {
        status: 'True',
        reason: 'AsOrdered',
        message: 'Everything that was ordered is in the cluster.',
      };
    case 'blocked':
      return { status: 'False', reason: fact.reason, message: fact.message };
    case 'waiting':
    case 'unknown':
      return { status: 'Unknown', reason: fact.reason, message: fact.message };
  }
};

const hubFinding = {
  pending: { status: 'Unknown', reason: 'Pending' },
  applying: { status: 'Unknown', reason: 'Applying' },
  retrying: { status: 'False', reason: 'Retrying' },
  applied: { status: 'True', reason: 'Installed' },
  drifted: { status: 'False', reason: 'Drifted' },
  suspended: { status: 'False', reason: 'Suspended' },
  failed: { status: 'False', reason: 'Failed' },
  rolled_back: { status: 'False', reason: 'RolledBack' },
} as const satisfies Record<ReleaseState['state'], Pick<Condition, 'status' | 'reason'>>;

const hubReady = ({ applied: fact, release }: ReconcileFacts): Finding<'HubReady'> => {
  if (release !== undefined) return { ...hubFinding[release.state], message: release.message };
  if (fact.outcome === 'complete') {
    return { status: 'Unknown', reason: 'Pending', message: 'Flux has not reconciled the HelmRelease yet.' };
  }
  return { status: 'Unknown', reason: fact.reason, message: fact.message };
};

const imageResolved = (team: TeamRecord): Finding<'ImageResolved'> | undefined => {
  const image = team.notebook?.image;
  if (image === null || image === undefined) return undefined;
  if (team.notebook?.imageAbsence?.missing) {
    const message = `${image.reference} (${image.digest}) was deleted from its registry; new servers cannot start with it. Push it again, or order another image.`;
    return { status: 'False', reason: 'ImageGone', message };
  }
  return { status: 'True', reason: 'Pinned', message: `${image.reference} is pinned to ${image.digest}.` };
};

const listed = (names: readonly string[]): string => {
  const some = names.slice(0, 5).join(', ');
  return names.length > 5 ? `${some} and ${names.length - 5} more` : some;
};

const membersSynced = (fact: MembersFact): Finding<'MembersSynced'> => {
  switch (fact.outcome) {
    case 'in_step':
      return { status: 'True', reason: 'InStep', message: 'The hub’s users are the team’s members.' };
    case 'no_hub':
      return { status: 'Unknown', reason: 'NoHub', message: 'Members are added once the hub runs.' };
    case 'pending': {
      const adding = fact.adding.length === 0 ? '' : ` Still to be added: ${listed(fact.adding)}.`;
      const removing = fact.removing.length === 0 ? '' : ` Still to be removed: ${listed(fact.removing)}.`;
      return { status: 'Unknown', reason: 'Pending', message: `${fact.message}${adding}${removing}` };
    }
  }
};

const secretReady = (fact: ProvisionResult): Finding<'SecretReady'> => {
  if (fact.state === 'ready') {
    const message = 'The team’s secret and service account exist, and the members may use the secret.';
    return { status: 'True', reason: 'InPlace', message };
  }
  const { reason, message } = fact;
  switch (reason) {
    // A member whom Google does not know affects no other member.
    case 'UnknownMembers':
      return { status: 'True', reason, message };
    // Without an answer the state of the secret is unknown.
    case 'Unavailable':
      return { status: 'Unknown', reason, message };
    default:
      return { status: 'False', reason, message };
  }
};

const egressEffective = (fact: EgressFact): Finding<'EgressEffective'> | undefined => {
  switch (fact.outcome) {
    case 'not_restricted':
      return undefined;
    case 'effective':
      return { status: 'True', reason: 'Effective', message: fact.message };
    case 'ineffective':
      return { status: 'False', reason: fact.reason, message: fact.message };
    case 'unknown':
      return { status: 'Unknown', reason: 'NotSeen', message: fact.message };
  }
};

/** As it was last found. */
const asBefore = (team: TeamRecord, type: ConditionType): Finding | undefined => {
  const found = team.status.conditions.find((condition) => condition.type === type);
  return found && { status: found.status, reason: found.reason, message: found.message };
};

const findings = (
  team: TeamRecord,
  facts: ReconcileFacts,
): readonly (readonly [ConditionType, Finding | undefined])[] => {
  const { members, secret, egress } = facts;
  const ofNotebook = (finding: () => Finding | undefined) => (team.notebook === null ? undefined : finding());
  return [
    ['ImageResolved', imageResolved(team)],
    ['SecretReady', secret === undefined ? asBefore(team, 'SecretReady') : secretReady(secret)],
    ['Applied', applied(facts)],
    ['HubReady', ofNotebook(() => hubReady(facts))],
    [
      'MembersSynced',
      ofNotebook(() => (members === undefined ? asBefore(team, 'MembersSynced') : membersSynced(members))),
    ],
    [
      'EgressEffective',
      ofNotebook(() => (egress === undefined ? asBefore(team, 'EgressEffective') : egressEffective(egress))),
    ],
  ];
};

const phaseOf = (
  team: TeamRecord,
  conditions: readonly Condition[],
  facts: ReconcileFacts,
  isApplied: boolean,
): Phase => {
  if (team.deletion !== null || team.notebook?.deletion) return 'Deleting';
  const statusOf = (type: ConditionType) => conditions.find((condition) => condition.type === type)?.status;
  const broken = conditions.some(({ status }) => status === 'False');
  const hubIsReady = team.notebook === null || statusOf('HubReady') === 'True';
  if (statusOf('Applied') === 'True' && hubIsReady && !broken) return 'Ready';
  const spent = facts.release?.state === 'failed' || facts.release?.state === 'rolled_back';
  if (spent || (broken && team.status.wasReady)) return 'Degraded';
  return isApplied ? 'Applying' : 'Pending';
};

/**
 * The status of a team after a reconcile: facts → conditions → phase, here and nowhere else. A condition keeps its lastTransitionTime while its status stays. `now`: ISO 8601.
 */
export const statusAfter = (team: TeamRecord, facts: ReconcileFacts, now: string): TeamStatus => {
  const before = new Map(team.status.conditions.map((condition) => [condition.type, condition]));
  const conditions = findings(team, facts).flatMap(([type, finding]) => {
    if (finding === undefined) return [];
    const earlier = before.get(type);
    const lastTransitionTime = earlier?.status === finding.status ? earlier.lastTransitionTime : now;
    return [{ type, ...finding, lastTransitionTime }];
  });
  const complete = facts.applied.outcome === 'complete';
  const appliedGeneration = complete ? team.generation : team.status.appliedGeneration;
  const appliedRevision =
    complete && team.notebook !== null ? team.notebookRevision : team.status.appliedRevision;
  const isApplied = team.notebook === null ? appliedGeneration > 0 : appliedRevision > 0;
  const phase = phaseOf(team, conditions, facts, isApplied);
  return {
    phase,
    conditions,
    appliedGeneration,
    appliedRevision,
    wasReady: team.status.wasReady || phase === 'Ready',
    ...remembered(team, facts, now),
  };
};

/** What the next reconcile needs to know of this one. */
const remembered = (
  { status, generation, notebook }: TeamRecord,
  { applied: fact, handledRequest, members, secret, policies }: ReconcileFacts,
  now: string,
): Partial<TeamStatus> => {
  const deletionProgress = 'progress' in fact ? fact.progress : undefined;
  const retriedAt = notebook?.retry?.at;
  const isHandled = retriedAt !== undefined && handledRequest === retriedAt;
  const handledRetry = isHandled ? retriedAt : status.handledRetry;
  const seen = members === undefined || members.outcome === 'no_hub' ? undefined : members.hubUsers;
  const hubUsers = notebook === null ? undefined : (seen ?? status.hubUsers);
  const provisioned =
    secret === undefined
      ? status.provisioned
      : secret.state === 'ready'
        ? { generation, at: now }
        : undefined;
  return {
    ...(deletionProgress === undefined ? {} : { deletionProgress }),
    ...(handledRetry === undefined ? {} : { handledRetry }),
    ...(hubUsers === undefined ? {} : { hubUsers }),
    ...(provisioned === undefined ? {} : { provisioned }),
    ...(policies === undefined ? {} : { policies }),
  };
};
