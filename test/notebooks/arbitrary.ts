import fc from 'fast-check';
import type { NotebookImage, NotebookSpec } from '../../src/model/notebook.ts';
import type { ProfileEnvironment } from '../../src/notebooks/profiles.ts';
import type { Platform } from '../../src/notebooks/values.ts';
import { aMoment, aNaming, named } from '../support/records.ts';
import { aPlatform, entraValues, helmMerge } from './platform.ts';

const digest = fc.stringMatching(/^[0-9a-f]{64}$/).map((hex) => `sha256:${hex}`);
const reference = fc
  .stringMatching(/^[a-z0-9]{1,8}(\/[a-z0-9]{1,8})?:[A-Za-z0-9_][A-Za-z0-9_.-]{0,20}$/)
  .map((path) => `ghcr.io/navikt/${path}`);

/** Guarantee and limit within the bounds, in whatever form a team may write them. */
const cpu = fc
  .tuple(fc.integer({ min: 100, max: 16_000 }), fc.integer({ min: 100, max: 16_000 }))
  .map(([a, b]) => ({ guarantee: Math.min(a, b) / 1000, limit: Math.max(a, b) / 1000 }));
const printed = (mebi: number, form: 'Mi' | 'Gi') => (form === 'Mi' ? `${mebi}Mi` : `${mebi / 1024}Gi`);
const form = fc.constantFrom('Mi' as const, 'Gi' as const);
const memory = fc
  .tuple(fc.integer({ min: 256, max: 131_072 }), fc.integer({ min: 256, max: 131_072 }), form, form)
  .map(([a, b, low, high]) => ({
    guarantee: printed(Math.min(a, b), low),
    limit: printed(Math.max(a, b), high),
  }));

/** Every configuration that a team can have. */
export const anySpec: fc.Arbitrary<NotebookSpec> = fc.record({
  resources: fc.record({ cpu, memory }),
  image: fc.option(reference),
  standardEnvironments: fc.boolean(),
  culling: fc
    .tuple(fc.integer({ min: 600, max: 604_800 }), fc.nat(1_987_200), fc.boolean())
    .map(([timeoutSeconds, more, keepBusyKernels]) => ({
      timeoutSeconds,
      maxAgeSeconds: timeoutSeconds + more,
      keepBusyKernels,
    })),
  allowlist: fc.record({ enabled: fc.boolean(), hosts: fc.array(fc.domain(), { maxLength: 5 }) }),
  storage: fc.record({ home: fc.integer({ min: 1024, max: 1_048_576 }).map((mebi) => `${mebi}Mi`) }),
  pip: fc.record({ userInstallByDefault: fc.boolean() }),
});

export const anyImage: fc.Arbitrary<NotebookImage> = fc.record({
  reference,
  digest,
  resolvedAt: fc.constant(aMoment),
  newerDigest: fc.option(digest),
});

export const anyEnvironments: fc.Arbitrary<readonly ProfileEnvironment[]> = fc.uniqueArray(
  fc.record({
    python: fc.integer({ min: 8, max: 20 }).map((minor) => `3.${minor}`),
    image: reference,
    digest,
    drivers: fc.array(fc.string({ maxLength: 12 }), { maxLength: 4 }),
    default: fc.boolean(),
  }),
  { selector: ({ python }) => python, maxLength: 5 },
);

export const anyTeam = fc
  .tuple(
    fc.stringMatching(/^[a-z][a-z0-9]{0,9}(-[a-z0-9]{1,6}){0,2}$/),
    fc.stringMatching(/^[0-9a-f]{4}$/),
    fc.constantFrom(
      'https://{slug}.jupyter.knada.io',
      'https://{id}.hub.example',
      'http://localhost:8082/{namespace}/',
    ),
  )
  .filter(([slug]) => slug.length >= 2)
  .map(([slug, hex, hubUrlTemplate]) =>
    named({ slug, id: `${slug}-${hex}` }, { ...aNaming, hubUrlTemplate }),
  );

const string = fc.stringMatching(/^[a-z][a-z-]{0,8}$/);

/** What an operator may write in HUB_VALUES_FILE: additions, other entrances, and attempts at what is ours. */
const anyValues = fc
  .record(
    {
      hub: fc.record(
        {
          nodeSelector: fc.dictionary(string, string, { maxKeys: 2 }),
          annotations: fc.dictionary(string, string, { maxKeys: 2 }),
          extraConfig: fc.constantFrom({ 'nav-theme': 'c.JupyterHub.template_vars = {}' }, {}),
          extraVolumes: fc.constantFrom([{ name: 'theme', configMap: { name: 'theme' } }], []),
          extraVolumeMounts: fc.constantFrom([{ name: 'theme', mountPath: '/theme' }], []),
          existingSecret: string,
          consecutiveFailureLimit: fc.nat(9),
          config: fc.record({
            JupyterHub: fc.record({
              authenticator_class: fc.constantFrom(
                'azuread',
                'generic-oauth',
                'oauthenticator.azuread.AzureAdOAuthenticator',
                'nav.login.NavAuthenticator',
              ),
            }),
            KubeSpawner: fc.record({ delete_pvc: fc.boolean() }),
          }),
        },
        { requiredKeys: [] },
      ),
      proxy: fc.record({ service: fc.record({ type: fc.constantFrom('LoadBalancer', 'NodePort') }) }),
      singleuser: fc.record(
        {
          extraEnv: fc.dictionary(string, string, { maxKeys: 2 }),
          extraLabels: fc.dictionary(string, string, { maxKeys: 2 }),
          storage: fc.record({ dynamic: fc.record({ storageClass: string }) }),
          networkPolicy: fc.constantFrom({ enabled: false }, { egress: [{}] }, { ingress: [{}] }),
          serviceAccountName: string,
          startTimeout: fc.nat(900),
        },
        { requiredKeys: [] },
      ),
      cull: fc.record({ timeout: fc.nat(99), every: fc.nat(99) }),
      scheduling: fc.record({ userScheduler: fc.record({ enabled: fc.boolean() }) }),
      prePuller: fc.record({ hook: fc.record({ enabled: fc.boolean() }) }),
      ingress: fc.constantFrom(
        { enabled: true, ingressClassName: 'nginx', tls: [{ secretName: 'jupyter-tls' }] },
        { enabled: true, hosts: ['another.host'] },
        { enabled: false },
      ),
      httpRoute: fc.constantFrom({ enabled: true, gateway: { name: 'gateway', namespace: 'gateways' } }),
    },
    { requiredKeys: [] },
  )
  // As a YAML file would give it: plain objects, and a mapping merged into a mapping is one.
  .map((values) => JSON.parse(JSON.stringify(helmMerge(entraValues, values))) as Record<string, unknown>);

export const anyPlatform: fc.Arbitrary<Platform> = fc
  .record({
    chartVersion: fc.constantFrom('4.4.0', '4.4.1'),
    keyId: string,
    backstop: fc.record({
      timeoutSeconds: fc.integer({ min: 600, max: 604_800 }),
      maxAgeSeconds: fc.nat(9_999_999),
    }),
    values: anyValues,
  })
  .map((overrides) => aPlatform(overrides));
