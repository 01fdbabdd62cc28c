import type { Absence } from './absence.ts';
import type { Condition, Phase } from './condition.ts';
import type { NotebookImage, NotebookSpec } from './notebook.ts';
import type { Member } from './team.ts';

/** Field manager of every server-side apply. Changing it would orphan what is applied. */
export const fieldManager = 'knada-notebooks';

/**
 * Everything that is stored of a team, in one document. Instants are ISO 8601 UTC.
 *
 * `revision` and `notebookRevision` count what people asked for; `generation` rises with either and stamps
 * what is applied; `statusVersion` rises when what we found out has changed.
 */
export interface TeamRecord {
  readonly slug: string;
  readonly id: string;
  readonly createdAt: string;
  readonly updatedAt: string;
  readonly members: readonly Member[];
  readonly ghcrRepositories: readonly string[];
  readonly garTeam: string | null;
  readonly revision: number;
  /** Survives the notebook: a notebook ordered again goes on counting. 0 before the first order. */
  readonly notebookRevision: number;
  readonly generation: number;
  readonly notebook: NotebookRecord | null;
  /** Set from the request to delete the team until the document itself goes. */
  readonly deletion: Deletion | null;
  /** The HelmRelease’s spec in use, which only a platform roll-out replaces; null before the first order. */
  readonly release: Release | null;
  readonly status: TeamStatus;
  readonly statusVersion: number;
  readonly reconcile: ReconcileState;
  readonly culling: CullingState;
  /** Names on the allowlist whose addresses are looked up; empty for a team that has not opted in. */
  readonly egressHosts: readonly string[];
}

/** What the cull pass needs to know of a team’s servers. Instants are ISO 8601 UTC. */
export interface CullingState {
  /** When the hub is to be asked next: no server can be due before. null without a notebook. */
  readonly dueAt: string | null;
  /** Looks in a row at which the hub gave no answer; sets the wait before the next. Absent for none. */
  readonly failures?: number;
  /** By hub user name; only those of whom there is something to remember. */
  readonly servers: Readonly<Record<string, ServerMemory>>;
}

export interface ServerMemory {
  /** Somebody asked for it to stay alive until then. */
  readonly extendedUntil?: string;
  /** When a kernel was last seen busy: as good as activity. */
  readonly busyAt?: string;
  /** Since when its kernels could not be asked. */
  readonly probeFailingSince?: string;
  /** When the culling last stopped it: two passes at once stop a server once, and say so once. */
  readonly culledAt?: string;
}

export interface NotebookRecord {
  readonly spec: NotebookSpec;
  readonly image: NotebookImage | null;
  /** What the registry last said of what is pinned; absent while it is there. */
  readonly imageAbsence?: Absence;
  readonly createdAt: string;
  readonly updatedAt: string;
  readonly updatedBy: string;
  readonly deletion: NotebookDeletion | null;
  /** Raised by retry; reaches Flux as its requestedAt, resetAt and forceAt annotations. */
  readonly retry: { readonly at: string; readonly force: boolean } | null;
}

export interface NotebookDeletion {
  readonly requestedAt: string;
  readonly deleteHomes: boolean;
}

export interface Deletion extends NotebookDeletion {
  readonly deleteSecret: boolean;
}

export interface Release {
  /** Hash of the platform (chart version and values) that `spec` was rendered from. */
  readonly platformHash: string;
  readonly spec: Readonly<Record<string, unknown>>;
  /** Whether the team was Ready when a roll-out gave it this release; absent for a first order and in older records. */
  readonly wasReady?: boolean;
}

export interface TeamStatus {
  readonly phase: Phase;
  readonly conditions: readonly Condition[];
  /** The newest generation and notebook revision that the cluster has in full; 0 for none. */
  readonly appliedGeneration: number;
  readonly appliedRevision: number;
  /** Whether this notebook was Ready once: what breaks afterwards is Degraded, not Applying. */
  readonly wasReady: boolean;
  /** The hub’s users as they were last seen there; absent before the first time. */
  readonly hubUsers?: readonly string[];
  /** When the team’s secret and account were last found in order, and for which generation. */
  readonly provisioned?: { readonly generation: number; readonly at: string };
  /**
   * Fingerprint of every policy in the namespace as the last reconcile left it, in sync; absent for a team that is not
   * restricted, and while its policies are not in sync. The tick compares it with the cluster.
   */
  readonly policies?: string;
}

/** What the tick needs to know; not shown to anybody. */
export interface ReconcileState {
  /** When this team is to be looked at next; a store answers "who is due" by this field. */
  readonly dueAt: string;
  /** Failed looks in a row; sets the wait before the next. */
  readonly failures: number;
}
