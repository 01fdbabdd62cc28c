import assert from 'node:assert/strict';
import { describe, it, type TestContext } from 'node:test';
import { startRegistries } from '@knada/simulators/registries/server.ts';
import { registryContent } from '../../local/conventions.ts';
import { openPythonReleases } from '../../src/adapters/python-releases.ts';
import { jupyterTags } from '../../src/environments/jupyter.ts';
import { parseReleaseCycle, releaseCycleSnapshot } from '../../src/environments/python.ts';
import { Unavailable } from '../../src/ports/unavailable.ts';

const signal = () => AbortSignal.timeout(20_000);
const now = Date.parse('2026-11-23T09:00:00.000Z');

const opened = async (t: TestContext) => {
  const simulator = await startRegistries({ ...registryContent, now: () => now });
  t.after(() => simulator.close());
  const releases = openPythonReleases({
    garRegion: 'europe-north1',
    origins: { 'quay.io': simulator.url, 'peps.python.org': simulator.url },
    clock: { now: () => now },
    random: () => 0,
    wait: async () => {},
  });
  return { simulator, releases };
};

describe('Python releases', () => {
  it('reads the release cycle', async (t) => {
    const { releases } = await opened(t);
    const parsed = parseReleaseCycle(await releases.releaseCycle(signal()));
    assert.deepEqual(parsed, { ok: true, cycle: releaseCycleSnapshot.cycle });
  });

  it('reads when Jupyter last built each version', async (t) => {
    const { releases } = await opened(t);
    assert.deepEqual(jupyterTags(await releases.jupyterTags(signal())), {
      '3.13': '2026-11-23T03:00:00.000Z',
      '3.12': '2025-08-15T00:00:00.000Z',
      '3.11': '2024-10-23T00:00:00.000Z',
    });
  });

  it('reads the tags over several pages', async (t) => {
    const { simulator, releases } = await opened(t);
    const page = (name: string, has_additional: boolean) => ({
      status: 200,
      body: JSON.stringify({
        tags: [{ name, last_modified: 'Mon, 23 Nov 2026 03:00:00 -0000' }],
        has_additional,
      }),
    });
    simulator.fault(/page=1$/, page('python-3.13', true));
    simulator.fault(/page=2$/, page('python-3.11', false));
    const names = (await releases.jupyterTags(signal())).map(({ name }) => name);
    assert.deepEqual(names, ['python-3.13', 'python-3.11']);
  });

  it('throws Unavailable for an incomplete list', async (t) => {
    const { simulator, releases } = await opened(t);
    simulator.fault(/page=/, { status: 200, body: '{"tags":[],"has_additional":true}' });
    await assert.rejects(releases.jupyterTags(signal()), Unavailable);
  });

  const faults = {
    '500': { status: 500 },
    '404': { status: 404, body: '{}' },
    '429 for an hour': { status: 429, headers: { 'retry-after': '3600' } },
    garbage: 'garbage',
    'another document': { status: 200, body: '{"tags":"none"}' },
    'a document without an end': { status: 200, body: `{"3.13":"${'x'.repeat(5 * 1024 * 1024)}"}` },
    'a broken connection': 'reset',
  } as const;
  for (const [name, fault] of Object.entries(faults)) {
    it(`throws Unavailable for a source: ${name}`, async (t) => {
      const { simulator, releases } = await opened(t);
      simulator.fault(/./, fault);
      await assert.rejects(releases.jupyterTags(signal()), Unavailable);
      if (name === 'another document') return;
      await assert.rejects(releases.releaseCycle(signal()), Unavailable);
    });
  }

  it('throws Unavailable when a source hangs', async (t) => {
    const { simulator, releases } = await opened(t);
    simulator.fault(/./, 'hang');
    await assert.rejects(releases.releaseCycle(AbortSignal.timeout(100)), Unavailable);
  });
});
