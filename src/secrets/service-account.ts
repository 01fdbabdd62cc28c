import { type Grants, nextPolicy, workloadIdentityRole, workloadPrincipal } from './bindings.ts';
import {
  conflictBackoff,
  managedBy,
  ProvisioningBlocked,
  type ProvisioningContext,
  type SecretTeam,
} from './context.ts';

/** Service accounts have no labels, so this part of the description marks ours. */
const markOf = ({ id }: SecretTeam): string => `[${managedBy} ${id}]`;

/** Creates the team’s Google service account. Throws ProvisioningBlocked when another account has its name. */
export const ensureServiceAccount = async ({ deps, team, signal }: ProvisioningContext): Promise<void> => {
  const { serviceAccounts } = deps;
  const exists = async () => {
    const account = await serviceAccounts.account(team.names.googleServiceAccount.id, signal);
    if (account !== undefined && !account.description.includes(markOf(team))) {
      throw new ProvisioningBlocked(
        'Conflict',
        `The service account ${account.email} exists and does not belong to this team. It was not changed.`,
      );
    }
    return account !== undefined;
  };
  if (await exists()) return;
  const description = `Notebooks of team ${team.slug}. ${markOf(team)}`;
  const outcome = await serviceAccounts.createAccount(
    team.names.googleServiceAccount.id,
    { name: team.slug, description },
    signal,
  );
  if (outcome === 'exists' && !(await exists())) {
    throw new ProvisioningBlocked(
      'Unavailable',
      `The service account ${team.names.googleServiceAccount.id} is not visible at Google yet. It is retried.`,
    );
  }
};

/**
 * Lets the team’s Kubernetes service account act as its Google service account. False: Google does not know the
 * latter yet.
 */
export const bindWorkloadIdentity = async (context: ProvisioningContext): Promise<boolean> => {
  const { deps, team, signal } = context;
  const principal = workloadPrincipal(deps.workloadPool, team.names.namespace, team.names.serviceAccount);
  const wanted: Grants = new Map([[principal, new Set([workloadIdentityRole])]]);
  const backOff = conflictBackoff(
    context,
    `The policy of service account ${team.names.googleServiceAccount.id}`,
  );
  for (;;) {
    const policy = await deps.serviceAccounts.policy(team.names.googleServiceAccount.id, signal);
    if (policy === undefined) return false;
    const next = nextPolicy(policy, wanted, new Map());
    if (next === undefined) return true;
    const result = await deps.serviceAccounts.setPolicy(
      team.names.googleServiceAccount.id,
      next.policy,
      signal,
    );
    if (result.outcome === 'written') return true;
    if (result.outcome === 'unknown_member') {
      throw new ProvisioningBlocked(
        'Unavailable',
        `Google refuses the policy of service account ${team.names.googleServiceAccount.id}: ${result.message}`,
      );
    }
    await backOff();
  }
};

/** Deletes the team’s Google service account, and with it its policy; one that is not the team’s stays. */
export const removeServiceAccount = async ({ deps, team, signal }: ProvisioningContext): Promise<void> => {
  const account = await deps.serviceAccounts.account(team.names.googleServiceAccount.id, signal);
  if (account?.description.includes(markOf(team)))
    await deps.serviceAccounts.deleteAccount(team.names.googleServiceAccount.id, signal);
};
