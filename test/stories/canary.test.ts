import assert from 'node:assert/strict';
import { after, before, describe, it } from 'node:test';
import { kari } from '../support/api.ts';
import { canaryFinder } from '../support/canaries.ts';
import { canariesIn, lookIntoStore } from './canary/evidence.ts';
import { registryFailures } from './canary/failures.ts';
import { healthy } from './canary/operations.ts';
import {
  applied,
  evidence,
  googleToken,
  hubSecrets,
  kept,
  logged,
  masterKeys,
  payload,
  storeWords,
} from './canary/planted.ts';
import { playScene } from './canary/scene.ts';
import { startWorld, type World } from './canary/world.ts';

describe('secrets', { timeout: 400_000 }, () => {
  let world: World;
  let scene: Awaited<ReturnType<typeof playScene>>;
  let find: ReturnType<typeof canaryFinder>;
  const canaries = () => canariesIn({ world, ...scene });

  before(async () => {
    world = await startWorld();
    scene = await playScene(world);
    find = canaryFinder(canaries());
  });
  after(() => world?.close());

  /** The canaries that were found and where, each once. */
  const leaksIn = (all: readonly { readonly where: string; readonly text: string }[]): readonly string[] => [
    ...new Set(all.flatMap(({ where, text }) => [...find(text)].map((name) => `${name}: ${where}`))),
  ];

  it('pass through every operation, with and without each failure', () => {
    const { operations, answers, teams, troubled } = scene;
    assert.ok(operations.length >= 35, String(operations.length));
    const failed = operations.filter(({ id }) => (answers.get(id)?.get(healthy) ?? 500) >= 400);
    assert.deepEqual(
      failed.map(({ id }) => `${id} ${answers.get(id)?.get(healthy)}`),
      [],
    );
    const expected = [...teams.map(({ slug }) => slug), ...Object.keys(registryFailures)];
    assert.deepEqual([...troubled].toSorted(), expected.toSorted());
  });

  it('reach the systems that they are for', () => {
    const newest = masterKeys[0]?.id;
    const shown = (system: keyof typeof world.mirrors): string =>
      [...world.mirrors[system].credentials].join('\n');
    for (const { id } of scene.records.values()) {
      assert.deepEqual([...find(hubSecrets.get(`team-${id}`) ?? '')].toSorted(), [
        `hub.config.CryptKeeper.keys of ${id} by ${newest}`,
        // Older keys stay, to decrypt what was encrypted with them.
        `hub.config.CryptKeeper.keys of ${id} by ${masterKeys[1]?.id}`,
        `hub.config.JupyterHub.cookie_secret of ${id} by ${newest}`,
        `hub.services.knada-notebooks.apiToken of ${id} by ${newest}`,
      ]);
      assert.ok(find(shown('hubs')).has(`hub.services.knada-notebooks.apiToken of ${id} by ${newest}`), id);
    }
    assert.ok(find(shown('kubernetes')).has('the token for Kubernetes'));
    assert.ok(find(shown('google')).has('Google’s token'));
    assert.ok(shown('registries').includes('Basic '), 'the registries were shown Google’s token');
    assert.ok(
      [...canaries().keys()].some((name) => name.includes('shown to hubs')),
      'kernels were asked',
    );
  });

  it('appear in no response', () => {
    assert.ok(evidence.length > 1_500, String(evidence.length));
    assert.deepEqual(leaksIn(evidence), []);
    const told = evidence.filter(
      ({ where, text }) => !where.startsWith('an answer to the API') && text.includes(storeWords),
    );
    assert.deepEqual(
      told.map(({ where }) => where),
      [],
    );
  });

  it('appear in no log line', () => {
    assert.ok(logged.length > 1_500, String(logged.length));
    assert.ok(
      logged.some((line) => line.includes(storeWords)),
      'the store failed',
    );
    assert.deepEqual(leaksIn(logged.map((text) => ({ where: 'the log', text }))), []);
  });

  it('appear in no stored document and no history entry', () => {
    for (const table of ['teams', 'history', 'operations']) {
      assert.ok(
        kept.some(({ where }) => where === `table ${table}`),
        table,
      );
    }
    assert.deepEqual(leaksIn(kept), []);
  });

  it('appear in no applied object except the data of the hub’s Secret', () => {
    assert.ok(applied.length > 500, String(applied.length));
    assert.deepEqual(leaksIn(applied), []);
  });

  it('are found when planted', async () => {
    const [lines, objects, rows] = [logged.length, applied.length, kept.length];
    for (const [name, value] of canaries()) {
      for (const form of [
        value,
        Buffer.from(value).toString('base64'),
        Buffer.from(`x:${value}`).toString('base64url'),
      ]) {
        world.log.info({ err: new Error(`planted ${form.slice(0, 40)}`) }, 'planted');
        assert.ok(find(logged.at(-1) ?? '').has(name), name);
      }
    }
    assert.equal(
      leaksIn(logged.slice(lines).map((text) => ({ where: 'the log', text }))).length,
      canaries().size,
    );

    const data = { planted: Buffer.from(`{"token":"${googleToken}"}`).toString('base64') };
    const planted = {
      apiVersion: 'v1',
      kind: 'Secret',
      metadata: { name: 'planted', namespace: 'default' },
      data,
    };
    await world.client.create(planted);
    assert.deepEqual(leaksIn(applied.slice(objects)), ['Google’s token: Secret default/planted']);

    const changes = [{ pointer: '/x', from: null, to: payload }];
    const event = {
      at: new Date().toISOString(),
      by: kari,
      action: 'secret_version_added',
      revision: null,
      changes,
    } as const;
    await world.store.change('plain', (current) => ({ next: current, event }));
    lookIntoStore(world);
    const found = leaksIn(kept.slice(rows));
    assert.ok(found.includes('the payload: table history'), found.join());
    assert.ok(
      found.some((leak) => leak.startsWith('the payload: file ')),
      found.join(),
    );
  });
});
