import type { TeamRecord } from '../model/record.ts';
import type { SecretVersion } from '../model/secret.ts';
import type { SecretMetadata } from '../ports/secret-manager.ts';
import {
  managedBy,
  ProvisioningBlocked,
  type ProvisioningContext,
  type ProvisioningDeps,
  type SecretTeam,
} from './context.ts';

const labelsOf = ({ id, slug }: SecretTeam) => ({
  'managed-by': managedBy,
  'knada-team-id': id,
  'knada-team': slug,
});

/** Whether a secret is this team’s, and so ours to change. */
export const isOwnSecret = ({ labels }: SecretMetadata, { id }: Pick<TeamRecord, 'id'>): boolean =>
  labels['managed-by'] === managedBy && labels['knada-team-id'] === id;

/** The team’s secret; undefined when there is none. Throws ProvisioningBlocked when another secret has its name. */
export const readOwnSecret = async ({
  deps,
  team,
  signal,
}: ProvisioningContext): Promise<SecretMetadata | undefined> => {
  const secret = await deps.secretManager.secret(team.names.secret.id, signal);
  if (secret !== undefined && !isOwnSecret(secret, team)) {
    throw new ProvisioningBlocked(
      'Conflict',
      `The secret ${team.names.secret.id} exists and does not belong to this team. It was not changed.`,
    );
  }
  return secret;
};

export const createOwnSecret = ({ deps, team, signal }: ProvisioningContext): Promise<'created' | 'exists'> =>
  deps.secretManager.createSecret(team.names.secret.id, labelsOf(team), signal);

/** Whether a secret holds something that would be lost with it: Google keeps nothing of a destroyed version. */
export const holdsPayload = (versions: readonly SecretVersion[]): boolean =>
  versions.some(({ state }) => state !== 'destroyed');

/**
 * Whether the team’s secret holds something that would be lost with it. A secret of that name that is not the team’s is
 * never deleted, so it does not count. Throws Unavailable.
 */
export const secretExistsWith =
  ({ secretManager }: Pick<ProvisioningDeps, 'secretManager'>) =>
  async (team: Pick<TeamRecord, 'id' | 'names'>, signal: AbortSignal): Promise<boolean> => {
    const secret = await secretManager.secret(team.names.secret.id, signal);
    if (secret === undefined || !isOwnSecret(secret, team)) return false;
    return holdsPayload((await secretManager.versions(team.names.secret.id, signal)) ?? []);
  };
