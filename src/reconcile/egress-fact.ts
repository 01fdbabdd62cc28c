import { parseAllowlist } from '../egress/entry.ts';
import type { LiveEgress } from '../egress/live-egress.ts';
import { notebookPolicies } from '../egress/team-policies.ts';
import { unreachableEntries, unreachableSentence } from '../egress/unreachable.ts';
import { type EgressVerdict, egressVerdict } from '../egress/verdict.ts';
import type { TeamRecord } from '../model/record.ts';
import type { Manifest } from '../ports/cluster.ts';
import { isOwned } from '../teams/desired.ts';
import { hasNotebook, isRestricted } from '../teams/lifecycle.ts';
import type { ReconcileContext } from './context.ts';

type IneffectiveReason = Exclude<EgressVerdict['reason'], 'Effective' | 'NotRestricted' | 'NotSeen'>;

/** Whether a team’s restriction of egress holds. */
export type EgressFact =
  | { readonly outcome: 'not_restricted' }
  | { readonly outcome: 'effective'; readonly message: string }
  | { readonly outcome: 'ineffective'; readonly reason: IneffectiveReason; readonly message: string }
  | { readonly outcome: 'unknown'; readonly message: string };

/** `policies`: every policy of the namespace as it is after this reconcile. */
export const egressFact = (
  { deps, team }: Pick<ReconcileContext, 'deps' | 'team'>,
  live: LiveEgress,
  policies: readonly Manifest[],
): EgressFact => {
  if (!hasNotebook(team) || !isRestricted(team)) return { outcome: 'not_restricted' };
  const { problem } = notebookPolicies(team, deps.egress, { ...live, podsAlive: true });
  const { reason, because } = egressVerdict({
    enabled: true,
    policies,
    isOurs: (policy) => isOwned(policy, team),
    problem: problem?.message,
    addresses: live.addresses,
    settings: deps.egress.settings,
  });
  if (reason === 'NotRestricted') return { outcome: 'not_restricted' };
  if (reason === 'NotSeen') return { outcome: 'unknown', message: because };
  if (reason !== 'Effective') return { outcome: 'ineffective', reason, message: because };
  const { settings, entries: options } = deps.egress;
  const { entries } = parseAllowlist(team.notebook.spec.allowlist.hosts, options);
  const sentence = unreachableSentence(unreachableEntries(entries, live.addresses, settings));
  return { outcome: 'effective', message: sentence === undefined ? because : `${because} ${sentence}` };
};

/** The fact while the cluster does not answer. */
export const egressUnknown = (team: TeamRecord, message: string): EgressFact =>
  isRestricted(team) ? { outcome: 'unknown', message } : { outcome: 'not_restricted' };
