import type { SecretManager } from '../ports/secret-manager.ts';
import type { ServiceAccounts } from '../ports/service-accounts.ts';
import type { ProvisioningDeps, SecretTeam } from './context.ts';
import { dismantleWith } from './dismantle.ts';
import { type ProvisionResult, provisionWith } from './provision.ts';

/**
 * Google’s side of a team. `assertWanted` is called before every call that grants access or creates something; what it
 * throws ends the provisioning.
 */
export const provisioningWith = (deps: ProvisioningDeps) => ({
  provision: (
    team: SecretTeam,
    signal: AbortSignal,
    assertWanted: () => Promise<void>,
  ): Promise<ProvisionResult> =>
    provisionWith({ ...deps, ...guardedPorts(deps, assertWanted) })(team, signal),
  dismantle: dismantleWith(deps),
});

interface GooglePorts {
  readonly secretManager: SecretManager;
  readonly serviceAccounts: ServiceAccounts;
}

/** The same ports, with `check` before every call that grants access or creates something: what it throws prevents it. */
const guardedPorts = (
  { secretManager, serviceAccounts }: GooglePorts,
  check: () => Promise<void>,
): GooglePorts => {
  const guarded =
    <Arguments extends readonly unknown[], Result>(call: (...given: Arguments) => Promise<Result>) =>
    async (...given: Arguments): Promise<Result> => {
      await check();
      return call(...given);
    };
  return {
    secretManager: {
      ...secretManager,
      createSecret: guarded(secretManager.createSecret),
      annotate: guarded(secretManager.annotate),
      setPolicy: guarded(secretManager.setPolicy),
    },
    serviceAccounts: {
      ...serviceAccounts,
      createAccount: guarded(serviceAccounts.createAccount),
      setPolicy: guarded(serviceAccounts.setPolicy),
    },
  };
};
