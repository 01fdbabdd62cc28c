import { airflowBaselinePolicy } from '../egress/baseline.ts';
import { type DesiredPolicies, desiredNotebookPolicies, type EgressPolicy } from '../egress/desired.ts';
import { type EntryOptions, parseAllowlist } from '../egress/entry.ts';
import { type EgressSettings, PolicyName } from '../egress/policy.ts';
import type { NotebookRecord, TeamRecord } from '../model/record.ts';
import { helmRelease } from '../notebooks/desired.ts';
import { hubSecret, type MasterKey } from '../notebooks/keys.ts';
import { type ProfileEnvironment, profilesConfigMap } from '../notebooks/profiles.ts';
import type { Manifest, OwnerReference } from '../ports/cluster.ts';
import { metaOf, namespace, serviceAccount } from '../teams/desired.ts';
import type { LiveEgress } from './context.ts';
import { allowlistLabel, notebooksAnnotation, notebooksFingerprint } from './drift-detection.ts';

/** What a team’s objects are made from besides the team. */
export interface Rendering {
  readonly googleProject: string;
  /** Newest first. */
  readonly masterKeys: readonly MasterKey[];
  readonly environments: readonly ProfileEnvironment[];
  readonly egress: { readonly settings: EgressSettings; readonly entries: EntryOptions };
}

/** The one list of what a team’s objects shall be: applied, planned and shown from here. */
export type Render = (team: TeamRecord, live: LiveEgress) => readonly Manifest[];

/** The policies of a team’s notebooks; undefined for a team without one. */
export const notebookPolicies = (
  { spec }: Pick<NotebookRecord, 'spec'>,
  team: TeamRecord,
  { settings, entries: options }: Rendering['egress'],
  { addresses, podsAlive }: Pick<LiveEgress, 'addresses' | 'podsAlive'>,
): DesiredPolicies => {
  const { entries } = parseAllowlist(spec.allowlist.hosts, options);
  const base = metaOf(team);
  const isFollowed = spec.allowlist.enabled && entries.length > 0;
  const meta = isFollowed ? { ...base, labels: { ...base.labels, ...allowlistLabel } } : base;
  const allowlistEnabled = spec.allowlist.enabled;
  return desiredNotebookPolicies({ allowlistEnabled, entries, addresses, podsAlive, settings, meta });
};

const isAllow = ({ metadata }: EgressPolicy): boolean =>
  metadata.name !== PolicyName.Open && metadata.name !== PolicyName.Baseline;

/** The baseline tells the tick which notebooks what is allowed was made for. */
const knowing = (policy: EgressPolicy, live: LiveEgress, allows: number): Manifest =>
  policy.metadata.name === PolicyName.Baseline && policy.metadata.labels['knada.io/allowlist'] !== undefined
    ? {
        ...policy,
        metadata: {
          ...policy.metadata,
          annotations: {
            ...policy.metadata.annotations,
            [notebooksAnnotation]: notebooksFingerprint(live, allows),
          },
        },
      }
    : policy;

/** What is allowed goes with the last notebook, by Kubernetes’ own garbage collection, also when we are away. */
const owned = (policy: EgressPolicy, owners: readonly OwnerReference[]): Manifest =>
  isAllow(policy) && owners.length > 0
    ? { ...policy, metadata: { ...policy.metadata, ownerReferences: owners } }
    : policy;

/**
 * Pure: the same record gives the same bytes. In the order in which to apply: deny before hub, what the hub
 * mounts before the hub.
 */
export const renderWith =
  ({ googleProject, masterKeys, environments, egress }: Rendering): Render =>
  (team, live) => {
    const base = [namespace(team), serviceAccount(team, googleProject)];
    const { notebook } = team;
    if (notebook === null || notebook.deletion !== null || team.deletion !== null) return base;
    const meta = metaOf(team);
    const [first, ...rest] = notebookPolicies(notebook, team, egress, live).apply;
    const allows = rest.filter(({ kind }) => kind === 'NetworkPolicy').length;
    return [
      ...base,
      ...(first === undefined ? [] : [knowing(first, live, allows)]),
      ...(notebook.spec.allowlist.enabled
        ? [
            airflowBaselinePolicy(
              { ...meta, labels: first?.metadata.labels ?? meta.labels },
              egress.settings,
              live.addresses,
            ),
          ]
        : []),
      ...rest.map((policy) => owned(policy, live.owners)),
      profilesConfigMap(team, environments, meta),
      hubSecret(team.id, masterKeys, meta),
      helmRelease(team, meta),
    ];
  };
