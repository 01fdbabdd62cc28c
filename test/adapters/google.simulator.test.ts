import { after, before, describe } from 'node:test';
import { type Google, googleEndpoints, startGoogle } from '@knada/simulators/google/server.ts';
import { openServiceAccounts } from '../../src/adapters/iam.ts';
import { openSecretManager } from '../../src/adapters/secret-manager.ts';
import type { SecretManager } from '../../src/ports/secret-manager.ts';
import type { ServiceAccounts } from '../../src/ports/service-accounts.ts';
import { secretManagerContract } from '../contracts/secret-manager.ts';
import { serviceAccountsContract } from '../contracts/service-accounts.ts';

const project = 'knada-gcp';
const unknown = `nobody-0000@${project}.iam.gserviceaccount.com`;

describe('against the simulated Google', () => {
  let google: Google;
  let secretManager: SecretManager;
  let serviceAccounts: ServiceAccounts;
  let made = 0;
  const newId = () => {
    made += 1;
    return `team-${made}-3f9c`;
  };

  before(async () => {
    google = await startGoogle({ project });
    google.quotas.serviceAccounts = 1_000;
    const endpoints = JSON.parse(googleEndpoints(google.url));
    secretManager = openSecretManager({ project, region: 'europe-north1', endpoints });
    serviceAccounts = openServiceAccounts({ project, endpoints });
  });
  after(() => google.close());

  describe('a secret manager', () =>
    secretManagerContract(() => ({ secretManager, newId, known: 'user:kari.nordmann@nav.no', unknown })));
  describe('service accounts', () =>
    serviceAccountsContract(() => ({ serviceAccounts, project, newId, unknown })));
});
