import { addressesFor, wantHosts } from '../egress/addresses.ts';
import { coversGoogleApis } from '../egress/baseline.ts';
import type { Addresses } from '../egress/destinations.ts';
import { parseAllowlist } from '../egress/entry.ts';
import { widenedBy } from '../egress/foreign-policies.ts';
import { addressesIn } from '../egress/freshness.ts';
import type { EgressSettings } from '../egress/policy.ts';
import { parseCidr } from '../egress/ranges.ts';
import { namespaceOf } from '../model/names.ts';
import type { TeamRecord } from '../model/record.ts';
import type { Manifest, OwnerReference } from '../ports/cluster.ts';
import type { HostStore } from '../ports/store.ts';
import { Unavailable } from '../ports/unavailable.ts';
import { isOwned } from '../teams/desired.ts';
import { notebookPods } from '../teams/labels.ts';
import { type LiveEgress, noNotebooks, type ReconcileContext } from './context.ts';
import { livePods } from './drift-detection.ts';
import { notebookPolicies } from './render.ts';

/** What became of a team’s restriction of egress. */
export type EgressFact =
  | { readonly outcome: 'not_restricted' }
  | { readonly outcome: 'effective'; readonly message: string }
  | { readonly outcome: 'ineffective'; readonly reason: string; readonly message: string }
  | { readonly outcome: 'unknown'; readonly message: string };

/** A notebook reads its secret there; its answers show whether the baseline still covers Google’s APIs. */
const googleApi = 'secretmanager.googleapis.com';

/** Names whose addresses we look up for a team: those of its list that the operator has not fixed. */
export const namesOf = (
  team: TeamRecord,
  { settings, entries }: ReconcileContext['deps']['egress'],
): readonly string[] => {
  const { notebook } = team;
  if (notebook === null || !notebook.spec.allowlist.enabled) return [];
  const listed = parseAllowlist(notebook.spec.allowlist.hosts, entries).entries.flatMap(({ host, kind }) =>
    kind === 'name' && !settings.hostMap.has(host) ? [host] : [],
  );
  const google = settings.googleApis === 'resolve' ? settings.googleApiHosts : [googleApi];
  return [...new Set([...listed, ...google])].toSorted();
};

const ownerOf = ({ metadata: { name, uid } }: Manifest): OwnerReference[] =>
  uid === undefined
    ? []
    : [{ apiVersion: 'v1', kind: 'Pod', name, uid, controller: false, blockOwnerDeletion: false }];

/** What is known of these names, without anybody being asked. */
export const knownAddresses = async (
  store: Pick<HostStore, 'hosts'>,
  names: readonly string[],
): Promise<Addresses> => (names.length === 0 ? new Map() : addressesIn(await store.hosts(names)));

/** What the policies of this team are to be made from, now. Costs nothing for a team that has not opted in. */
export const observeEgress = async (look: ReconcileContext): Promise<LiveEgress> => {
  const { deps, team } = look;
  const { notebook } = team;
  if (notebook === null || !notebook.spec.allowlist.enabled) return noNotebooks;
  const names = namesOf(team, deps.egress);
  const pods = await livePodsOf(look, names);
  const starts = look.announced || (await isStarting(look));
  const podsAlive = pods.length > 0 || starts;
  const addresses = await addressesFor(deps, names, {
    isLive: podsAlive,
    isStarting: starts,
    signal: look.signal,
    except: team.slug,
  });
  return { addresses, podsAlive, owners: pods.toSorted(byName).flatMap(ownerOf) };
};

/** Notebooks that cannot be seen may run all the same: nothing that their list needs is forgotten meanwhile. */
const livePodsOf = async ({ deps, team, signal }: ReconcileContext, names: readonly string[]) => {
  const pods = { apiVersion: 'v1', kind: 'Pod', namespace: namespaceOf(team.id), labels: notebookPods };
  try {
    return livePods(await deps.cluster.list(pods, signal));
  } catch (error) {
    if (error instanceof Unavailable) await wantHosts(deps, names, true);
    throw error;
  }
};

const byName = (a: Manifest, b: Manifest): number => (a.metadata.name < b.metadata.name ? -1 : 1);

/** Whether we ourselves have told the hub to start a notebook whose pod may not be there yet. */
const isStarting = async ({ deps, team }: ReconcileContext): Promise<boolean> =>
  (await deps.store.openOperations(team.slug)).some(({ kind }) => kind === 'start' || kind === 'restart');

/** Answers of Google’s API that the baseline does not let through: DNS does not map it to where the operator said. */
const uncovered = (live: LiveEgress, settings: EgressSettings): readonly string[] =>
  (live.addresses.get(googleApi) ?? []).filter((address) => {
    const cidr = parseCidr(address);
    return cidr !== undefined && !coversGoogleApis(cidr, settings);
  });

/**
 * Whether the restriction holds, once our policies are in place. `policies`: every NetworkPolicy of the namespace,
 * others’ too, since any of them may let more through.
 */
export const egressFact = (
  { deps, team }: Pick<ReconcileContext, 'deps' | 'team'>,
  live: LiveEgress,
  policies: readonly Manifest[],
): EgressFact => {
  const { notebook } = team;
  if (notebook === null || !notebook.spec.allowlist.enabled) return { outcome: 'not_restricted' };
  const { hosts, problem } = notebookPolicies(notebook, team, deps.egress, { ...live, podsAlive: true });
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

/** What is to be said of it when the cluster did not let us look. */
export const egressUnseen = ({ notebook }: TeamRecord, message: string): EgressFact =>
  notebook?.spec.allowlist.enabled === true ? { outcome: 'unknown', message } : { outcome: 'not_restricted' };
