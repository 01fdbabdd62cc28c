import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { describe, it } from 'node:test';
import { Ajv, type ValidateFunction } from 'ajv';
import fc from 'fast-check';
import { parse } from 'yaml';
import type { TeamRecord } from '../../src/model/record.ts';
import { helmRelease, platformHash, releaseSpec } from '../../src/notebooks/desired.ts';
import { profilesFolder } from '../../src/notebooks/hub-config.ts';
import { type Platform, type Values, valuesOf } from '../../src/notebooks/values.ts';
import { metaOf } from '../../src/teams/desired.ts';
import { aNotebook, anOrderedRecord, aRecord, named } from '../support/records.ts';
import { sharedFile, withoutShared } from '../support/shared.ts';
import { anyImage, anyPlatform, anySpec, anyTeam } from './arbitrary.ts';
import { aPlatform, entraValues, helmMerge } from './platform.ts';

const team = named({ slug: 'team-a', id: 'team-a-3f9c' });
const isObject = (value: unknown): value is Values =>
  typeof value === 'object' && value !== null && !Array.isArray(value);
const at = (value: unknown, path: string): unknown =>
  path.split('.').reduce<unknown>((node, key) => (isObject(node) ? node[key] : undefined), value);
const withValues = (values: Values): Platform =>
  aPlatform({ values: helmMerge(entraValues, values) as Values });
const rendered = (values: Values = {}) => valuesOf(team, withValues(values));

const chartSchema = sharedFile('data/jupyterhub-4.4.0.values.schema.json');
const releaseCrd = sharedFile('data/crds/helmreleases.helm.toolkit.fluxcd.io.yaml');

/** A schema changed in every object of it. */
const everywhere = (schema: unknown, change: (node: Values) => Values): unknown => {
  if (Array.isArray(schema)) return schema.map((entry) => everywhere(entry, change));
  if (!isObject(schema)) return schema;
  return change(
    Object.fromEntries(Object.entries(schema).map(([key, inner]) => [key, everywhere(inner, change)])),
  );
};

/**
 * The chart’s schema without `required`: what it requires stands in the chart’s own values, which Helm puts under
 * these and which only a null could take away.
 */
const chartValidator = (): ValidateFunction =>
  new Ajv({ strict: false, allErrors: true }).compile(
    everywhere(JSON.parse(readFileSync(chartSchema, 'utf8')), ({ required, ...node }) =>
      Array.isArray(required) ? node : { ...node, ...(required === undefined ? {} : { required }) },
    ) as object,
  );

/** The CRD’s schema, strict as a server that refuses unknown fields. */
const releaseValidator = (): ValidateFunction => {
  const crd: unknown = parse(readFileSync(releaseCrd, 'utf8'));
  const versions = at(crd, 'spec.versions');
  const v2 = Array.isArray(versions) ? versions.find((version) => at(version, 'name') === 'v2') : undefined;
  const schema = everywhere(at(v2, 'schema.openAPIV3Schema'), (node) =>
    isObject(node.properties) &&
    node['x-kubernetes-preserve-unknown-fields'] !== true &&
    node.type === 'object'
      ? { additionalProperties: false, ...node }
      : node,
  );
  return new Ajv({ strict: false, allErrors: true, validateFormats: false }).compile({
    ...(isObject(schema) ? schema : {}),
    properties: {
      ...(isObject(schema) && isObject(schema.properties) ? schema.properties : {}),
      metadata: { type: 'object' },
    },
  });
};

const hasNull = (value: unknown): boolean =>
  value === null ||
  (Array.isArray(value) ? value.some(hasNull) : isObject(value) && Object.values(value).some(hasNull));

describe('the chart values of a hub', () => {
  it('are constant except for the team’s names', () => {
    const other = named({ slug: 'b-team', id: 'b-team-0000' });
    const renamed = JSON.parse(
      JSON.stringify(valuesOf(other, aPlatform()))
        .replaceAll(other.id, team.id)
        .replaceAll(other.slug, team.slug),
    );
    assert.deepEqual(renamed, valuesOf(team, aPlatform()));
  });

  const promises: readonly (readonly [string, unknown])[] = [
    ['hub.existingSecret', 'notebook-hub'],
    ['hub.consecutiveFailureLimit', 0],
    ['hub.services', { 'knada-notebooks': {} }],
    [
      'hub.loadRoles',
      {
        'knada-notebooks': {
          services: ['knada-notebooks'],
          scopes: [
            'read:hub',
            'list:users',
            'admin:users',
            'servers',
            'delete:servers',
            'read:servers',
            'read:users:activity',
            'users:activity',
            'tokens',
          ],
        },
      },
    ],
    ['hub.annotations', { 'knada.io/keys': '2026-11' }],
    ['hub.config.KubeSpawner.delete_pvc', false],
    ['hub.config.AzureAdOAuthenticator.allow_existing_users', true],
    [
      'hub.config.AzureAdOAuthenticator.oauth_callback_url',
      'https://team-a.jupyter.knada.io/hub/oauth_callback',
    ],
    [
      'hub.extraVolumes',
      [{ name: 'notebook-profiles', configMap: { name: 'notebook-profiles', optional: true } }],
    ],
    ['hub.extraVolumeMounts', [{ name: 'notebook-profiles', mountPath: profilesFolder, readOnly: true }]],
    ['singleuser.serviceAccountName', 'team-a-3f9c'],
    ['singleuser.extraEnv', { KNADA_TEAM_SECRET: 'projects/knada-gcp/secrets/team-a-3f9c' }],
    ['singleuser.extraLabels', { 'knada.io/team-id': 'team-a-3f9c', 'knada.io/team': 'team-a' }],
    ['singleuser.cloudMetadata', { blockWithIptables: false }],
    [
      'singleuser.networkPolicy',
      {
        enabled: true,
        egress: [],
        egressAllowRules: {
          cloudMetadataServer: false,
          dnsPortsCloudMetadataServer: false,
          dnsPortsKubeSystemNamespace: false,
          dnsPortsPrivateIPs: false,
          nonPrivateIPs: false,
          privateIPs: false,
        },
      },
    ],
    ['proxy.service.type', 'ClusterIP'],
    ['scheduling.userScheduler.enabled', false],
    ['prePuller', { hook: { enabled: false }, continuous: { enabled: false } }],
    [
      'cull',
      {
        enabled: true,
        users: false,
        removeNamedServers: false,
        every: 600,
        timeout: 604_800,
        maxAge: 2_592_000,
      },
    ],
    ['ingress', undefined],
    ['httpRoute', undefined],
  ];
  for (const [path, expected] of promises) {
    it(`have the promised value at ${path}`, () => assert.deepEqual(at(rendered(), path), expected));
  }

  it('leave the ingress half of the notebooks’ policy to the chart, which admits hub and proxy', () => {
    assert.equal(at(rendered(), 'singleuser.networkPolicy.ingress'), undefined);
  });

  it('are merged over the platform’s, which keep everything else', () => {
    const values = rendered({
      hub: {
        existingSecret: 'theirs',
        nodeSelector: { pool: 'hubs' },
        annotations: { theirs: 'kept' },
        extraConfig: { theme: 'c.JupyterHub.logo_file = "/logo.png"' },
        extraVolumes: [{ name: 'theme' }, { name: 'notebook-profiles', emptyDir: {} }],
        config: { KubeSpawner: { delete_pvc: true, k8s_api_request_timeout: 9 } },
      },
      singleuser: { extraEnv: { KNADA_TEAM_SECRET: 'theirs', HTTP_PROXY: 'kept' }, startTimeout: 600 },
      proxy: { service: { type: 'LoadBalancer' } },
      cull: { timeout: 60, concurrency: 5 },
    });
    assert.equal(at(values, 'hub.existingSecret'), 'notebook-hub');
    assert.deepEqual(at(values, 'hub.nodeSelector'), { pool: 'hubs' });
    assert.deepEqual(at(values, 'hub.annotations'), { theirs: 'kept', 'knada.io/keys': '2026-11' });
    assert.deepEqual(Object.keys(at(values, 'hub.extraConfig') ?? {}), ['theme', 'knada-notebooks']);
    assert.deepEqual(at(values, 'hub.extraVolumes'), [
      { name: 'theme' },
      { name: 'notebook-profiles', configMap: { name: 'notebook-profiles', optional: true } },
    ]);
    assert.deepEqual(at(values, 'hub.config.KubeSpawner'), { delete_pvc: false, k8s_api_request_timeout: 9 });
    assert.deepEqual(at(values, 'singleuser.extraEnv'), {
      KNADA_TEAM_SECRET: 'projects/knada-gcp/secrets/team-a-3f9c',
      HTTP_PROXY: 'kept',
    });
    assert.equal(at(values, 'singleuser.startTimeout'), 600);
    assert.equal(at(values, 'proxy.service.type'), 'ClusterIP');
    assert.equal(at(values, 'cull.timeout'), 604_800);
    assert.equal(at(values, 'cull.concurrency'), 5);
  });

  it('use the platform’s ingress, at the team’s own host', () => {
    const ingress = rendered({
      ingress: { enabled: true, hosts: ['another.host'], tls: [{ secretName: 'jupyter-tls' }] },
    });
    assert.deepEqual(at(ingress, 'ingress'), {
      enabled: true,
      hosts: ['team-a.jupyter.knada.io'],
      tls: [{ secretName: 'jupyter-tls', hosts: ['team-a.jupyter.knada.io'] }],
    });
    const route = rendered({ httpRoute: { enabled: true, gateway: { name: 'gateway' } } });
    assert.deepEqual(at(route, 'httpRoute'), {
      enabled: true,
      gateway: { name: 'gateway' },
      hostnames: ['team-a.jupyter.knada.io'],
    });
    assert.equal(at(rendered({ ingress: { enabled: false } }), 'ingress.hosts'), undefined);
  });

  const sections: readonly (readonly [string | undefined, string, boolean])[] = [
    ['azuread', 'AzureAdOAuthenticator', true],
    ['AzureAD', 'AzureAdOAuthenticator', true],
    ['local-azuread', 'LocalAzureAdOAuthenticator', true],
    ['generic-oauth', 'GenericOAuthenticator', true],
    ['mediawiki', 'MWOAuthenticator', true],
    ['oauthenticator.google.GoogleOAuthenticator', 'GoogleOAuthenticator', true],
    ['nav.login.NavAuthenticator', 'NavAuthenticator', false],
    ['dummy', 'DummyAuthenticator', false],
    [undefined, 'DummyAuthenticator', false],
  ];
  for (const [name, section, isOAuth] of sections) {
    it(`admit existing users by ${section} for ${name ?? 'no authenticator'}`, () => {
      const JupyterHub = name === undefined ? {} : { authenticator_class: name };
      const values = valuesOf(team, aPlatform({ values: { hub: { config: { JupyterHub } } } }));
      const { [section]: settings, ...others } = at(values, 'hub.config') as Record<string, Values>;
      assert.deepEqual(settings, {
        allow_existing_users: true,
        ...(isOAuth ? { oauth_callback_url: 'https://team-a.jupyter.knada.io/hub/oauth_callback' } : {}),
      });
      assert.deepEqual(Object.keys(others).sort(), ['JupyterHub', 'KubeSpawner']);
    });
  }

  it('match the chart’s own schema for every team and platform', { skip: withoutShared(chartSchema) }, () => {
    const isValid = chartValidator();
    assert.equal(isValid({ hub: { unheardOf: 1 } }), false);
    assert.equal(isValid({ cull: { timeout: 1.5 } }), false);
    const example = parse(
      readFileSync(new URL('../../deploy/hub-values.example.yaml', import.meta.url), 'utf8'),
    );
    assert.ok(isValid(valuesOf(team, aPlatform({ values: example }))), JSON.stringify(isValid.errors));
    fc.assert(
      fc.property(anyTeam, anyPlatform, (someTeam, platform) => {
        const values = valuesOf(someTeam, platform);
        assert.ok(isValid(values), JSON.stringify(isValid.errors));
        assert.equal(hasNull(values), false);
      }),
    );
  });

  it('keep every promise for every team and platform', () => {
    fc.assert(
      fc.property(anyTeam, anyPlatform, (someTeam, platform) => {
        const values = valuesOf(someTeam, platform);
        assert.equal(at(values, 'hub.existingSecret'), 'notebook-hub');
        assert.equal(at(values, 'hub.consecutiveFailureLimit'), 0);
        assert.equal(at(values, 'hub.config.KubeSpawner.delete_pvc'), false);
        assert.equal(at(values, 'singleuser.serviceAccountName'), someTeam.id);
        assert.equal(at(values, 'singleuser.networkPolicy.enabled'), true);
        assert.deepEqual(at(values, 'singleuser.networkPolicy.egress'), []);
        assert.equal(at(values, 'proxy.service.type'), 'ClusterIP');
        assert.equal(at(values, 'cull.timeout'), platform.backstop.timeoutSeconds);
        // Whatever the platform says and we do not is still there.
        const merged = helmMerge(platform.values, values);
        assert.deepEqual(merged, values);
      }),
    );
  });
});

describe('the HelmRelease of a hub', () => {
  const release = releaseSpec(team, aPlatform());
  const record = anOrderedRecord({ release: { platformHash: platformHash(aPlatform()), spec: release } });

  it('installs the pinned chart under a name that is unique in the cluster', () => {
    const { values, ...rest } = release;
    assert.deepEqual(values, valuesOf(team, aPlatform()));
    assert.deepEqual(rest, {
      interval: '30m',
      timeout: '10m',
      releaseName: 'jupyterhub-team-a-3f9c',
      chart: {
        spec: {
          chart: 'jupyterhub',
          version: '4.4.0',
          sourceRef: { kind: 'HelmRepository', namespace: 'flux-system', name: 'jupyterhub' },
        },
      },
      install: { remediation: { retries: 2 } },
      upgrade: { remediation: { retries: 2, strategy: 'rollback' } },
      driftDetection: { mode: 'enabled' },
    });
  });

  it('matches the schema of its CRD for every team and platform', { skip: withoutShared(releaseCrd) }, () => {
    const isValid = releaseValidator();
    const manifest = helmRelease(record, metaOf(record));
    assert.ok(isValid(manifest), JSON.stringify(isValid.errors));
    assert.equal(isValid({ ...manifest, spec: { ...release, unheardOf: 1 } }), false);
    assert.equal(isValid({ ...manifest, spec: { ...release, interval: 'soon' } }), false);
    fc.assert(
      fc.property(anyTeam, anyPlatform, (someTeam, platform) => {
        const spec = releaseSpec(someTeam, platform);
        const someRecord = anOrderedRecord({ ...someTeam, release: { platformHash: '', spec } });
        assert.ok(isValid(helmRelease(someRecord, metaOf(someRecord))), JSON.stringify(isValid.errors));
        assert.ok(String(spec.releaseName).length <= 53);
      }),
    );
  });

  it('has the same spec for any order', () => {
    fc.assert(
      fc.property(anySpec, fc.option(anyImage), fc.nat(), (spec, image, generation) => {
        const ordered: TeamRecord = { ...record, generation, notebook: aNotebook({ spec, image }) };
        assert.deepEqual(helmRelease(ordered, metaOf(ordered)).spec, release);
      }),
    );
  });

  it('requests a retry from Flux by annotations with one value, and forces it only if requested', () => {
    const retried = (force: boolean) => {
      const notebook = aNotebook({ retry: { at: '2026-11-23T10:00:00.000Z', force } });
      return helmRelease({ ...record, notebook }, metaOf(record)).metadata.annotations;
    };
    const asked = {
      'knada.io/revision': '2',
      'reconcile.fluxcd.io/requestedAt': '2026-11-23T10:00:00.000Z',
      'reconcile.fluxcd.io/resetAt': '2026-11-23T10:00:00.000Z',
    };
    assert.deepEqual(helmRelease(record, metaOf(record)).metadata.annotations, { 'knada.io/revision': '2' });
    assert.deepEqual(retried(false), asked);
    assert.deepEqual(retried(true), { ...asked, 'reconcile.fluxcd.io/forceAt': '2026-11-23T10:00:00.000Z' });
  });

  it('does not exist before the first order', () => {
    const bare = aRecord();
    assert.throws(() => helmRelease(bare, metaOf(bare)), TypeError);
  });
});

describe('the hash of the platform', () => {
  const before = platformHash(aPlatform());

  const changes: readonly (readonly [string, Partial<Platform>])[] = [
    ['the chart’s version', { chartVersion: '4.4.1' }],
    ['the repository', { helmRepository: { namespace: 'flux-system', name: 'other' } }],
    ['the newest master key', { keyId: '2026-12' }],
    ['the backstop', { backstop: { timeoutSeconds: 600, maxAgeSeconds: 2_592_000 } }],
    ['a value', { values: helmMerge(entraValues, { singleuser: { startTimeout: 601 } }) as Values }],
  ];
  for (const [what, overrides] of changes) {
    it(`changes with ${what}`, () => assert.notEqual(platformHash(aPlatform(overrides)), before));
  }

  it('is unchanged when a value repeats ours, or keys are in another order', () => {
    const same = helmMerge(entraValues, { proxy: { service: { type: 'NodePort' } } }) as Values;
    const reversed = Object.fromEntries(Object.entries(same).reverse());
    assert.equal(platformHash(aPlatform({ values: same })), before);
    assert.equal(platformHash(aPlatform({ values: reversed })), before);
  });

  it('differs between two platforms if and only if what they render differs', () => {
    fc.assert(
      fc.property(anyPlatform, anyPlatform, anyTeam, (one, other, someTeam) => {
        const isSame = platformHash(one) === platformHash(other);
        try {
          assert.deepEqual(releaseSpec(someTeam, one), releaseSpec(someTeam, other));
          assert.equal(isSame, true);
        } catch {
          assert.equal(isSame, false);
        }
      }),
    );
  });
});
