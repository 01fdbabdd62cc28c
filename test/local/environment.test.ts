import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { adminGroup, environmentOf } from '../../local/environment.ts';
import { ConfigError, loadConfig } from '../../src/config.ts';

const environment = (given: Record<string, string> = {}, kubeconfig = false) =>
  environmentOf({
    port: 8080,
    storeFile: '/somewhere/store.sqlite',
    hubMasterKeys: `local:${'0'.repeat(64)}`,
    issuer: 'http://localhost:8084',
    kubeconfig,
    given,
  });

describe('the environment of a sandbox', () => {
  it('is a valid configuration', () => {
    const config = loadConfig(environment());
    assert.deepEqual(config.store, { kind: 'sqlite', file: '/somewhere/store.sqlite' });
    assert.deepEqual(config.cluster, { kind: 'url', url: 'http://127.0.0.1:8081' });
    assert.equal(config.rateLimitPerMinute, 0);
    assert.deepEqual(config.googleEndpoints, {
      'secretmanager.googleapis.com': 'http://127.0.0.1:8086',
      'iam.googleapis.com': 'http://127.0.0.1:8086',
    });
    assert.deepEqual(config.auth.platformAdminGroups, [adminGroup]);
    assert.partialDeepStrictEqual(config.auth.issuers, [
      {
        issuer: 'http://localhost:8084',
        jwksUri: 'http://localhost:8084/jwks',
        audience: 'knada-notebooks',
      },
    ]);
    assert.equal(config.standardImages.length, 1);
    assert.deepEqual(config.egress.dnsServers, ['127.0.0.1:8087']);
  });

  it('allows hubs without an identity provider, which is refused anywhere else', () => {
    const { ALLOW_INSECURE_HUB_AUTH: _allowed, ...production } = environment();
    assert.throws(() => loadConfig(production), ConfigError);
  });

  it('accepts tunable variables from its caller, but none that point outside the sandbox', () => {
    const origin = 'http://localhost:5173';
    const given = { ROLLOUT_PER_TICK: '2', CORS_ORIGINS: origin, STORE: 'firestore', CLUSTER: 'kubeconfig' };
    const config = loadConfig(environment(given));
    assert.equal(config.rolloutPerTick, 2);
    assert.deepEqual(config.corsOrigins, ['http://localhost:8088', origin], 'beside the page of the sandbox');
    assert.equal(config.store.kind, 'sqlite');
    assert.equal(config.cluster.kind, 'url');
  });

  it('uses kubectl’s current context on request', () => {
    const real = loadConfig(environment({}, true));
    assert.deepEqual(real.cluster, { kind: 'kubeconfig' });
    assert.deepEqual(real.egress.dnsServers, [], 'whose notebooks ask a real DNS');
  });
});
