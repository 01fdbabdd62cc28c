import { addressOf, type Grants, grantsOn } from './bindings.ts';
import {
  conflictBackoff,
  failureOf,
  type ProvisioningContext,
  type ProvisioningDeps,
  type ProvisioningFailure,
  type SecretTeam,
} from './context.ts';
import { applyGrants, type Withheld } from './grant.ts';
import { bindWorkloadIdentity, ensureServiceAccount } from './service-account.ts';
import { createOwnSecret } from './team-secret.ts';

/** The state of the team’s secret and service account, for the condition SecretReady. */
export type ProvisionResult =
  | { readonly state: 'ready' }
  /** It works, but not for every member yet. */
  | {
      readonly state: 'incomplete';
      readonly reason: 'UnknownMembers' | 'AccountPending';
      readonly message: string;
    }
  | ProvisioningFailure;

const ensureSecret = async (context: ProvisioningContext, wanted: Grants): Promise<Withheld> => {
  const backOff = conflictBackoff(context, `The secret ${context.team.names.secret.id}`);
  for (;;) {
    const withheld = await applyGrants(context, wanted);
    if (withheld !== undefined) return withheld;
    // It did not exist when it was read: either it is new, or it was deleted meanwhile.
    if ((await createOwnSecret(context)) === 'exists') await backOff();
  }
};

const withoutAccess = (addresses: readonly string[]): string => {
  const named = addresses.slice(0, 10).join(', ');
  const more = addresses.length > 10 ? ` and ${addresses.length - 10} more` : '';
  const [have, accounts, whom] =
    addresses.length === 1 ? ['has', 'account', 'it'] : ['have', 'accounts', 'them'];
  return `${named}${more} ${have} no access to the secret: Google does not know the ${accounts}, or the organisation’s policy does not allow ${whom}. Every other member has access.`;
};

const accountPending =
  'The team’s service account is new and not visible everywhere at Google yet. It gets access within minutes.';

/**
 * Ensures the team’s Google service account, its secret, the members’ access to it, and Workload Identity for the
 * notebooks. Safe to repeat and to run concurrently; a second run on the same state writes nothing. Expected failures
 * are in the result; only unexpected errors are thrown.
 */
export const provisionWith =
  (deps: ProvisioningDeps) =>
  async (team: SecretTeam, signal: AbortSignal): Promise<ProvisionResult> => {
    const context = { deps, team, signal };
    try {
      await ensureServiceAccount(context);
      const emails = team.members.map(({ email }) => email);
      const wanted = grantsOn(emails, team.names.googleServiceAccount.email);
      const { refused, isAccountPending } = await ensureSecret(context, wanted);
      const isWorkloadBound = await bindWorkloadIdentity(context);
      const isPending = isAccountPending || !isWorkloadBound;
      if (refused.length > 0) {
        const message = withoutAccess(refused.map(addressOf).toSorted());
        return {
          state: 'incomplete',
          reason: 'UnknownMembers',
          message: isPending ? `${message} ${accountPending}` : message,
        };
      }
      if (isPending) return { state: 'incomplete', reason: 'AccountPending', message: accountPending };
      return { state: 'ready' };
    } catch (error) {
      return failureOf(error);
    }
  };
