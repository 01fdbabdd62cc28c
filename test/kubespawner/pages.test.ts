import assert from 'node:assert/strict';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, describe, it } from 'node:test';
import { isAbsent, tookPart } from '@knada/simulators/real/real-parts.ts';
import { openHubs } from '../../src/adapters/jupyterhub.ts';
import type { NotebookSpec } from '../../src/model/notebook.ts';
import { profilesConfigMap } from '../../src/notebooks/profiles.ts';
import { valuesOf } from '../../src/notebooks/values.ts';
import { metaOf } from '../../src/teams/desired.ts';
import { aPlatform, withChartDefaults } from '../notebooks/platform.ts';
import { aMoment, aNotebook, anOrderedRecord, aSpec, named } from '../support/records.ts';
import { hubPython, mountConfigMap } from './hub.ts';
import { startWebHub } from './web-hub.ts';

const team = named({ slug: 'team-a', id: 'team-a-3f9c' });
const environments = ['3.12', '3.13'].map((python) => ({
  python,
  image: `ghcr.io/navikt/knada-images/jupyter:1-${python}`,
  digest: `sha256:${'b'.repeat(64)}`,
  drivers: [],
  default: python === '3.13',
}));
const digest = `sha256:${'a'.repeat(64)}`;
const reference = (tag: number) => `ghcr.io/navikt/our-notebook:${tag}`;
const own = (tag: number) => ({ image: `${reference(tag)}@${digest}`, profile: 'own-image' });
const standard = (python: string) => ({
  image: `ghcr.io/navikt/knada-images/jupyter:1-${python}@sha256:${'b'.repeat(64)}`,
  profile: `python-${python.replace('.', '-')}`,
});

for (const major of [5, 6] as const) {
  const found = hubPython(major);
  const part = `JupyterHub ${major}.x` as const;
  const skip = 'absent' in found ? isAbsent(part, found.absent) : false;

  describe(`the start page of JupyterHub ${major} with KubeSpawner`, { skip }, () => {
    const kari = 'kari';
    const folder = mkdtempSync(join(tmpdir(), `knada-pages-${major}-`));
    let hub: Awaited<ReturnType<typeof startWebHub>>;
    /** Mounts the profiles of a team at this generation whose image was ordered with another one. */
    const mount = (
      generation: number,
      image: { readonly tag: number; readonly orderedAt: number } | { readonly orderedAt: number } | null,
      spec: Partial<NotebookSpec> = {},
      without: readonly string[] = [],
    ) => {
      const tag = image !== null && 'tag' in image ? image.tag : null;
      const pinned = { digest, resolvedAt: aMoment, newerDigest: null };
      const record = anOrderedRecord({
        ...team,
        generation,
        notebook: aNotebook({
          spec: aSpec({ image: tag === null ? null : reference(tag), ...spec }),
          image: tag === null ? null : { reference: reference(tag), ...pinned },
          imageGeneration: image?.orderedAt ?? 0,
        }),
      });
      const { data = {}, ...map } = profilesConfigMap(record, environments, metaOf(record));
      const kept = Object.entries(data).filter(([name]) => !without.includes(name));
      mountConfigMap(folder, { ...map, data: Object.fromEntries(kept) });
    };

    before(async () => {
      assert.ok('python' in found);
      mount(3, null);
      const values = withChartDefaults(valuesOf(team, aPlatform()));
      hub = await startWebHub(found.python, { folder, values });
      tookPart(part, hub.version);
      await hub.login(kari);
    });
    after(async () => {
      await hub?.close();
      rmSync(folder, { recursive: true, force: true });
    });

    // One member’s weeks at one hub: each step goes on from what the hub has stored.
    it('starts what the member picks, and starts it again from the stored options', async () => {
      assert.deepEqual(await hub.form(kari), {
        slugs: ['python-3-12', 'python-3-13'],
        checked: 'python-3-13',
      });
      assert.partialDeepStrictEqual(await hub.submit(kari, 'python-3-12'), standard('3.12'));
      assert.equal((await hub.form(kari)).checked, 'python-3-12');
      assert.partialDeepStrictEqual(await hub.start(kari), standard('3.12'));
    });

    it('takes the team’s image once it is ordered, on the page and from the stored options', async () => {
      mount(4, { tag: 1, orderedAt: 4 });
      assert.deepEqual(await hub.form(kari), {
        slugs: ['own-image', 'python-3-12', 'python-3-13'],
        checked: 'own-image',
      });
      assert.partialDeepStrictEqual(await hub.start(kari), own(1));
      assert.partialDeepStrictEqual(await hub.start(kari), own(1));
    });

    it('keeps a later choice through a change of memory, and not through another image', async () => {
      assert.partialDeepStrictEqual(await hub.submit(kari, 'python-3-12'), standard('3.12'));
      const memory = { guarantee: '1Gi', limit: '4Gi' };
      mount(5, { tag: 1, orderedAt: 4 }, { resources: { ...aSpec().resources, memory } });
      assert.equal((await hub.form(kari)).checked, 'python-3-12');
      const { memory: limit, ...rest } = await hub.start(kari);
      assert.deepEqual(rest, standard('3.12'));
      assert.equal(String(limit), String(4 * 2 ** 30));

      mount(6, { tag: 2, orderedAt: 6 });
      assert.equal((await hub.form(kari)).checked, 'own-image');
      assert.partialDeepStrictEqual(await hub.start(kari), own(2));
    });

    it('takes the default environment when the image is taken away', async () => {
      mount(7, { orderedAt: 6 });
      assert.equal((await hub.form(kari)).checked, 'python-3-13');
      assert.partialDeepStrictEqual(await hub.start(kari), standard('3.13'));
    });

    it('takes a choice that our API sends, and shows it with its date', async () => {
      const hubs = openHubs({
        urlTemplate: hub.url,
        tokens: () => [hub.token],
        clock: { now: Date.now },
        callMs: 30_000,
      });
      const chosen = { profile: 'python-3-12', revision: 7, chosenAt: 7 };
      const signal = AbortSignal.timeout(60_000);
      assert.equal(await hubs.start(team, kari, chosen, signal), 'starting');
      assert.partialDeepStrictEqual(await hub.ran(kari), standard('3.12'));
      const stored = (await hubs.user(team, kari, signal))?.server;
      assert.partialDeepStrictEqual(stored, { profile: 'python-3-12', profileChosenAt: 7 });

      // The image was ordered while the start was on its way.
      mount(8, { tag: 3, orderedAt: 8 });
      const late = { profile: 'python-3-12', revision: 8, chosenAt: 7 };
      assert.equal(await hubs.start(team, kari, late, signal), 'starting');
      assert.partialDeepStrictEqual(await hub.ran(kari), own(3));
      const after = (await hubs.user(team, kari, signal))?.server;
      assert.partialDeepStrictEqual(after, { profile: 'own-image', profileChosenAt: 8 });
    });

    it('counts stored options of an earlier version as chosen before any image', async () => {
      // Our API started servers with these options, and JupyterHub stored them.
      const earlier = { profile: 'python-3-12', knada_revision: 8 };
      const body = major === 6 ? { user_options: earlier } : earlier;
      assert.partialDeepStrictEqual(await hub.start(kari, body), own(3));
      // A ConfigMap of the earlier version has no file for the image’s revision.
      mount(9, null, {}, ['image-revision']);
      assert.partialDeepStrictEqual(await hub.start(kari, body), standard('3.12'));
      assert.equal((await hub.form(kari)).checked, 'python-3-12');
    });

    it('offers the own image alone once the standard environments are switched off', async () => {
      mount(10, { tag: 3, orderedAt: 8 }, { standardEnvironments: false });
      assert.deepEqual(await hub.form(kari), { slugs: ['own-image'], checked: 'own-image' });
      assert.partialDeepStrictEqual(await hub.start(kari), own(3));
    });
  });
}
