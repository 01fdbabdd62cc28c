import assert from 'node:assert/strict';
import { after, before, describe, it } from 'node:test';
import type { PythonEnvironmentPage, PythonVersionPage } from '../../src/model/catalogue.ts';
import { kari } from '../support/api.ts';
import { openWithRegistries } from '../support/registries.ts';

const repository = 'navikt/knada-images/jupyter';
const minute = 60_000;

describe('listEnvironments', () => {
  let world: Awaited<ReturnType<typeof openWithRegistries>>;
  before(async () => {
    world = await openWithRegistries();
  });
  after(() => world.close());

  const environments = async (): Promise<PythonEnvironmentPage> => {
    const answer = await world.asPerson(kari).get('/v1/environments');
    assert.equal(answer.statusCode, 200, answer.body);
    return answer.json();
  };
  const versions = async (): Promise<PythonVersionPage> => {
    const answer = await world.asPerson(kari).get('/v1/python-versions');
    assert.equal(answer.statusCode, 200, answer.body);
    return answer.json();
  };

  // The stories follow one another: what a refresh finds stays for the next.
  it('answers an empty catalogue, marked as never refreshed, before the first refresh', async () => {
    const { items, gaps, sources } = await environments();
    assert.deepEqual(items, []);
    assert.equal(gaps.find(({ python }) => python === '3.13')?.reason, 'not_known');
    assert.partialDeepStrictEqual(sources, [
      { checkedAt: null },
      { checkedAt: null },
      { name: `ghcr.io/${repository}`, checkedAt: null, answeredAt: null, error: null },
    ]);
    const python = (await versions()).items.find((item) => item.python === '3.13');
    assert.partialDeepStrictEqual(python, { status: 'security', offered: false });
  });

  it('sends no request to a registry', async () => {
    assert.equal(await world.requests(environments), 0);
    assert.equal(await world.requests(versions), 0);
  });

  it('lists the newest standard images after a refresh, which costs at most ten requests', async () => {
    const requests = await world.requests(() => world.refresh());
    assert.ok(requests > 3 && requests <= 10, `${requests} requests`);
    const { items, asOf, sources } = await environments();
    assert.deepEqual(
      items.map(({ python, tag, default: chosen, stale }) => [python, tag, chosen, stale]),
      [
        ['3.13', '20261123-040000-3.13', true, false],
        ['3.12', '20260810-060000-3.12', false, true],
        ['3.11', '20251124-120000-3.11', false, true],
      ],
    );
    for (const { tag, image, digest } of items) {
      assert.equal(image, `ghcr.io/${repository}:${tag}`);
      assert.equal(digest, world.simulator.digest(repository, tag));
    }
    assert.equal(asOf, world.now());
    for (const { error, answeredAt } of sources) assert.deepEqual([error, answeredAt], [null, world.now()]);
  });

  it('lists the drivers with their source, and the absent ones too', async () => {
    const [newest] = (await environments()).items;
    assert.partialDeepStrictEqual(newest?.drivers, [
      { name: 'Oracle', included: true, version: '21.11' },
      { name: 'Postgres', included: true },
      { name: 'TDV', included: false },
    ]);
    for (const { source } of newest?.drivers ?? []) assert.match(source, /^https:/);
  });

  it('gives for every other version the reason why it is not offered', async () => {
    const { items, gaps } = await environments();
    const reasons = Object.fromEntries(gaps.map(({ python, reason }) => [python, reason]));
    assert.partialDeepStrictEqual(reasons, { '3.10': 'end_of_life', '3.14': 'no_jupyter_tag' });
    for (const { message } of gaps) assert.match(message, /\.$/);
    const offered = (await versions()).items.filter((item) => item.offered).map(({ python }) => python);
    assert.deepEqual(
      offered,
      items.map(({ python }) => python),
    );
  });

  for (const [what, fault] of [
    ['throttles', { status: 429, headers: { 'retry-after': '120' } }],
    ['fails', { status: 500 }],
    ['answers a page of HTML', 'garbage'],
    ['breaks connections off', 'reset'],
    ['hangs', 'hang'],
  ] as const) {
    it(`is unchanged when every source ${what}, and reports the failing sources`, async (t) => {
      const known = await environments();
      const timeout = AbortSignal.timeout.bind(AbortSignal);
      // A deadline that is not waited for.
      if (fault === 'hang') t.mock.method(AbortSignal, 'timeout', () => timeout(50));
      const end = world.simulator.fault(/./, fault);
      t.after(end);
      world.advance(20 * minute);
      const report = await world.refresh();
      assert.equal(report.changed, false);
      assert.equal(report.silent.length, 3);
      const { items, asOf, sources } = await environments();
      assert.deepEqual([items, asOf], [known.items, known.asOf]);
      for (const { name, checkedAt, answeredAt, error } of sources) {
        assert.deepEqual([checkedAt, answeredAt], [world.now(), known.asOf], name);
        assert.match(error ?? '', /\.$/);
      }
    });
  }

  it('reports the last successful refresh once the sources recover', async () => {
    world.advance(20 * minute);
    assert.deepEqual((await world.refresh()).silent, []);
    const { asOf, sources } = await environments();
    assert.equal(asOf, world.now());
    for (const { error } of sources) assert.equal(error, null);
  });

  it('requires a signed-in caller', async () => {
    for (const url of ['/v1/environments', '/v1/python-versions']) {
      assert.equal((await world.anonymous().get(url)).statusCode, 401);
    }
  });
});
