// In-memory stand-ins for what a tick calls besides store and cluster. They answer at once, so only our part is measured.

import type { DnsResolver } from '../src/ports/dns.ts';
import type { Hubs } from '../src/ports/hubs.ts';
import type { IamPolicy } from '../src/ports/iam.ts';
import type { SecretManager, SecretMetadata } from '../src/ports/secret-manager.ts';
import type { ServiceAccounts } from '../src/ports/service-accounts.ts';

const unasked = (): never => {
  throw new Error('A bench has no business with this');
};

/** The hubs of all teams, without running servers. */
export const standInHubs = (): Hubs => {
  const teams = new Map<string, Set<string>>();
  const usersOf = (slug: string): Set<string> => {
    const users = teams.get(slug) ?? new Set<string>();
    teams.set(slug, users);
    return users;
  };
  return {
    version: unasked,
    user: unasked,
    start: unasked,
    stop: unasked,
    progress: unasked,
    reportActivity: unasked,
    isBusy: unasked,
    users: async ({ slug }) => [...usersOf(slug)].map((name) => ({ name, server: null })),
    async addUser({ slug }, name) {
      usersOf(slug).add(name);
      return 'added';
    },
    async removeUser({ slug }, name) {
      return usersOf(slug).delete(name) ? 'removed' : 'absent';
    },
  };
};

/** DNS in which every name has this many addresses, and Google’s names the one that private access needs. */
export const standInNames = (addressesEach = 2): DnsResolver & { readonly renumber: () => void } => {
  const known = new Map<string, number>();
  let third = 0;
  return {
    /** Gives every name new addresses. */
    renumber() {
      third = (third + 1) % 128;
    },
    async resolve(name) {
      const n = known.get(name) ?? known.size;
      known.set(name, n);
      const addresses = name.endsWith('.googleapis.com')
        ? ['199.36.153.8']
        : Array.from({ length: addressesEach }, (_, index) => addressOf(n * addressesEach + index, third));
      return { answer: 'addresses', addresses: addresses.map((address) => ({ address, ttlSeconds: 300 })) };
    },
  };
};

/** The n-th public address of a plan. There are 128 disjoint plans of about 32,000 addresses each. */
export const addressOf = (n: number, plan = 0): string =>
  `151.${plan + 64}.${Math.floor(n / 250) + 1}.${(n % 250) + 1}`;

/** A Google Cloud project with room for every team. */
export const standInGoogle = (): {
  readonly secretManager: SecretManager;
  readonly serviceAccounts: ServiceAccounts;
} => {
  let writes = 0;
  const etag = () => `e${++writes}`;
  const policies = () => {
    const stored = new Map<string, IamPolicy>();
    return {
      policy: async (id: string): Promise<IamPolicy> => stored.get(id) ?? { bindings: [], etag: 'e0' },
      async setPolicy(id: string, policy: IamPolicy): Promise<{ readonly outcome: 'written' }> {
        stored.set(id, { ...policy, etag: etag() });
        return { outcome: 'written' };
      },
    };
  };
  const secrets = new Map<string, SecretMetadata>();
  const accounts = new Map<string, { readonly email: string; readonly description: string }>();
  return {
    secretManager: {
      ...policies(),
      secret: async (id) => secrets.get(id),
      async createSecret(id, labels) {
        secrets.set(id, { labels, annotations: {}, etag: etag() });
        return 'created';
      },
      async annotate(id, { annotations }) {
        const secret = secrets.get(id);
        if (secret === undefined) return 'conflict';
        const next = { ...secret, annotations, etag: etag() };
        secrets.set(id, next);
        return next;
      },
      deleteSecret: unasked,
      versions: unasked,
      addVersion: unasked,
      setEnabled: unasked,
    },
    serviceAccounts: {
      ...policies(),
      account: async (id) => accounts.get(id),
      async createAccount(id, { description }) {
        accounts.set(id, { email: `${id}@knada-local.iam.gserviceaccount.com`, description });
        return 'created';
      },
      deleteAccount: unasked,
    },
  };
};
