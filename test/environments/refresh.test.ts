import assert from 'node:assert/strict';
import { describe, it, type TestContext } from 'node:test';
import { buildImage } from '@knada/simulators/registries/image.ts';
import { type Fault, registryEndpoints, startRegistries } from '@knada/simulators/registries/server.ts';
import { Check } from 'typebox/value';
import { registryContent } from '../../local/conventions.ts';
import { openRegistries } from '../../src/adapters/oci-registry.ts';
import { openPythonReleases } from '../../src/adapters/python-releases.ts';
import {
  listEnvironments,
  listPythonVersions,
  offersTheSame,
  shippedCatalogue,
} from '../../src/environments/catalogue.ts';
import { type CatalogueRefreshDeps, refreshCatalogue } from '../../src/environments/refresh.ts';
import { knadaImages } from '../../src/environments/standard-images.ts';
import { Catalogue, CatalogueSource, JupyterSupport, PythonVersionInfo } from '../../src/model/catalogue.ts';
import { Driver, Environment, EnvironmentGap } from '../../src/model/environment.ts';

const repository = 'navikt/knada-images/jupyter';
const minute = 60_000;

/** The real adapters on a simulator, in November 2026. */
const opened = async (t: TestContext, standardImages = knadaImages) => {
  const time = { now: Date.parse('2026-11-24T09:00:00.000Z') };
  const clock = { now: () => time.now };
  const simulator = await startRegistries({ ...registryContent, now: clock.now });
  t.after(() => simulator.close());
  const outside = {
    garRegion: 'europe-north1',
    garProject: 'nais-management-233d',
    origins: JSON.parse(registryEndpoints(simulator.url)),
    clock,
    random: () => 0,
    wait: async () => {},
  };
  const deps: CatalogueRefreshDeps = {
    registries: openRegistries(outside),
    pythonReleases: openPythonReleases(outside),
    standardImages,
  };
  const refresh = (previous?: Catalogue, signal = AbortSignal.timeout(20_000)) =>
    refreshCatalogue(deps, previous, time.now, signal);
  return { simulator, time, deps, refresh };
};

const tagsOf = ({ items }: Catalogue) => items.map(({ tag }) => tag);
const errorsOf = ({ sources }: Catalogue) => sources.map(({ error }) => error);
const gapOf = ({ gaps }: Catalogue, python: string) => gaps.find((gap) => gap.python === python)?.reason;

describe('refreshing the catalogue', () => {
  it('offers the newest standard image of each Python that is maintained and supported by Jupyter', async (t) => {
    const { simulator, refresh } = await opened(t);
    const catalogue = await refresh();
    assert.deepEqual(tagsOf(catalogue), [
      '20261123-040000-3.13',
      '20260810-060000-3.12',
      '20251124-120000-3.11',
    ]);
    for (const { tag, digest } of catalogue.items) assert.equal(digest, simulator.digest(repository, tag));
    const facts = catalogue.items.map(({ python, stale, jupyterMaintained, default: chosen }) => [
      python,
      stale,
      jupyterMaintained,
      chosen,
    ]);
    assert.deepEqual(facts, [
      ['3.13', false, true, true],
      ['3.12', true, false, false],
      ['3.11', true, false, false],
    ]);
    assert.deepEqual(errorsOf(catalogue), [null, null, null]);
    assert.equal(catalogue.asOf, '2026-11-24T09:00:00.000Z');
  });

  it('gives the reason why a version is not offered', async (t) => {
    const { refresh } = await opened(t);
    const catalogue = await refresh();
    assert.equal(gapOf(catalogue, '3.10'), 'end_of_life');
    assert.equal(gapOf(catalogue, '3.14'), 'no_jupyter_tag');
  });

  it('makes at most ten requests, the first time and every time', async (t) => {
    const { simulator, refresh } = await opened(t);
    const first = await refresh();
    const cold = simulator.requests.length;
    await refresh(first);
    const warm = simulator.requests.length - cold;
    assert.ok(cold <= 10, `${cold} requests`);
    assert.ok(warm <= 10, `${warm} requests`);
  });

  it('is stored as JSON and read back unchanged', async (t) => {
    const { refresh } = await opened(t);
    const catalogue = await refresh();
    const stored: unknown = JSON.parse(JSON.stringify(catalogue));
    assert.deepEqual(stored, catalogue);
    const components = {
      Driver,
      PythonEnvironment: Environment,
      EnvironmentGap,
      CatalogueSource,
      JupyterSupport,
      PythonVersion: PythonVersionInfo,
    };
    assert.ok(Check(components, Catalogue, stored));
    assert.ok(Check(components, Catalogue, shippedCatalogue(knadaImages, 0)));
  });

  it('follows a moved tag, and a newer tag', async (t) => {
    const { simulator, refresh } = await opened(t);
    const first = await refresh();
    const image = buildImage({ platforms: ['linux/amd64'], created: null, text: 'rebuilt' });
    const rebuilt = simulator.push(repository, image, { tag: '20260810-060000-3.12' });
    simulator.push(repository, image, { tag: '20261124-040000-3.13' });
    const next = await refresh(first);
    assert.equal(next.items[1]?.digest, rebuilt);
    assert.equal(next.items[0]?.tag, '20261124-040000-3.13');
    assert.ok(!offersTheSame(first, next));
    assert.ok(offersTheSame(next, await refresh(next)));
    assert.equal(next.revision, first.revision + 1);
  });

  it('lists the newest Python first, with its Jupyter support', async (t) => {
    const { refresh } = await opened(t);
    const { items } = listPythonVersions(await refresh());
    const shown = items.filter(({ python }) => ['3.14', '3.13', '3.12', '3.10'].includes(python));
    assert.deepEqual(
      shown.map(({ python, status, jupyter, offered }) => [python, status, jupyter.maintained, offered]),
      [
        ['3.14', 'bugfix', false, false],
        ['3.13', 'security', true, true],
        ['3.12', 'security', false, true],
        ['3.10', 'end_of_life', false, false],
      ],
    );
  });

  it('retires a version on its day', async (t) => {
    const { time, refresh } = await opened(t);
    const first = await refresh();
    time.now = Date.parse('2027-10-31T23:59:59.000Z');
    assert.ok(tagsOf(await refresh(first)).includes('20251124-120000-3.11'));
    time.now += 1000;
    const later = await refresh(first);
    assert.ok(!tagsOf(later).includes('20251124-120000-3.11'));
    assert.equal(gapOf(later, '3.11'), 'end_of_life');
  });
});

describe('refreshing the catalogue when sources are unavailable', () => {
  const faults: Readonly<Record<string, Fault>> = {
    '429': { status: 429, headers: { 'retry-after': '120' } },
    '500': { status: 500 },
    garbage: 'garbage',
    'a broken connection': 'reset',
    'an empty document': { status: 200, body: '{}' },
    'an empty list': { status: 200, body: '[]' },
  };
  for (const [name, fault] of Object.entries(faults)) {
    it(`keeps its environments and reports the failed source: ${name}`, async (t) => {
      const { simulator, time, refresh } = await opened(t);
      const first = await refresh();
      simulator.fault(/./, fault);
      let last = first;
      for (let look = 0; look < 3; look += 1) {
        time.now += 20 * minute;
        last = await refresh(last);
        assert.deepEqual(tagsOf(last), tagsOf(first));
        for (const error of errorsOf(last)) assert.equal(typeof error, 'string');
      }
      assert.equal(last.asOf, first.asOf);
      assert.equal(listEnvironments(last).items.length, 3);
    });
  }

  it('keeps its environments when a source hangs', async (t) => {
    const { simulator, refresh } = await opened(t);
    const first = await refresh();
    simulator.fault(/./, 'hang');
    const next = await refresh(first, AbortSignal.timeout(200));
    assert.deepEqual(tagsOf(next), tagsOf(first));
  });

  it('never reports a missing image before a registry has answered', async (t) => {
    const { simulator, refresh } = await opened(t);
    simulator.fault(/\/v2\/|\/token/, { status: 500 });
    const catalogue = await refresh();
    assert.deepEqual(catalogue.items, []);
    for (const python of ['3.13', '3.12', '3.11']) assert.equal(gapOf(catalogue, python), 'not_known');
  });

  it('updates the images while the Python sources are unavailable, and the other way round', async (t) => {
    const { simulator, refresh } = await opened(t);
    const end = simulator.fault(/^\/api\//, { status: 500 });
    const first = await refresh();
    assert.deepEqual(tagsOf(first)[0], '20261123-040000-3.13');
    assert.equal(first.items[0]?.jupyterMaintained, null);
    end();
    simulator.fault(/\/v2\/|\/token/, { status: 500 });
    const next = await refresh(first);
    assert.deepEqual(tagsOf(next), tagsOf(first));
    assert.equal(next.items[0]?.jupyterMaintained, true);
  });

  it('does not treat a truncated list as complete', async (t) => {
    const { simulator, time, refresh } = await opened(t);
    const first = await refresh();
    const link = `</v2/${repository}/tags/list?last=x&n=1>; rel="next"`;
    const body = JSON.stringify({ tags: ['2023-07-17-0580d64-3.11'] });
    simulator.fault(/tags\/list\?n=1000/, { status: 200, headers: { link }, body });
    simulator.fault(/tags\/list\?last=x/, { status: 500 });
    const second = await refresh(first);
    time.now += 20 * minute;
    assert.deepEqual(tagsOf(await refresh(second)), tagsOf(first));
  });

  it('does not treat a release cycle that lost a version as complete', async (t) => {
    const { simulator, refresh } = await opened(t);
    const first = await refresh();
    const cycle = { '3.13': { status: 'bugfix', first_release: '2024-10-07', end_of_life: '2029-10' } };
    simulator.fault(/release-cycle/, { status: 200, body: JSON.stringify(cycle) });
    const next = await refresh(first);
    assert.deepEqual(tagsOf(next), tagsOf(first));
    assert.match(next.sources[0]?.error ?? '', /missing/);
  });

  it('ignores an answer that Jupyter supports no Python at all', async (t) => {
    const { simulator, refresh } = await opened(t);
    const first = await refresh();
    simulator.fault(/base-notebook/, { status: 200, body: '{"tags":[],"has_additional":false}' });
    const next = await refresh(first);
    assert.deepEqual(tagsOf(next), tagsOf(first));
    assert.match(next.sources[1]?.error ?? '', /no tag/);
  });

  it('reports the fault of a source that is not one of our registries', async (t) => {
    const { refresh } = await opened(t, [{ repository: 'docker.io/jupyter/base-notebook', drivers: [] }]);
    const catalogue = await refresh();
    assert.equal(typeof catalogue.sources[2]?.error, 'string');
  });
});

describe('refreshing the catalogue when images disappear', () => {
  const newest = '20261123-040000-3.13';
  const before = '20261116-040000-3.13';

  it('uses the older image once the newest was missing twice, ten minutes apart', async (t) => {
    const { simulator, time, refresh } = await opened(t);
    const first = await refresh();
    simulator.remove(repository, newest);
    const second = await refresh(first);
    assert.equal(tagsOf(second)[0], newest);
    time.now += 9 * minute;
    const third = await refresh(second);
    assert.equal(tagsOf(third)[0], newest);
    time.now += minute;
    assert.equal(tagsOf(await refresh(third))[0], before);
  });

  it('restarts the count when the image was there in between', async (t) => {
    const { simulator, time, refresh } = await opened(t);
    const first = await refresh();
    const digest = simulator.digest(repository, newest);
    simulator.remove(repository, newest);
    const second = await refresh(first);
    simulator.moveTag(repository, newest, digest);
    time.now += 9 * minute;
    const third = await refresh(second);
    simulator.remove(repository, newest);
    time.now += 9 * minute;
    assert.equal(tagsOf(await refresh(third))[0], newest);
  });

  it('keeps an image whose tag is listed but not found, until that is confirmed', async (t) => {
    const { simulator, time, refresh } = await opened(t);
    const first = await refresh();
    simulator.remove(repository, first.items[0]?.digest ?? '');
    const second = await refresh(first);
    assert.equal(tagsOf(second)[0], newest);
    assert.match(second.sources[2]?.error ?? '', /listed/);
    time.now += 10 * minute;
    assert.ok(!tagsOf(await refresh(second)).includes(newest));
  });

  it('offers nothing from a repository that was private twice, ten minutes apart', async (t) => {
    const { simulator, time, refresh } = await opened(t);
    const first = await refresh();
    simulator.setVisibility(repository, 'private');
    simulator.revokeTokens();
    const second = await refresh(first);
    assert.deepEqual(tagsOf(second), tagsOf(first));
    time.now += 10 * minute;
    const third = await refresh(second);
    assert.deepEqual(third.items, []);
    assert.equal(gapOf(third, '3.13'), 'no_standard_image');
    simulator.setVisibility(repository, 'public');
    assert.deepEqual(tagsOf(await refresh(third)), tagsOf(first));
  });
});
