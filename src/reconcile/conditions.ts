import type { Condition, ConditionType, Phase } from '../notebooks/condition.ts';
import type { TeamRecord, TeamStatus } from '../record.ts';
import type { ReleaseState } from './release.ts';

/** What one look at a team’s objects came to. */
export interface Facts {
  readonly applied:
    | { readonly outcome: 'complete' }
    | { readonly outcome: 'waiting'; readonly reason: string; readonly message: string }
    | { readonly outcome: 'blocked'; readonly reason: string; readonly message: string }
    | { readonly outcome: 'unknown'; readonly reason: string; readonly message: string };
  /** The hub’s HelmRelease; undefined when there is none or it could not be read. */
  readonly release: ReleaseState | undefined;
}

type Finding = Omit<Condition, 'type' | 'lastTransitionTime'>;

const applied = ({ applied: fact }: Facts): Finding => {
  switch (fact.outcome) {
    case 'complete':
      return { status: 'True', reason: 'AsOrdered', message: 'Everything ordered is in the cluster.' };
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
  failed: { status: 'False', reason: 'Failed' },
  rolled_back: { status: 'False', reason: 'RolledBack' },
} as const satisfies Record<ReleaseState['state'], Pick<Finding, 'status' | 'reason'>>;

const hubReady = ({ applied: fact, release }: Facts): Finding => {
  if (release !== undefined) return { ...hubFinding[release.state], message: release.message };
  if (fact.outcome === 'complete') {
    return { status: 'Unknown', reason: 'Pending', message: 'Flux has not looked at the HelmRelease yet.' };
  }
  return { status: 'Unknown', reason: fact.reason, message: fact.message };
};

const imageResolved = (team: TeamRecord): Finding | undefined => {
  const image = team.notebook?.image;
  if (image === null || image === undefined) return undefined;
  if (team.notebook?.imageAbsence?.missing) {
    const message = `${image.reference} (${image.digest}) was deleted from its registry; new servers cannot start with it. Push it anew, or order another one.`;
    return { status: 'False', reason: 'ImageGone', message };
  }
  return { status: 'True', reason: 'Pinned', message: `${image.reference} is pinned to ${image.digest}.` };
};

const findings = (
  team: TeamRecord,
  facts: Facts,
): readonly (readonly [ConditionType, Finding | undefined])[] => {
  const hasNotebook = team.notebook !== null;
  return [
    ['ImageResolved', imageResolved(team)],
    ['Applied', applied(facts)],
    ['HubReady', hasNotebook ? hubReady(facts) : undefined],
  ];
};

const phaseOf = (
  team: TeamRecord,
  conditions: readonly Condition[],
  facts: Facts,
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
 * What is shown of a team after a look: facts → conditions → phase, here and nowhere else (DESIGN 5).
 * A condition keeps its lastTransitionTime while its status stays. `now`: ISO 8601.
 */
export const statusAfter = (team: TeamRecord, facts: Facts, now: string): TeamStatus => {
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
  };
};
