import { failureOf, type ProvisioningDeps, type ProvisioningFailure, type SecretTeam } from './context.ts';
import { applyGrants } from './grant.ts';
import { removeServiceAccount } from './service-account.ts';
import { holdsPayload, isOwnSecret } from './team-secret.ts';

export type DismantleResult = { readonly state: 'gone' } | ProvisioningFailure;

/**
 * Undoes `provision`: removes our bindings, then the secret when that was asked for or when it holds nothing, then
 * the service account. What does not belong to the team stays. Safe to repeat.
 */
export const dismantleWith =
  (deps: ProvisioningDeps) =>
  async (
    team: SecretTeam,
    { deleteSecret }: { readonly deleteSecret: boolean },
    signal: AbortSignal,
  ): Promise<DismantleResult> => {
    const context = { deps, team, signal };
    const { secretManager } = deps;
    try {
      const secret = await secretManager.secret(team.names.secret.id, signal);
      if (secret !== undefined && isOwnSecret(secret, team)) {
        // Deleting a secret deletes its policy.
        if (!deleteSecret) await applyGrants(context, new Map());
        // After the bindings: no member can add a version any more.
        const isKept =
          !deleteSecret && holdsPayload((await secretManager.versions(team.names.secret.id, signal)) ?? []);
        if (!isKept) await secretManager.deleteSecret(team.names.secret.id, signal);
      }
      await removeServiceAccount(context);
      return { state: 'gone' };
    } catch (error) {
      return failureOf(error);
    }
  };
