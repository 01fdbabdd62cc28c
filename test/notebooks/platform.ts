import type { Platform, Values } from '../../src/notebooks/values.ts';

/** Platform values that may be used in production: users are identified, and only members are admitted. */
export const entraValues: Values = {
  hub: {
    config: {
      JupyterHub: { authenticator_class: 'azuread' },
      AzureAdOAuthenticator: { username_claim: 'preferred_username', tenant_id: 'nav', client_id: 'knada' },
    },
  },
};

export const aPlatform = (overrides: Partial<Platform> = {}): Platform => ({
  chartVersion: '4.4.0',
  helmRepository: { namespace: 'flux-system', name: 'jupyterhub' },
  keyId: '2026-11',
  values: entraValues,
  backstop: { timeoutSeconds: 604_800, maxAgeSeconds: 2_592_000 },
  ...overrides,
});

const isObject = (value: unknown): value is Values =>
  typeof value === 'object' && value !== null && !Array.isArray(value);

/** Merges values as Helm does. Independent of the product’s own, so a fault there is found here. */
export const helmMerge = (under: unknown, over: unknown): unknown => {
  if (!isObject(under) || !isObject(over)) return over;
  const keys = [...new Set([...Object.keys(under), ...Object.keys(over)])];
  return Object.fromEntries(
    keys.map((key) => [key, key in over ? helmMerge(under[key], over[key]) : under[key]]),
  );
};

/** What the chart’s own values.yaml says of the values that the tests look at. */
const chartDefaults: Values = {
  singleuser: {
    image: { name: 'quay.io/jupyterhub/k8s-singleuser-sample', tag: '4.4.0' },
    memory: { guarantee: '1G' },
    cmd: 'jupyterhub-singleuser',
    extraLabels: { 'hub.jupyter.org/network-access-hub': 'true' },
    storage: {
      capacity: '10Gi',
      homeMountPath: '/home/jovyan',
      dynamic: {
        pvcNameTemplate: 'claim-{user_server}',
        volumeNameTemplate: 'volume-{user_server}',
        storageAccessModes: ['ReadWriteOnce'],
      },
    },
  },
};

export const withChartDefaults = (values: Values): unknown => helmMerge(chartDefaults, values);
