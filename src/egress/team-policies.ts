import { kinds } from '../model/kinds.ts';
import type { NotebookRecord, TeamRecord } from '../model/record.ts';
import type { Manifest } from '../ports/cluster.ts';
import { metaOf } from '../teams/desired.ts';
import { airflowBaselinePolicy } from './baseline.ts';
import { type DesiredPolicies, desiredNotebookPolicies, type EgressPolicy } from './desired.ts';
import { parseAllowlist } from './entry.ts';
import { allowlistLabel, notebooksAnnotation, notebooksFingerprint } from './fingerprint.ts';
import type { EgressConfig } from './hosts.ts';
import type { LiveEgress } from './live-egress.ts';
import { PolicyName } from './policy.ts';

/** The policies of a team’s notebooks, and the outcome for each host of its list. */
export const notebookPolicies = (
  team: TeamRecord & { readonly notebook: NotebookRecord },
  { settings, entries: options }: EgressConfig,
  { addresses, podsAlive }: Pick<LiveEgress, 'addresses' | 'podsAlive'>,
): DesiredPolicies => {
  const { enabled: allowlistEnabled, hosts } = team.notebook.spec.allowlist;
  const { entries } = parseAllowlist(hosts, options);
  const base = metaOf(team);
  const followsPods = allowlistEnabled && entries.length > 0;
  const meta = followsPods ? { ...base, labels: { ...base.labels, ...allowlistLabel } } : base;
  return desiredNotebookPolicies({ allowlistEnabled, entries, addresses, podsAlive, settings, meta });
};

/** Every egress policy of a team with a notebook, in the order to apply. */
export const teamPolicies = (
  team: TeamRecord & { readonly notebook: NotebookRecord },
  config: EgressConfig,
  live: LiveEgress,
): readonly Manifest[] => {
  const [first, ...rest] = notebookPolicies(team, config, live).apply;
  const allows = rest.filter(({ kind }) => kind === kinds.networkPolicy.kind).length;
  const base = metaOf(team);
  const meta = { ...base, labels: first?.metadata.labels ?? base.labels };
  return [
    ...(first === undefined ? [] : [withFingerprint(first, live, allows)]),
    ...(team.notebook.spec.allowlist.enabled
      ? [airflowBaselinePolicy(meta, config.settings, live.addresses)]
      : []),
    ...rest.map((policy) => withOwners(policy, live)),
  ];
};

/** The baseline carries the fingerprint of the notebook pods that the list is opened for. */
const withFingerprint = (policy: EgressPolicy, live: LiveEgress, allows: number): Manifest => {
  const [label] = Object.keys(allowlistLabel);
  if (policy.metadata.name !== PolicyName.Baseline || !Object.hasOwn(policy.metadata.labels, label ?? '')) {
    return policy;
  }
  const annotations = {
    ...policy.metadata.annotations,
    [notebooksAnnotation]: notebooksFingerprint(live, allows),
  };
  return { ...policy, metadata: { ...policy.metadata, annotations } };
};

/** Kubernetes’ garbage collection removes an allow policy with the last notebook pod, even while this service is down. */
const withOwners = (policy: EgressPolicy, { owners }: LiveEgress): Manifest =>
  owners.length > 0 ? { ...policy, metadata: { ...policy.metadata, ownerReferences: owners } } : policy;
