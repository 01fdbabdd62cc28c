import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { registerAuth } from '../../src/http/auth.ts';
import { registerHealth } from '../../src/http/health.ts';
import { Unavailable } from '../../src/ports/unavailable.ts';
import { shell } from './shell.ts';

const healthOf = async (ping: () => Promise<void>, revision?: string) => {
  const app = await shell();
  registerAuth(app, { issuers: [], adminGroups: [], auditorGroups: [], teamCreators: [] });
  registerHealth(app, {
    ping,
    name: 'knada-notebooks',
    version: '1.2.3',
    ...(revision !== undefined && { revision }),
    pingTimeoutMs: 20,
  });
  return (url: string) => app.inject(url);
};

describe('health', () => {
  it('/readyz is ok when the store answers, without a token', async () => {
    const answer = await (await healthOf(async () => {}))('/readyz');
    assert.deepEqual([answer.statusCode, answer.json()], [200, { status: 'ok' }]);
  });

  for (const [what, ping] of [
    ['does not answer in time', () => new Promise<void>(() => {})],
    ['is unavailable', () => Promise.reject(new Unavailable('firestore', 'no route to 10.0.0.7'))],
    ['fails unexpectedly', () => Promise.reject(new Error('secret inside'))],
  ] as const) {
    it(`is alive and not ready when the store ${what}`, async () => {
      const ask = await healthOf(ping);
      const answer = await ask('/readyz');
      assert.deepEqual([answer.statusCode, answer.json().code], [503, 'upstream_unavailable']);
      assert.equal(answer.headers['retry-after'], '2');
      assert.doesNotMatch(answer.body, /10\.0\.0\.7|secret/);
      assert.equal((await ask('/livez')).statusCode, 200);
    });
  }

  it('/version returns the deployed version', async () => {
    const name = 'knada-notebooks';
    const version = '1.2.3';
    const revision = 'knada-notebooks-00042-abc';
    assert.deepEqual((await (await healthOf(async () => {}, revision))('/version')).json(), {
      name,
      version,
      revision,
    });
    assert.deepEqual((await (await healthOf(async () => {}))('/version')).json(), { name, version });
  });
});
