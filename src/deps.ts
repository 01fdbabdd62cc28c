import type { EntryOptions } from './egress/entry.ts';
import type { EgressLook } from './egress/look.ts';
import type { EgressSettings } from './egress/policy.ts';
import type { Catalogue } from './environments/catalogue.ts';
import type { ImagePolicy } from './images/reference.ts';
import type { Limits } from './notebooks/bounds.ts';
import type { NotebookImage } from './notebooks/notebook.ts';
import type { Clock, Manifest, Registries, Store, Vault } from './ports.ts';
import type { Release, TeamRecord } from './record.ts';
import type { Servers } from './servers/servers.ts';

/** What routes are handed, and all that they may reach. */
export interface Deps {
  readonly store: Store;
  readonly clock: Clock;
  readonly limits: Limits;
  readonly googleProject: string;
  readonly hubUrlTemplate: string;
  readonly allowlist: EntryOptions;
  /** The environments that are offered; before the first refresh what ships with this version. */
  readonly catalogue: () => Promise<Catalogue>;
  readonly registries: Registries;
  readonly ghcrOwner: string;
  /** Which images a team may run, by its repository in Google Artifact Registry. */
  readonly imagePolicy: (garTeam: string | null) => ImagePolicy;
  /** Four hexadecimal digits, at random. */
  readonly newSuffix: () => string;
  /** The release of a team’s first order, from the platform of now. */
  readonly newRelease: (team: Pick<TeamRecord, 'slug' | 'id'>) => Release;
  /** Every object of the team as it is to be applied. */
  readonly render: (team: TeamRecord) => Promise<readonly Manifest[]>;
  /** One bounded look right after a write; answers the team as it stands then, undefined when it is gone. */
  readonly reconcile: (team: TeamRecord) => Promise<TeamRecord | undefined>;
  /** The same for who watches: at most once a second per team, and only while something is under way. */
  readonly look: (team: TeamRecord) => Promise<TeamRecord | undefined>;
  /** Whether home volumes exist; throws Unavailable when the cluster does not say. */
  readonly hasHomes: (team: TeamRecord) => Promise<boolean>;
  /** Whether the team’s secret holds anything; throws Unavailable when Secret Manager does not say. */
  readonly hasSecret: (team: TeamRecord) => Promise<boolean>;
  readonly vault: Vault;
  readonly servers: Servers;
  /** What the operator decides about egress, and a look at what a namespace’s policies and these hosts are now. */
  readonly egress: {
    readonly settings: EgressSettings;
    readonly look: (namespace: string, names: readonly string[], signal: AbortSignal) => Promise<EgressLook>;
  };
  /** What the image’s tag points to now, pinned. Throws the Problem of whatever is wrong with it. */
  readonly pinImage: (image: string, team: TeamRecord) => Promise<NotebookImage>;
}
