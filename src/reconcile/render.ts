import { desiredNotebookPolicies } from '../egress/desired.ts';
import type { EntryOptions } from '../egress/entry.ts';
import { parseAllowlist } from '../egress/entry.ts';
import type { EgressSettings } from '../egress/policy.ts';
import { helmRelease } from '../notebooks/desired.ts';
import { hubSecret, type MasterKey } from '../notebooks/keys.ts';
import { type Environment, profilesConfigMap } from '../notebooks/profiles.ts';
import type { Manifest } from '../ports.ts';
import type { TeamRecord } from '../record.ts';
import { metaOf, namespace, serviceAccount } from '../teams/desired.ts';

/** What a team’s objects are made from besides the team. */
export interface Rendering {
  readonly googleProject: string;
  /** Newest first. */
  readonly masterKeys: readonly MasterKey[];
  readonly environments: readonly Environment[];
  readonly egress: { readonly settings: EgressSettings; readonly entries: EntryOptions };
}

/** The one list of what a team’s objects shall be: applied, planned and shown from here. */
export type Render = (team: TeamRecord) => readonly Manifest[];

/**
 * Pure: the same record gives the same bytes. In the order in which to apply: deny before hub, what the hub
 * mounts before the hub.
 */
export const renderWith =
  ({ googleProject, masterKeys, environments, egress }: Rendering): Render =>
  (team) => {
    const base = [namespace(team), serviceAccount(team, googleProject)];
    const { notebook } = team;
    if (notebook === null || notebook.deletion !== null || team.deletion !== null) return base;
    const meta = metaOf(team);
    const policies = desiredNotebookPolicies({
      allowlistEnabled: notebook.spec.allowlist.enabled,
      entries: parseAllowlist(notebook.spec.allowlist.hosts, egress.entries).entries,
      addresses: new Map(),
      podsAlive: false,
      settings: egress.settings,
      meta,
    });
    return [
      ...base,
      ...policies.apply,
      profilesConfigMap(team, environments, meta),
      hubSecret(team.id, masterKeys, meta),
      helmRelease(team, meta),
    ];
  };
