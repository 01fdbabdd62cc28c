import { after, before, describe } from 'node:test';
import { type Google, googleEndpoints, startGoogle } from '@knada/simulators/google/server.ts';
import { openIdentities } from '../../src/adapters/iam.ts';
import { openVault } from '../../src/adapters/secret-manager.ts';
import type { SecretManager, ServiceAccounts } from '../../src/ports/google.ts';
import { identitiesContract } from '../contracts/identities.ts';
import { vaultContract } from '../contracts/vault.ts';

const project = 'knada-gcp';
const unknown = `nobody-0000@${project}.iam.gserviceaccount.com`;

describe('against the simulated Google', () => {
  let google: Google;
  let vault: SecretManager;
  let identities: ServiceAccounts;
  let made = 0;
  const newId = () => {
    made += 1;
    return `team-${made}-3f9c`;
  };

  before(async () => {
    google = await startGoogle({ project });
    google.quotas.serviceAccounts = 1_000;
    const endpoints = JSON.parse(googleEndpoints(google.url));
    vault = openVault({ project, region: 'europe-north1', endpoints });
    identities = openIdentities({ project, endpoints });
  });
  after(() => google.close());

  describe('a vault', () =>
    vaultContract(() => ({ vault, newId, known: 'user:kari.nordmann@nav.no', unknown })));
  describe('identities', () => identitiesContract(() => ({ identities, project, newId, unknown })));
});
