import { setTimeout as wait } from 'node:timers/promises';
import type { Config } from '../config.ts';
import type { TeamRecord } from '../model/record.ts';
import type { Outside } from '../ports/outside.ts';
import { provisioningWith } from '../secrets/provisioning.ts';
import { secretExistsWith } from '../secrets/team-secret.ts';

const existsDeadlineMs = 5_000;

/** Google’s side of a team: its secret, its service account, and who may use them. */
export interface Secrets {
  readonly google: ReturnType<typeof provisioningWith>;
  readonly exists: (team: TeamRecord) => Promise<boolean>;
}

export const wireSecrets = (config: Config, outside: Outside): Secrets => {
  const { secretManager, serviceAccounts, clock } = outside;
  const { workloadPool } = config;
  const deps = {
    secretManager,
    serviceAccounts,
    clock,
    workloadPool,
    wait,
    random: Math.random,
  };
  const exists = secretExistsWith(deps);
  return {
    google: provisioningWith(deps),
    exists: (team) => exists(team, AbortSignal.timeout(existsDeadlineMs)),
  };
};
