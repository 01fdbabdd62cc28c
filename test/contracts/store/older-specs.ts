import assert from 'node:assert/strict';
import { it } from 'node:test';
import { isObject } from '../../../src/lib/json.ts';
import type { Change } from '../../../src/model/change.ts';
import type { NotebookSpec } from '../../../src/model/notebook.ts';
import { complete, fieldRows } from '../../../src/model/notebook-fields.ts';
import type { TeamRecord } from '../../../src/model/record.ts';
import { unlimited } from '../../../src/model/team-quota.ts';
import { aMoment, aNotebook, anEvent, anOrderedRecord, aRecord, aSpec } from '../../support/records.ts';
import type { Opened } from '../store.ts';

/** The object without what is at this path. */
const without = (value: unknown, [name = '', ...rest]: readonly string[]): unknown => {
  if (!isObject(value)) return value;
  const { [name]: inner, ...others } = value;
  return rest.length === 0 ? others : { ...others, [name]: without(inner, rest) };
};

const paths = fieldRows.map(({ pointer }) => pointer.slice(1).split('/'));
const sections = [...new Set(paths.map(([section = '']) => section))].map((section) => [section]);

/** Every configuration that a version without this field, or without this section, has stored. */
const olderSpecs = [...paths, ...sections].map((path, index) => ({
  slug: `team-${index}`,
  missing: `/${path.join('/')}`,
  // What is read back from a store is trusted to be a NotebookSpec; this one is not.
  stored: without(aSpec(), path) as NotebookSpec,
}));

/** A store completes the notebook configurations that an earlier version wrote, and keeps those of a later one. */
export const olderSpecContract = (opened: Opened): void => {
  it('completes a notebook that an earlier version stored without a field or a section', async (t) => {
    const { here, there } = await opened(t);
    for (const { slug, missing, stored } of olderSpecs) {
      const older = anOrderedRecord({ slug, notebook: aNotebook({ spec: stored }) });
      await here.create(older, anEvent());
      const expected = { ...older, notebook: aNotebook({ spec: complete(stored) }) };
      assert.notDeepEqual(expected, older, missing);
      assert.deepEqual(await there.team(slug), expected, missing);
      await here.change(slug, (current) => {
        assert.deepEqual(current, expected, missing);
        return { next: { ...current, statusVersion: current.statusVersion + 1 } };
      });
      assert.deepEqual(await there.team(slug), { ...expected, statusVersion: 1 }, missing);
    }
  });

  it('gives a team that was stored without a quota an unlimited one, and keeps one that it has', async (t) => {
    const { here, there } = await opened(t);
    const expected = aRecord();
    const { quota: _, ...older } = expected;
    // A version before this one has written it.
    await here.create(older as TeamRecord, anEvent());
    assert.deepEqual((await there.team('team-a'))?.quota, unlimited);
    const quota = { cpu: 1.5, memory: '4Gi', members: 3, home: null };
    await there.change('team-a', (current) => ({ next: { ...current, quota } }));
    assert.deepEqual(await here.team('team-a'), { ...expected, quota });
  });

  it('gives a team that was stored without names those that it has had since it was created', async (t) => {
    const { here, there } = await opened(t);
    const expected = aRecord({ egressHosts: ['pypi.org'] });
    const { names: _, ...older } = expected;
    // A version before this one has written it.
    await here.create(older as TeamRecord, anEvent());
    assert.deepEqual(await there.team('team-a'), expected);
    assert.deepEqual((await there.teams({ limit: 1 })).items, [expected]);
    const restricted = { slug: 'team-a', id: 'team-a-3f9c', namespace: 'team-team-a-3f9c', policies: null };
    assert.deepEqual(await there.restricted(), [restricted]);
    await there.change('team-a', (current) => ({ next: { ...current, statusVersion: 1 } }));
    assert.deepEqual(await here.team('team-a'), { ...expected, statusVersion: 1 });
    assert.deepEqual(await here.restricted(), [restricted]);
  });

  it('completes the configuration in a history entry that an earlier version stored', async (t) => {
    const { here, there } = await opened(t);
    for (const { slug, missing, stored } of olderSpecs) {
      const event = anEvent({ action: 'notebook_ordered', revision: 1, spec: stored });
      await here.create(anOrderedRecord({ slug }), event);
      const expected = { n: 1, ...event, spec: complete(stored) };
      assert.deepEqual(await there.notebookRevision(slug, 1), expected, missing);
      assert.deepEqual(await there.history(slug, { limit: 5 }), { items: [expected] }, missing);
    }
  });

  it('reads a change that an earlier version stored with a path as one with a pointer', async (t) => {
    const { here, there } = await opened(t);
    const change = { pointer: '/culling/timeoutSeconds', from: 3600, to: 7200 };
    // The first version called the pointer `path`.
    const stored = { path: change.pointer, from: change.from, to: change.to } as unknown as Change;
    await here.create(anOrderedRecord(), anEvent({ changes: [stored, change] }));
    const [item] = (await there.history('team-a', { limit: 1 })).items;
    assert.deepEqual(item?.changes, [change, change]);
  });

  it('lets an image that an earlier version stored take precedence over every choice of profile from then', async (t) => {
    const { here, there } = await opened(t);
    const image = {
      reference: 'ghcr.io/navikt/x:1',
      digest: `sha256:${'a'.repeat(64)}`,
      resolvedAt: aMoment,
      newerDigest: null,
    };
    for (const [slug, own, expected] of [
      ['team-own', image, 1],
      ['team-standard', null, 0],
    ] as const) {
      const spec = aSpec({ image: own?.reference ?? null });
      const record = anOrderedRecord({ slug, notebook: aNotebook({ spec, image: own }) });
      // What is read back from a store is trusted to be a TeamRecord; this one is not.
      await here.create(without(record, ['notebook', 'imageGeneration']) as TeamRecord, anEvent());
      assert.equal((await there.team(slug))?.notebook?.imageGeneration, expected);
      await here.change(slug, (current) => ({ next: { ...current, generation: 9 } }));
      assert.equal((await there.team(slug))?.notebook?.imageGeneration, expected);
    }
  });

  it('keeps a field that a later version stored', async (t) => {
    const { here, there } = await opened(t);
    const spec = { ...aSpec(), gpu: { count: 1 } };
    await here.create(anOrderedRecord({ notebook: aNotebook({ spec }) }), anEvent());
    await there.change('team-a', (current) => ({ next: { ...current, statusVersion: 7 } }));
    assert.deepEqual((await here.team('team-a'))?.notebook?.spec, spec);
  });
};
