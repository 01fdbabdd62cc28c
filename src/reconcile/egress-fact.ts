import { coversGoogleApis } from '../egress/baseline.ts';
import { widenedBy } from '../egress/foreign-policies.ts';
import { googleApi } from '../egress/hosts.ts';
import type { LiveEgress } from '../egress/live-egress.ts';
import type { EgressSettings } from '../egress/policy.ts';
import { parseCidr } from '../egress/ranges.ts';
import { notebookPolicies } from '../egress/team-policies.ts';
import type { TeamRecord } from '../model/record.ts';
import type { Manifest } from '../ports/cluster.ts';
import { isOwned } from '../teams/desired.ts';
import { hasNotebook, isRestricted } from '../teams/lifecycle.ts';
import type { ReconcileContext } from './context.ts';

/** Whether a team’s restriction of egress holds. */
export type EgressFact =
  | { readonly outcome: 'not_restricted' }
  | { readonly outcome: 'effective'; readonly message: string }
  | { readonly outcome: 'ineffective'; readonly reason: string; readonly message: string }
  | { readonly outcome: 'unknown'; readonly message: string };

/** Addresses of Google’s API that the baseline does not open: DNS does not map it to where the operator configured. */
const uncovered = (live: LiveEgress, settings: EgressSettings): readonly string[] =>
  (live.addresses.get(googleApi) ?? []).filter((address) => {
    const cidr = parseCidr(address);
    return cidr !== undefined && !coversGoogleApis(cidr, settings);
  });

/**
 * Whether the restriction holds, given that our policies are applied. `policies`: every policy of the namespace, since
 * any of them may open more.
 */
export const egressFact = (
  { deps, team }: Pick<ReconcileContext, 'deps' | 'team'>,
  live: LiveEgress,
  policies: readonly Manifest[],
): EgressFact => {
  if (!hasNotebook(team) || !isRestricted(team)) return { outcome: 'not_restricted' };
  const { hosts, problem } = notebookPolicies(team, deps.egress, { ...live, podsAlive: true });
  const foreign = widenedBy(policies, (policy) => isOwned(policy, team));
  if (foreign.length > 0) {
    const message = `NetworkPolicy ${foreign.join(', ')} opens more than the allowlist. Remove it, or take its egress rules out.`;
    return { outcome: 'ineffective', reason: 'Widened', message };
  }
  if (problem !== undefined)
    return { outcome: 'ineffective', reason: 'PolicyTooLarge', message: problem.message };
  const outside = uncovered(live, deps.egress.settings);
  if (outside.length > 0) {
    const message = `${googleApi} answers ${outside.join(', ')}, which the baseline does not open: notebooks cannot read their secret. The platform team has to map Google’s APIs in DNS, or set EGRESS_GOOGLE_APIS.`;
    return { outcome: 'ineffective', reason: 'GoogleApisNotCovered', message };
  }
  const closed = hosts.filter(({ status }) => status !== 'resolved' && status !== 'too_many_addresses');
  const named = closed.map(({ host, status }) => `${host} (${status})`).join(', ');
  return {
    outcome: 'effective',
    message: `Notebooks reach the allowlist and nothing else.${named === '' ? '' : ` Without an address to open now: ${named}.`}`,
  };
};

/** The fact while the cluster does not answer. */
export const egressUnknown = (team: TeamRecord, message: string): EgressFact =>
  isRestricted(team) ? { outcome: 'unknown', message } : { outcome: 'not_restricted' };
