import type { TeamRecord } from '../model/record.ts';
import type { Member } from '../model/team.ts';
import type { Clock } from '../ports/runtime.ts';
import type { SecretManager } from '../ports/secret-manager.ts';
import type { ServiceAccounts } from '../ports/service-accounts.ts';
import { QuotaExceeded, Unavailable } from '../ports/unavailable.ts';

/** The fields of a team that its secret and service account depend on. */
export interface SecretTeam extends Pick<TeamRecord, 'id' | 'slug' | 'names'> {
  readonly members: readonly Pick<Member, 'email'>[];
}

/** `Unavailable`: not known. `QuotaExceeded` needs a platform operator, `Conflict` the owner of the other object. */
export interface ProvisioningFailure {
  readonly state: 'failed';
  readonly reason: 'Conflict' | 'QuotaExceeded' | 'Unavailable';
  readonly message: string;
}

export interface ProvisioningDeps {
  readonly secretManager: SecretManager;
  readonly serviceAccounts: ServiceAccounts;
  readonly clock: Clock;
  readonly workloadPool: string;
  /** Waits between two attempts; milliseconds. */
  readonly wait: (ms: number) => Promise<unknown>;
  /** From 0 up to, but not including, 1. */
  readonly random: () => number;
}

/** One reconcile of one team’s secret and service account. */
export interface ProvisioningContext {
  readonly deps: ProvisioningDeps;
  readonly team: SecretTeam;
  readonly signal: AbortSignal;
}

/** The value of our `managed-by` label, and part of our mark on service accounts. */
export const managedBy = 'knada-notebooks';

/** Provisioning cannot go on: something else has the name, or keeps changing. */
export class ProvisioningBlocked extends Error {
  override readonly name = 'ProvisioningBlocked';
  readonly reason: ProvisioningFailure['reason'];
  constructor(reason: ProvisioningFailure['reason'], message: string) {
    super(message);
    this.reason = reason;
  }
}

/** The failure that an error stands for; throws every error that is not expected. */
export const failureOf = (error: unknown): ProvisioningFailure => {
  if (error instanceof ProvisioningBlocked)
    return { state: 'failed', reason: error.reason, message: error.message };
  if (error instanceof QuotaExceeded) {
    return { state: 'failed', reason: 'QuotaExceeded', message: error.message };
  }
  if (error instanceof Unavailable) return { state: 'failed', reason: 'Unavailable', message: error.message };
  throw error;
};

/** A write that conflicts this often gives up. */
const maxConflicts = 6;
const jitterMs = 150;

/** Backs off after each write conflict. Throws ProvisioningBlocked after too many, and once the signal is aborted. */
export const conflictBackoff = ({ deps, signal }: ProvisioningContext, what: string) => {
  let conflicts = 0;
  return async (): Promise<void> => {
    conflicts += 1;
    if (conflicts >= maxConflicts || signal.aborted) {
      throw new ProvisioningBlocked(
        'Unavailable',
        `${what} is being changed by others at the same time. It is retried.`,
      );
    }
    await deps.wait(deps.random() * jitterMs * conflicts);
  };
};
