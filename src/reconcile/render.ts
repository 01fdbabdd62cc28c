import type { EgressConfig } from '../egress/hosts.ts';
import type { LiveEgress } from '../egress/live-egress.ts';
import { teamPolicies } from '../egress/team-policies.ts';
import type { TeamRecord } from '../model/record.ts';
import { helmRelease } from '../notebooks/desired.ts';
import { hubSecret, type MasterKey } from '../notebooks/keys.ts';
import { type ProfileEnvironment, profilesConfigMap } from '../notebooks/profiles.ts';
import { resourceQuota } from '../notebooks/resource-quota.ts';
import type { Manifest } from '../ports/cluster.ts';
import { metaOf, namespace, serviceAccount } from '../teams/desired.ts';
import { hasNotebook } from '../teams/lifecycle.ts';

/** What a team’s objects are made from besides the team. */
export interface Rendering {
  /** Newest first. */
  readonly masterKeys: readonly MasterKey[];
  readonly environments: readonly ProfileEnvironment[];
  readonly egress: EgressConfig;
}

/** The desired objects of a team: applied, planned and shown from this one list. */
export type Render = (team: TeamRecord, live: LiveEgress) => readonly Manifest[];

/**
 * Pure: the same record gives the same bytes. In the order to apply: what restricts egress as soon as there is a
 * namespace, and what the hub mounts before the hub.
 */
export const renderWith =
  ({ masterKeys, environments, egress }: Rendering): Render =>
  (team, live) => {
    const [home, account, meta] = [namespace(team), serviceAccount(team), metaOf(team)];
    const quotas = resourceQuota(team, meta);
    if (!hasNotebook(team)) return [home, account, ...quotas];
    return [
      home,
      ...teamPolicies(team, egress, live),
      account,
      ...quotas,
      profilesConfigMap(team, environments, meta),
      hubSecret(team.id, masterKeys, meta),
      helmRelease(team, meta),
    ];
  };
