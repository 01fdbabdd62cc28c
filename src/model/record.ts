import type { Absence } from './absence.ts';
import type { Condition, Phase } from './condition.ts';
import type { TeamNames } from './names.ts';
import type { NotebookImage, NotebookSpec } from './notebook.ts';
import type { Member } from './team.ts';
import type { TeamQuota } from './team-quota.ts';

/** Field manager of every server-side apply. Changing it would orphan what is applied. */
export const fieldManager = 'knada-notebooks';

/**
 * Everything that is stored about a team, in one document. Instants are ISO 8601 UTC.
 *
 * `revision` and `notebookRevision` count changes that people requested; `generation` rises with each of them that can
 * change what is applied, which a member’s role cannot, and is stamped on it; `statusVersion` rises when the observed status changes.
 */
export interface TeamRecord {
  readonly slug: string;
  readonly id: string;
  /** Given once, when the team is created. */
  readonly names: TeamNames;
  readonly createdAt: string;
  readonly updatedAt: string;
  readonly members: readonly Member[];
  readonly ghcrRepositories: readonly string[];
  readonly garTeam: string | null;
  /** Set by platform admins. */
  readonly quota: TeamQuota;
  readonly revision: number;
  /** Kept when the notebook is deleted: a notebook that is ordered again continues the count. 0 before the first order. */
  readonly notebookRevision: number;
  readonly generation: number;
  readonly notebook: NotebookRecord | null;
  /** Set from the request to delete the team until its document is deleted. */
  readonly deletion: Deletion | null;
  /** The HelmRelease’s current spec, which only a platform roll-out replaces; null before the first order. */
  readonly release: Release | null;
  readonly status: TeamStatus;
  readonly statusVersion: number;
  readonly reconcile: ReconcileState;
  readonly culling: CullingState;
  /** Host names on the allowlist whose addresses are resolved; empty while the allowlist is not enabled. */
  readonly egressHosts: readonly string[];
}

/** The state of culling for a team. Instants are ISO 8601 UTC. */
export interface CullingState {
  /** When to ask the hub next: no server can be due earlier. null without a notebook. */
  readonly dueAt: string | null;
  /** Consecutive attempts without an answer from the hub, which set the backoff. Absent for none. */
  readonly failures?: number;
  /** By hub user name; only users with something to remember. */
  readonly servers: Readonly<Record<string, ServerMemory>>;
}

export interface ServerMemory {
  /** A user extended the server until then. */
  readonly extendedUntil?: string;
  /** When a kernel was last seen busy, which counts as activity. */
  readonly busyAt?: string;
  /** Since when its kernels could not be probed. */
  readonly probeFailingSince?: string;
  /** When culling last stopped it: two concurrent passes stop a server once and write one history entry. */
  readonly culledAt?: string;
  /** The last stop that was requested here: the hub counts a stop, and a kernel probe before it, as activity. */
  readonly stopped?: StoppedRun;
}

/** A run that ended with a stop. */
export interface StoppedRun {
  /** null when it was not known. */
  readonly lastActivityAt: string | null;
  readonly stoppedAt: string;
}

export interface NotebookRecord {
  readonly spec: NotebookSpec;
  readonly image: NotebookImage | null;
  /**
   * The team’s generation that ordered the image, or last changed it; a choice of profile that was made before counts no
   * longer. 0 before the first image. A newer digest of the same image leaves it as it is.
   */
  readonly imageGeneration: number;
  /** Set while the registry does not have the pinned image. */
  readonly imageAbsence?: Absence;
  readonly createdAt: string;
  readonly updatedAt: string;
  readonly updatedBy: string;
  readonly deletion: NotebookDeletion | null;
  /** Set by retryNotebook; passed to Flux as its requestedAt, resetAt and forceAt annotations. */
  readonly retry: {
    readonly at: string;
    readonly force: boolean;
    /** The operation that follows it; absent in older records. */
    readonly operation?: string;
  } | null;
}

export interface NotebookDeletion {
  readonly requestedAt: string;
  readonly deleteHomes: boolean;
  /** The operation that follows it; absent in older records. */
  readonly operation?: string;
}

export interface Deletion extends NotebookDeletion {
  readonly deleteSecret: boolean;
}

export interface Release {
  /** Hash of the platform (chart version and values) from which `spec` was rendered. */
  readonly platformHash: string;
  readonly spec: Readonly<Record<string, unknown>>;
  /** Whether the team was Ready when a roll-out gave it this release; absent for a first order and in older records. */
  readonly wasReady?: boolean;
}

export interface TeamStatus {
  readonly phase: Phase;
  readonly conditions: readonly Condition[];
  /** The newest generation and notebook revision that are fully applied; 0 for none. */
  readonly appliedGeneration: number;
  readonly appliedRevision: number;
  /** Whether this notebook was Ready before: a failure afterwards is Degraded, not Applying. */
  readonly wasReady: boolean;
  /** How much of a deletion is done, in percent; absent unless the last reconcile has found it. */
  readonly deletionProgress?: number;
  /** The instant of the newest retry that Flux has handled; absent before the first one. */
  readonly handledRetry?: string;
  /** The hub’s users when they were last listed; absent before the first time. */
  readonly hubUsers?: readonly string[];
  /** When the team’s secret and service account were last verified, and for which generation. */
  readonly provisioned?: { readonly generation: number; readonly at: string };
  /**
   * Fingerprint of every policy in the namespace as the last reconcile left it, in sync; absent for a team that is not
   * restricted, and while its policies are not in sync. The tick compares it with the cluster.
   */
  readonly policies?: string;
}

/** Internal state of reconciling; not part of the API. */
export interface ReconcileState {
  /** When this team is reconciled next; stores index this field. */
  readonly dueAt: string;
  /** Consecutive failed attempts, which set the backoff. */
  readonly failures: number;
}
