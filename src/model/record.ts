import type { Absence } from './absence.ts';
import type { Condition, Phase } from './condition.ts';
import type { NotebookImage, NotebookSpec } from './notebook.ts';
import type { Member } from './team.ts';

/** Field manager of every server-side apply. Changing it would orphan what is applied. */
export const fieldManager = 'knada-notebooks';

/**
 * Everything that is stored about a team, in one document. Instants are ISO 8601 UTC.
 *
 * `revision` and `notebookRevision` count requested changes; `generation` increases with either and stamps what is
 * applied; `statusVersion` increases when the observed status changes.
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
  /** Kept when the notebook is deleted: a new order continues the count. 0 before the first order. */
  readonly notebookRevision: number;
  readonly generation: number;
  readonly notebook: NotebookRecord | null;
  /** Set from the request to delete the team until the document is removed. */
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

/** The state of the cull pass for a team’s servers. Instants are ISO 8601 UTC. */
export interface CullingState {
  /** When the hub is queried next: no server can be due before. null without a notebook. */
  readonly dueAt: string | null;
  /** Consecutive passes without an answer from the hub; sets the delay before the next. Absent for none. */
  readonly failures?: number;
  /** By hub user name; only users with state to keep. */
  readonly servers: Readonly<Record<string, ServerMemory>>;
}

export interface ServerMemory {
  /** A requested extension keeps the server running until then. */
  readonly extendedUntil?: string;
  /** When a kernel was last seen busy: as good as activity. */
  readonly busyAt?: string;
  /** Since when its kernels could not be queried. */
  readonly probeFailingSince?: string;
  /** When culling last stopped it, so concurrent passes stop and record it only once. */
  readonly culledAt?: string;
}

export interface NotebookRecord {
  readonly spec: NotebookSpec;
  readonly image: NotebookImage | null;
  /** The registry’s last answer about the pinned image; absent while the image exists. */
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
}

/** Internal state of the tick. */
export interface ReconcileState {
  /** When this team is reconciled next; the store’s query for due teams uses this field. */
  readonly dueAt: string;
  /** Consecutive failed attempts; sets the delay before the next. */
  readonly failures: number;
}
