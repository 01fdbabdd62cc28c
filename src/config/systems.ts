import Type from 'typebox';
import { closed } from '../lib/schema.ts';
import type { Variables } from './variables.ts';

/** Origins that replace registries and Python’s release pages, for the sandbox and tests. */
const Origins = Type.Record(Type.String(), Type.String({ pattern: '^https?://[a-zA-Z0-9.-]+(:[0-9]+)?$' }));

/** Simulators of Google’s APIs, on this machine only: they get no credentials of ours. */
const LocalOrigin = Type.Optional(
  Type.String({ pattern: '^http://(127\\.0\\.0\\.1|localhost):[0-9]{1,5}$' }),
);

const GoogleEndpoints = closed({
  'secretmanager.googleapis.com': LocalOrigin,
  'iam.googleapis.com': LocalOrigin,
});

export const storeOf = (env: Variables) => {
  const store = env.text('STORE');
  if (store === 'firestore')
    return { kind: 'firestore', database: env.text('FIRESTORE_DATABASE', '(default)') } as const;
  if (store.startsWith('sqlite:') && store.length > 'sqlite:'.length) {
    return { kind: 'sqlite', file: store.slice('sqlite:'.length) } as const;
  }
  if (store !== '') env.fault('STORE', 'must be firestore or sqlite:<file>');
  return { kind: 'sqlite', file: '' } as const;
};

export const clusterOf = (env: Variables) => {
  const cluster = env.text('CLUSTER');
  const gke = /^gke:(projects\/[^/]+\/locations\/[^/]+\/clusters\/[^/]+)$/.exec(cluster);
  if (gke?.[1] !== undefined) return { kind: 'gke', name: gke[1] } as const;
  if (cluster === 'kubeconfig') return { kind: 'kubeconfig' } as const;
  if (/^https?:\/\/[^/]+$/.test(cluster)) return { kind: 'url', url: cluster } as const;
  if (cluster !== '') {
    env.fault(
      'CLUSTER',
      'must be gke:projects/…/locations/…/clusters/…, kubeconfig, or a URL without a path',
    );
  }
  return { kind: 'kubeconfig' } as const;
};

export const registriesOf = (env: Variables) => ({
  origins: env.json('REGISTRY_ENDPOINTS', Origins, {}) ?? {},
  garProject: env.text('GAR_PROJECT', 'nais-management-233d'),
  ghcrOwner: env.text('GHCR_OWNER', 'navikt'),
});

export const googleEndpointsOf = (env: Variables) => env.json('GOOGLE_ENDPOINTS', GoogleEndpoints, {}) ?? {};
