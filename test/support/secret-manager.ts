import assert from 'node:assert/strict';
import type { SecretVersion } from '../../src/model/secret.ts';
import type { SecretManager } from '../../src/ports/secret-manager.ts';

/** A Secret Manager in which every team has its secret: versions come, and go on and off. For tests of who may. */
export const aSecretManager = ({ now }: { now(): number }): SecretManager => {
  const secrets = new Map<string, SecretVersion[]>();
  const versionsOf = (id: string): SecretVersion[] => {
    const known = secrets.get(id) ?? [];
    secrets.set(id, known);
    return known;
  };
  const unasked = (): never => assert.fail('no route has business with this');
  return {
    secret: unasked,
    createSecret: unasked,
    annotate: unasked,
    deleteSecret: unasked,
    policy: unasked,
    setPolicy: unasked,
    versions: async (id) => versionsOf(id).toReversed(),
    async addVersion(id) {
      const versions = versionsOf(id);
      const createdAt = new Date(now()).toISOString();
      const added: SecretVersion = {
        version: String(versions.length + 1),
        state: 'enabled',
        createdAt,
      };
      versions.push(added);
      return added;
    },
    async setEnabled(id, version, enabled) {
      const versions = versionsOf(id);
      const index = versions.findIndex((one) => one.version === version);
      const found = versions[index];
      if (found === undefined) return undefined;
      const next: SecretVersion = { ...found, state: enabled ? 'enabled' : 'disabled' };
      versions[index] = next;
      return next;
    },
  };
};
