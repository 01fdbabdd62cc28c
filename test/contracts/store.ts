import assert from 'node:assert/strict';
import { it, type TestContext } from 'node:test';
import { shippedCatalogue } from '../../src/environments/catalogue.ts';
import { knadaImages } from '../../src/environments/standard-images.ts';
import type { Catalogue } from '../../src/model/catalogue.ts';
import type { HistoryEvent, HistoryRecord } from '../../src/model/history.ts';
import type { TeamRecord } from '../../src/model/record.ts';
import type { Member } from '../../src/model/team.ts';
import type { Decide, Page, Store } from '../../src/ports/store.ts';
import { aNotebook, anEvent, anOrderedRecord, aRecord, aSpec } from '../support/records.ts';
import { allowlistHostsContract } from './store/allowlist-hosts.ts';
import { hostContract } from './store/hosts.ts';
import { olderSpecContract } from './store/older-specs.ts';
import { operationContract } from './store/operations.ts';
import { peopleContract } from './store/people.ts';
import { requestContract } from './store/requests.ts';

/**
 * Opens an empty store: once, or through several connections that must behave as one. The suite writes through
 * the first and reads through the last, and spreads concurrent writers over all of them.
 */
export type OpenStores = () => Promise<readonly [Store, ...Store[]]>;

/** Opens the stores of one test, which are closed after it: those to spread over, to write and to read through. */
export type Opened = (
  t: TestContext,
) => Promise<{ readonly all: readonly Store[]; readonly here: Store; readonly there: Store }>;

/** Asks for one more look at the status of the team and counts it. */
const touched = (record: TeamRecord): TeamRecord => ({ ...record, statusVersion: record.statusVersion + 1 });

/** What a person asked for: the revision goes up and history says so. */
const revised: Decide = (current) => ({
  next: { ...current, revision: current.revision + 1, generation: current.generation + 1 },
  event: anEvent({
    action: 'team_updated',
    changes: [{ pointer: '/revision', from: 0, to: current.revision + 1 }],
  }),
});

const aCatalogue = (overrides: Partial<Catalogue> = {}): Catalogue => ({
  ...shippedCatalogue(knadaImages, Date.parse('2026-11-23T09:00:00.000Z')),
  ...overrides,
});

const numbered = (n: number) => `team-${String(n).padStart(3, '0')}`;

/** Follows a list to its end. */
const walk = async <T>(
  fetchPage: (next: string | undefined) => Promise<Page<T>>,
  between: (pagesSeen: number) => Promise<void> = async () => {},
): Promise<T[]> => {
  const items: T[] = [];
  let next: string | undefined;
  let pages = 0;
  do {
    const page = await fetchPage(next);
    items.push(...page.items);
    next = page.next;
    pages += 1;
    if (next !== undefined) await between(pages);
  } while (next !== undefined);
  return items;
};

const wholeHistory = (store: Store, slug: string): Promise<HistoryRecord[]> =>
  walk((next) => store.history(slug, { limit: 50, ...(next !== undefined && { before: Number(next) }) }));

/** What every Store must do; to be called inside a `describe` that names the implementation. */
export const storeContract = (open: OpenStores): void => {
  const opened: Opened = async (t) => {
    const stores = await open();
    t.after(() => Promise.all(stores.map((store) => store.close())));
    return { all: stores, here: stores[0], there: stores.at(-1) ?? stores[0] };
  };

  const filled = async (store: Store, records: readonly TeamRecord[]) => {
    for (const record of records) assert.equal(await store.create(record, anEvent()), 'created');
  };

  it('creates a team with its first history entry', async (t) => {
    const { here, there } = await opened(t);
    assert.equal(await here.create(aRecord(), anEvent()), 'created');
    assert.deepEqual(await there.team('team-a'), aRecord());
    assert.deepEqual(await there.history('team-a', { limit: 10 }), { items: [{ n: 1, ...anEvent() }] });
  });

  it('returns undefined for a team that was never created', async (t) => {
    const { here } = await opened(t);
    assert.equal(await here.team('team-a'), undefined);
    assert.equal(await here.change('team-a', revised), undefined);
    assert.equal(await here.remove('team-a', { id: 'team-a-3f9c', generation: 1 }), 'absent');
    assert.equal(await here.isTombstone('team-a-3f9c'), false);
    assert.deepEqual(await here.history('team-a', { limit: 10 }), { items: [] });
    assert.equal(await here.notebookRevision('team-a', 1), undefined);
    assert.deepEqual(await here.teams({ limit: 10 }), { items: [] });
  });

  it('refuses a taken slug and leaves its team unchanged', async (t) => {
    const { here, there } = await opened(t);
    await filled(here, [aRecord()]);
    const second = aRecord({ id: 'team-a-0000', members: [] });
    assert.equal(await there.create(second, anEvent({ by: 'somebody else' })), 'slug_taken');
    assert.deepEqual(await here.team('team-a'), aRecord());
    assert.equal((await wholeHistory(here, 'team-a')).length, 1);
    assert.equal(await here.create(aRecord({ slug: 'team-b', id: 'team-a-0000' }), anEvent()), 'created');
  });

  it('refuses an id that another team has', async (t) => {
    const { here, there } = await opened(t);
    await filled(here, [aRecord()]);
    assert.equal(await there.create(aRecord({ slug: 'team-b', id: 'team-a-3f9c' }), anEvent()), 'id_taken');
    assert.equal(await here.team('team-b'), undefined);
    assert.deepEqual(await here.history('team-b', { limit: 10 }), { items: [] });
  });

  it('creates a slug once for concurrent requests', async (t) => {
    const { all, here } = await opened(t);
    const rivals = Array.from({ length: 12 }, (_, i) =>
      aRecord({ id: `team-a-00${10 + i}`, revision: i + 1 }),
    );
    const outcomes = await Promise.all(
      rivals.map((record, i) => (all[i % all.length] ?? here).create(record, anEvent({ by: record.id }))),
    );
    assert.deepEqual(outcomes.toSorted(), ['created', ...Array<string>(11).fill('slug_taken')]);
    const winner = rivals[outcomes.indexOf('created')];
    assert.deepEqual(await here.team('team-a'), winner);
    assert.deepEqual(
      (await wholeHistory(here, 'team-a')).map(({ by }) => by),
      [winner?.id],
    );
  });

  it('writes a change together with its history entry', async (t) => {
    const { here, there } = await opened(t);
    await filled(here, [aRecord()]);
    const answer = await here.change('team-a', revised);
    assert.equal(answer?.revision, 2);
    assert.deepEqual(await there.team('team-a'), answer);
    assert.deepEqual(
      (await wholeHistory(there, 'team-a')).map(({ n, action }) => [n, action]),
      [
        [2, 'team_updated'],
        [1, 'team_created'],
      ],
    );
  });

  it('writes a status change without a history entry', async (t) => {
    const { here, there } = await opened(t);
    await filled(here, [aRecord()]);
    await here.change('team-a', (current) => ({ next: touched(current) }));
    assert.equal((await there.team('team-a'))?.statusVersion, 1);
    assert.equal((await wholeHistory(there, 'team-a')).length, 1);
    await here.change('team-a', revised);
    assert.deepEqual(
      (await wholeHistory(there, 'team-a')).map(({ n }) => n),
      [2, 1],
    );
  });

  it('writes nothing when the decision returns undefined', async (t) => {
    const { here, there } = await opened(t);
    await filled(here, [aRecord()]);
    assert.deepEqual(await here.change('team-a', () => undefined), aRecord());
    assert.deepEqual(
      await here.change('team-a', (current) => ({ next: structuredClone(current) })),
      aRecord(),
    );
    assert.deepEqual(await there.team('team-a'), aRecord());
    assert.equal((await wholeHistory(there, 'team-a')).length, 1);
  });

  it('rethrows the error of a decision, changes nothing and stays usable', async (t) => {
    const { here, there } = await opened(t);
    await filled(here, [aRecord()]);
    const refusal = new Error('not like this');
    await assert.rejects(
      here.change('team-a', () => {
        throw refusal;
      }),
      (error) => error === refusal,
    );
    assert.deepEqual(await there.team('team-a'), aRecord());
    assert.equal((await wholeHistory(there, 'team-a')).length, 1);
    assert.equal((await there.change('team-a', revised))?.revision, 2);
  });

  it('refuses a decision that gives a team another name', async (t) => {
    const { here, there } = await opened(t);
    await filled(here, [aRecord()]);
    const { names } = aRecord({ slug: 'team-b' });
    for (const other of [{ slug: 'team-b' }, { id: 'team-a-0000' }, { names }]) {
      await assert.rejects(
        here.change('team-a', (current) => ({ next: { ...current, ...other } })),
        TypeError,
      );
    }
    assert.deepEqual(await there.team('team-a'), aRecord());
  });

  it('loses no update of 64 concurrent writers on one team', async (t) => {
    const { all, here, there } = await opened(t);
    await filled(here, [aRecord()]);
    const answers = await Promise.all(
      Array.from({ length: 64 }, (_, i) => (all[i % all.length] ?? here).change('team-a', revised)),
    );
    assert.equal((await there.team('team-a'))?.revision, 65);
    assert.deepEqual(
      answers.map((record) => record?.revision ?? 0).toSorted((a, b) => a - b),
      Array.from({ length: 64 }, (_, i) => i + 2),
      'every writer got its own revision',
    );
    const history = await wholeHistory(there, 'team-a');
    assert.deepEqual(
      history.map(({ n }) => n),
      Array.from({ length: 65 }, (_, i) => 65 - i),
    );
    assert.deepEqual(
      history.slice(0, -1).map(({ changes }) => changes[0]?.to),
      Array.from({ length: 64 }, (_, i) => 65 - i),
      'each entry describes the write it was made with',
    );
  });

  it('loses no update when status and orders are written at the same time', async (t) => {
    const { all, here, there } = await opened(t);
    await filled(here, [aRecord()]);
    const look: Decide = (current) => ({ next: touched(current) });
    await Promise.all(
      Array.from({ length: 24 }, (_, i) =>
        (all[i % all.length] ?? here).change('team-a', i % 3 === 0 ? revised : look),
      ),
    );
    const record = await there.team('team-a');
    assert.deepEqual([record?.revision, record?.statusVersion], [9, 16]);
    assert.equal((await wholeHistory(there, 'team-a')).length, 9);
  });

  it('removes a team with its history and keeps its id reserved', async (t) => {
    const { here, there } = await opened(t);
    await filled(here, [anOrderedRecord()]);
    await here.change('team-a', revised);
    assert.equal(await here.isTombstone('team-a-3f9c'), false);
    assert.equal(await here.remove('team-a', { id: 'team-a-3f9c', generation: 3 }), 'removed');

    assert.equal(await there.team('team-a'), undefined);
    assert.equal(await there.isTombstone('team-a-3f9c'), true);
    assert.equal(await there.change('team-a', revised), undefined);
    assert.equal(await there.remove('team-a', { id: 'team-a-3f9c', generation: 3 }), 'absent');
    assert.deepEqual(await there.history('team-a', { limit: 10 }), { items: [] });
    assert.deepEqual(await there.teams({ limit: 10 }), { items: [] });
    assert.deepEqual(await there.teams({ member: 'kari.nordmann@nav.no', limit: 10 }), { items: [] });
    assert.deepEqual(await there.due('2030-01-01T00:00:00.000Z', 10), []);
    assert.deepEqual(await there.outdated('another', 10), []);
    assert.equal(await there.create(aRecord({ slug: 'team-b', id: 'team-a-3f9c' }), anEvent()), 'id_taken');
  });

  it('does not remove a team that has changed', async (t) => {
    const { here, there } = await opened(t);
    await filled(here, [aRecord()]);
    await there.change('team-a', revised);
    assert.equal(await here.remove('team-a', { id: 'team-a-3f9c', generation: 1 }), 'moved');
    assert.equal((await there.team('team-a'))?.generation, 2);
    assert.equal((await wholeHistory(there, 'team-a')).length, 2);
    assert.equal(await there.isTombstone('team-a-3f9c'), false);
  });

  it('does not remove a new team with a reused slug at any generation', async (t) => {
    const { here, there } = await opened(t);
    await filled(here, [aRecord()]);
    await here.remove('team-a', { id: 'team-a-3f9c', generation: 1 });
    const heir = aRecord({ id: 'team-a-77aa' });
    await filled(there, [heir]);
    assert.equal(await here.remove('team-a', { id: 'team-a-3f9c', generation: 1 }), 'moved');
    assert.deepEqual(await there.team('team-a'), heir);
    assert.equal(await there.isTombstone('team-a-77aa'), false);
  });

  it('shows a new team with a reused slug nothing of its predecessor', async (t) => {
    const { here, there } = await opened(t);
    await filled(here, [anOrderedRecord()]);
    await here.change('team-a', (current) => ({
      next: current,
      event: anEvent({ action: 'notebook_ordered', revision: 1, spec: aSpec() }),
    }));
    await here.remove('team-a', { id: 'team-a-3f9c', generation: 2 });
    const heir = aRecord({ id: 'team-a-77aa', members: [] });
    assert.equal(await there.create(heir, anEvent({ by: 'heir' })), 'created');
    assert.deepEqual(await here.team('team-a'), heir);
    assert.deepEqual(
      (await wholeHistory(here, 'team-a')).map(({ n, by }) => [n, by]),
      [[1, 'heir']],
    );
    assert.equal(await here.notebookRevision('team-a', 1), undefined);
    assert.deepEqual(await here.teams({ member: 'kari.nordmann@nav.no', limit: 10 }), { items: [] });
    assert.deepEqual(await here.outdated('another', 10), []);
  });

  it('applies either a removal or a concurrent change, never parts of both', async (t) => {
    const { here, there } = await opened(t);
    await filled(here, [aRecord()]);
    const [removal, change] = await Promise.all([
      here.remove('team-a', { id: 'team-a-3f9c', generation: 1 }),
      there.change('team-a', revised),
    ]);
    const left = await here.team('team-a');
    const history = await wholeHistory(here, 'team-a');
    if (removal === 'removed') {
      assert.deepEqual([change, left, history], [undefined, undefined, []]);
    } else {
      assert.equal(removal, 'moved');
      assert.deepEqual([change?.revision, left?.revision, history.length], [2, 2, 2]);
    }
  });

  it('lists teams by slug, page by page', async (t) => {
    const { here, there } = await opened(t);
    const slugs = Array.from({ length: 7 }, (_, i) => numbered(i));
    await filled(
      here,
      slugs.toReversed().map((slug) => aRecord({ slug })),
    );
    const first = await there.teams({ limit: 3 });
    assert.deepEqual(
      first.items.map(({ slug }) => slug),
      slugs.slice(0, 3),
    );
    assert.deepEqual(first.items[0], aRecord({ slug: 'team-000' }));
    const seen = await walk((next) => there.teams({ limit: 3, ...(next !== undefined && { after: next }) }));
    assert.deepEqual(
      seen.map(({ slug }) => slug),
      slugs,
    );
    assert.equal((await there.teams({ limit: 7 })).next, undefined);
  });

  it('keeps pages stable while teams are created and removed', async (t) => {
    const { here, there } = await opened(t);
    const slugs = Array.from({ length: 9 }, (_, i) => numbered(i * 10));
    await filled(
      here,
      slugs.map((slug) => aRecord({ slug })),
    );
    const seen = await walk(
      (next) => there.teams({ limit: 3, ...(next !== undefined && { after: next }) }),
      async (pagesSeen) => {
        if (pagesSeen !== 1) return;
        // Seen so far: 000, 010, 020. The last of them goes, and so does one that lies ahead.
        assert.equal(await here.remove('team-020', { id: 'team-020-3f9c', generation: 1 }), 'removed');
        assert.equal(await here.remove('team-050', { id: 'team-050-3f9c', generation: 1 }), 'removed');
        await filled(here, [aRecord({ slug: 'team-015' }), aRecord({ slug: 'team-025' })]);
      },
    );
    assert.deepEqual(
      seen.map(({ slug }) => slug),
      ['000', '010', '020', '025', '030', '040', '060', '070', '080'].map((n) => `team-${n}`),
    );
  });

  it('lists the teams in a phase, of a person and with a prefix, page by page', async (t) => {
    const { here, there } = await opened(t);
    const [kari, ola] = [
      { email: 'kari@nav.no', username: 'kari', role: 'owner' as const },
      { email: 'ola@nav.no', username: 'ola', role: 'member' as const },
    ];
    const inPhase = (phase: 'Ready' | 'Degraded') => ({ status: { ...aRecord().status, phase } });
    const deletion = { requestedAt: aRecord().createdAt, deleteHomes: false, deleteSecret: false };
    await filled(here, [
      aRecord({ slug: 'data', members: [kari], ...inPhase('Ready') }),
      aRecord({ slug: 'data-a', members: [kari, ola], ...inPhase('Ready') }),
      aRecord({ slug: 'data-b', members: [ola], ...inPhase('Degraded') }),
      aRecord({ slug: 'data-c', members: [kari], ...inPhase('Ready'), deletion }),
      aRecord({ slug: 'data2', members: [kari], ...inPhase('Ready') }),
      aRecord({ slug: 'datb', members: [kari], ...inPhase('Ready') }),
    ]);
    const slugsOf = async (query: Omit<Parameters<Store['teams']>[0], 'limit'>, limit: number) =>
      (await walk((next) => there.teams({ ...query, limit, ...(next !== undefined && { after: next }) })))
        .map(({ slug }) => slug)
        .join(' ');
    for (const limit of [1, 2, 10]) {
      assert.equal(await slugsOf({ phase: 'Ready' }, limit), 'data data-a data2 datb');
      assert.equal(await slugsOf({ phase: 'Deleting' }, limit), 'data-c');
      assert.equal(await slugsOf({ phase: 'Pending' }, limit), '');
      assert.equal(await slugsOf({ slugPrefix: 'data-' }, limit), 'data-a data-b data-c');
      assert.equal(await slugsOf({ slugPrefix: 'data' }, limit), 'data data-a data-b data-c data2');
      assert.equal(await slugsOf({ slugPrefix: 'datb' }, limit), 'datb');
      assert.equal(await slugsOf({ slugPrefix: 'e' }, limit), '');
      assert.equal(await slugsOf({ phase: 'Ready', slugPrefix: 'data' }, limit), 'data data-a data2');
      assert.equal(await slugsOf({ member: 'ola@nav.no', phase: 'Ready' }, limit), 'data-a');
      assert.equal(await slugsOf({ member: 'kari@nav.no', slugPrefix: 'data-' }, limit), 'data-a data-c');
      const all = { member: 'kari@nav.no', phase: 'Ready', slugPrefix: 'data' } as const;
      assert.equal(await slugsOf(all, limit), 'data data-a data2');
    }
    await here.change('data-b', (current) => ({ next: { ...current, ...inPhase('Ready') } }));
    assert.equal(await slugsOf({ phase: 'Ready', slugPrefix: 'data-' }, 10), 'data-a data-b');
  });

  it('lists the teams of one person, as the members are now', async (t) => {
    const { here, there } = await opened(t);
    const kari: Member = { email: 'kari@nav.no', username: 'kari', role: 'owner' };
    const ola: Member = { email: 'ola@nav.no', username: 'ola', role: 'member' };
    await filled(here, [
      aRecord({ slug: 'team-a', members: [kari] }),
      aRecord({ slug: 'team-b', members: [ola] }),
      aRecord({ slug: 'team-c', members: [ola, kari] }),
      aRecord({ slug: 'team-d', members: [] }),
      aRecord({ slug: 'team-e', members: [kari, ola] }),
    ]);
    const slugsOf = async (member: string, limit = 10) =>
      (await walk((next) => there.teams({ member, limit, ...(next !== undefined && { after: next }) }))).map(
        ({ slug }) => slug,
      );
    assert.deepEqual(await slugsOf('kari@nav.no'), ['team-a', 'team-c', 'team-e']);
    assert.deepEqual(await slugsOf('kari@nav.no', 1), ['team-a', 'team-c', 'team-e']);
    assert.deepEqual(await slugsOf('kari'), []);
    await here.change('team-c', (current) => ({ next: { ...current, members: [ola] } }));
    await here.change('team-d', (current) => ({ next: { ...current, members: [kari] } }));
    assert.deepEqual(await slugsOf('kari@nav.no', 2), ['team-a', 'team-d', 'team-e']);
    assert.deepEqual(await slugsOf('ola@nav.no'), ['team-b', 'team-c', 'team-e']);
  });

  it('returns the due teams, longest due first', async (t) => {
    const { here, there } = await opened(t);
    const at = (minute: string) => `2026-11-23T09:${minute}:00.000Z`;
    const dueAt = (minute: string) => ({ reconcile: { dueAt: at(minute), failures: 0 } });
    await filled(here, [
      aRecord({ slug: 'team-a', ...dueAt('30') }),
      aRecord({ slug: 'team-b', ...dueAt('10') }),
      aRecord({ slug: 'team-c', ...dueAt('20') }),
      aRecord({ slug: 'team-d', ...dueAt('40') }),
    ]);
    assert.deepEqual(await there.due(at('30'), 10), ['team-b', 'team-c', 'team-a']);
    assert.deepEqual(await there.due(at('30'), 2), ['team-b', 'team-c']);
    assert.deepEqual(await there.due(at('05'), 10), []);
    await here.change('team-b', (current) => ({ next: { ...current, ...dueAt('50') } }));
    assert.deepEqual(await there.due(at('45'), 10), ['team-c', 'team-a', 'team-d']);
  });

  it('returns the teams due for culling, longest due first', async (t) => {
    const { here, there } = await opened(t);
    const at = (minute: string) => `2026-11-23T09:${minute}:00.000Z`;
    const culling = (minute: string | null) => ({
      culling: { dueAt: minute === null ? null : at(minute), servers: {} },
    });
    await filled(here, [
      aRecord({ slug: 'team-a', ...culling('30') }),
      aRecord({ slug: 'team-b', ...culling('10') }),
      aRecord({ slug: 'team-c', ...culling(null) }),
      aRecord({ slug: 'team-d', ...culling('20') }),
      aRecord({ slug: 'team-e', ...culling('40') }),
    ]);
    assert.deepEqual(await there.cullingDue(at('30'), 10), ['team-b', 'team-d', 'team-a']);
    assert.deepEqual(await there.cullingDue(at('30'), 2), ['team-b', 'team-d']);
    assert.deepEqual(await there.cullingDue(at('05'), 10), []);
    await here.change('team-b', (current) => ({ next: { ...current, ...culling(null) } }));
    await here.change('team-c', (current) => ({ next: { ...current, ...culling('15') } }));
    await here.remove('team-d', { id: 'team-d-3f9c', generation: 1 });
    assert.deepEqual(await there.cullingDue(at('59'), 10), ['team-c', 'team-a', 'team-e']);
  });

  it('returns the teams whose release is from another platform', async (t) => {
    const { here, there } = await opened(t);
    const release = (platformHash: string) => ({ release: { platformHash, spec: {} } });
    await filled(here, [
      aRecord({ slug: 'team-a', ...release('b') }),
      aRecord({ slug: 'team-b', ...release('a') }),
      aRecord({ slug: 'team-c', release: null }),
      aRecord({ slug: 'team-d', ...release('c') }),
      aRecord({ slug: 'team-e', ...release('a') }),
    ]);
    const outdated = (hash: string) => there.outdated(hash, 10);
    assert.deepEqual(await outdated('b'), ['team-b', 'team-e', 'team-d']);
    assert.deepEqual(await there.outdated('b', 2), ['team-b', 'team-e']);
    assert.deepEqual(await outdated('unknown'), ['team-b', 'team-e', 'team-a', 'team-d']);
    await here.change('team-b', (current) => ({ next: { ...current, ...release('b') } }));
    await here.change('team-d', (current) => ({ next: { ...current, release: null } }));
    await here.change('team-c', (current) => ({ next: { ...current, ...release('d') } }));
    assert.deepEqual(await outdated('b'), ['team-e', 'team-c']);
  });

  it('returns the teams that are Degraded on a platform', async (t) => {
    const { here, there } = await opened(t);
    const on = (platformHash: string, phase: 'Ready' | 'Degraded') => ({
      release: { platformHash, spec: {} },
      status: { ...aRecord().status, phase },
    });
    await filled(here, [
      aRecord({ slug: 'team-a', ...on('b', 'Degraded') }),
      aRecord({ slug: 'team-b', ...on('b', 'Ready') }),
      aRecord({ slug: 'team-c', ...on('a', 'Degraded') }),
      aRecord({ slug: 'team-d', ...on('b', 'Degraded') }),
      aRecord({ slug: 'team-e', ...on('b', 'Degraded'), release: null }),
    ]);
    assert.deepEqual(await there.degraded('b', 10), ['team-a', 'team-d']);
    assert.deepEqual(await there.degraded('b', 1), ['team-a']);
    await here.change('team-a', (current) => ({ next: { ...current, ...on('b', 'Ready') } }));
    await here.change('team-b', (current) => ({ next: { ...current, ...on('b', 'Degraded') } }));
    assert.deepEqual(await there.degraded('b', 10), ['team-b', 'team-d']);
    assert.deepEqual(await there.degraded('unknown', 10), []);
  });

  it('answers the teams that have opted in, with their namespaces and what their last reconcile left', async (t) => {
    const { here, there } = await opened(t);
    const listed = { egressHosts: ['secretmanager.googleapis.com'] };
    const left = (policies: string) => ({ status: { ...aRecord().status, policies } });
    await filled(here, [
      aRecord({ slug: 'team-a', ...listed, ...left('0123456789abcdef') }),
      aRecord({ slug: 'team-b' }),
      aRecord({ slug: 'team-c', ...listed, names: { ...aRecord().names, namespace: 'nada-notebooks' } }),
      aRecord({ slug: 'team-d', ...left('left over') }),
    ]);
    const restricted = async () => (await there.restricted()).toSorted((a, b) => (a.slug < b.slug ? -1 : 1));
    assert.deepEqual(await restricted(), [
      {
        slug: 'team-a',
        id: 'team-a-3f9c',
        namespace: 'team-team-a-3f9c',
        policies: '0123456789abcdef',
      },
      { slug: 'team-c', id: 'team-c-3f9c', namespace: 'nada-notebooks', policies: null },
    ]);
    await here.change('team-a', (current) => ({ next: { ...current, egressHosts: [] } }));
    await here.change('team-d', (current) => ({ next: { ...current, ...listed } }));
    assert.deepEqual(
      (await restricted()).map(({ slug }) => slug),
      ['team-c', 'team-d'],
    );
  });

  it('lists history newest first, page by page, while entries are added', async (t) => {
    const { here, there } = await opened(t);
    await filled(here, [aRecord(), aRecord({ slug: 'team-b' })]);
    for (let i = 0; i < 11; i += 1) await here.change('team-a', revised);
    const seen = await walk(
      (next) => there.history('team-a', { limit: 5, ...(next !== undefined && { before: Number(next) }) }),
      async () => {
        await here.change('team-a', revised);
      },
    );
    assert.deepEqual(
      seen.map(({ n }) => n),
      [12, 11, 10, 9, 8, 7, 6, 5, 4, 3, 2, 1],
    );
    assert.equal((await there.history('team-b', { limit: 5 })).items.length, 1);
  });

  it('finds the newest entry that led to a notebook revision with its spec', async (t) => {
    const { here, there } = await opened(t);
    await filled(here, [anOrderedRecord(), anOrderedRecord({ slug: 'team-b' })]);
    const small = aSpec({ storage: { home: '1Gi' } });
    const big = aSpec({ storage: { home: '99Gi' } });
    const events: HistoryEvent[] = [
      anEvent({ action: 'notebook_ordered', revision: 1, spec: small }),
      anEvent({ action: 'notebook_changed', revision: 2, spec: small }),
      anEvent({ action: 'notebook_restored', revision: 2, spec: big }),
      anEvent({ action: 'notebook_retried', revision: 2 }),
      anEvent({ action: 'team_updated', revision: null, spec: small }),
      anEvent({ action: 'notebook_deleted', revision: 3 }),
    ];
    for (const event of events) await here.change('team-a', (current) => ({ next: current, event }));
    assert.deepEqual(await there.notebookRevision('team-a', 1), { n: 2, ...events[0] });
    assert.deepEqual(await there.notebookRevision('team-a', 2), { n: 4, ...events[2] });
    assert.equal(await there.notebookRevision('team-a', 3), undefined);
    assert.equal(await there.notebookRevision('team-a', 4), undefined);
    assert.equal(await there.notebookRevision('team-b', 1), undefined);
  });

  it('returns a record exactly as it was written', async (t) => {
    const { here, there } = await opened(t);
    const hosts = Array.from({ length: 200 }, (_, i) => `${'å'.repeat(160)}${i}.example.no:1-65535`);
    const record = aRecord({
      members: [
        { email: 'æøå+tag@nav.no', username: 'ærlig “talt” 🦆 \u0000\u2028 \\ \' " %_', role: 'owner' },
      ],
      ghcrRepositories: ['navikt/a', 'navikt/b'],
      garTeam: '',
      revision: Number.MAX_SAFE_INTEGER,
      notebook: aNotebook({
        spec: aSpec({
          resources: {
            cpu: { guarantee: 0.1 + 0.2, limit: 1e-7 },
            memory: { guarantee: '0.5Gi', limit: '1Gi' },
          },
          allowlist: { enabled: true, hosts },
        }),
        image: { reference: 'r', digest: 'd', resolvedAt: '', newerDigest: null },
        deletion: { requestedAt: '2026-11-23T09:00:00.000Z', deleteHomes: false },
        retry: { at: '2026-11-23T09:00:00.000Z', force: true },
      }),
      deletion: { requestedAt: '2026-11-23T09:00:00.000Z', deleteHomes: true, deleteSecret: false },
      release: {
        platformHash: 'hash',
        spec: {
          __reserved__: { nested: [[1, [2, [null]]], []], 'dotted.key': { '': {} } },
          'a/b`c': ['x'.repeat(2_000), 1.5, true, null, {}],
        },
      },
      status: {
        phase: 'Degraded',
        conditions: [
          {
            type: 'Applied',
            status: 'Unknown',
            reason: 'KubernetesUnavailable',
            message: 'Linje 1\nlinje 2\ttab',
            lastTransitionTime: '2026-11-23T09:00:00.000Z',
          },
        ],
        appliedGeneration: 0,
        appliedRevision: 0,
        wasReady: true,
      },
      culling: {
        dueAt: null,
        servers: {
          'kari.nordmann@nav.no': { extendedUntil: '2026-11-23T09:00:00.000Z', probeFailingSince: '' },
          '0.1': { busyAt: '2026-11-23T09:00:00.000Z' },
          'ola+test': {},
        },
      },
      egressHosts: ['pypi.org', 'pypi.org', 'å.example.no'],
    });
    const event = anEvent({
      changes: [
        { pointer: '/a~1b/~0', from: null, to: [[1, [2]], [], {}, { __x__: [[]] }] },
        { pointer: '', from: hosts, to: false },
      ],
      bySubject: `“oid” \u0000 \u2028 ${'x'.repeat(255)}`,
      revision: 0,
      spec: aSpec({ allowlist: { enabled: true, hosts: ['x'.repeat(65_536)] } }),
    });
    assert.equal(await here.create(record, event), 'created');
    assert.deepEqual(await there.team('team-a'), record);
    assert.deepEqual(await there.history('team-a', { limit: 1 }), { items: [{ n: 1, ...event }] });
    assert.deepEqual(await there.notebookRevision('team-a', 0), { n: 1, ...event });
    await here.change('team-a', () => ({ next: touched(record), event }));
    assert.deepEqual(await there.team('team-a'), touched(record));
    assert.deepEqual(await there.history('team-a', { limit: 1 }), { items: [{ n: 2, ...event }], next: '2' });
    await here.change('team-a', () => ({ next: aRecord() }));
    assert.deepEqual(await there.team('team-a'), aRecord());
  });

  operationContract(opened);
  hostContract(opened);
  allowlistHostsContract(opened);
  requestContract(opened);
  olderSpecContract(opened);
  peopleContract(opened);

  it('stores the catalogue of environments, which is undefined at first', async (t) => {
    const { here, there } = await opened(t);
    assert.equal(await there.catalogue(), undefined);
    const catalogue = aCatalogue({ listed: { 'ghcr.io/navikt/å “b” \u0000 __x__': ['3.13'], '': [] } });
    const answer = await here.changeCatalogue((current) => {
      assert.equal(current, undefined);
      return catalogue;
    });
    assert.deepEqual(answer, catalogue);
    assert.deepEqual(await there.catalogue(), catalogue);
    assert.deepEqual(await here.teams({ limit: 10 }), { items: [] });
  });

  it('reads the end of life of a Python version as an earlier version spelled it', async (t) => {
    const { here, there } = await opened(t);
    const [version] = aCatalogue().pythonVersions;
    assert.ok(version);
    const spelled = { ...version, status: 'end-of-life' } as unknown as typeof version;
    await here.changeCatalogue(() => aCatalogue({ pythonVersions: [spelled] }));
    const read = await there.catalogue();
    assert.deepEqual(read?.pythonVersions, [{ ...version, status: 'end_of_life' }]);
  });

  it('passes the stored catalogue to the decision, and writes nothing when it returns undefined', async (t) => {
    const { here, there } = await opened(t);
    assert.equal(await here.changeCatalogue(() => undefined), undefined);
    assert.equal(await there.catalogue(), undefined);
    const first = aCatalogue();
    await here.changeCatalogue(() => first);
    const seen: unknown[] = [];
    const kept = await there.changeCatalogue((current) => {
      seen.push(current);
      return undefined;
    });
    const equal = await there.changeCatalogue((current) => structuredClone(current));
    assert.deepEqual([seen, kept, equal, await here.catalogue()], [[first], first, first, first]);
    const failing = there.changeCatalogue(() => {
      throw new Error('no decision');
    });
    await assert.rejects(failing, /no decision/);
    assert.deepEqual(await here.catalogue(), first);
  });

  it('loses no change of the catalogue when many write at the same time', async (t) => {
    const { all, here } = await opened(t);
    const writers = Array.from({ length: 12 }, (_, i) => `3.${i}`);
    await Promise.all(
      writers.map((python, i) =>
        (all[i % all.length] ?? here).changeCatalogue((current = aCatalogue()) => ({
          ...current,
          revision: current.revision + 1,
          listed: { all: [...(current.listed.all ?? []), python] },
        })),
      ),
    );
    const catalogue = await here.catalogue();
    assert.equal(catalogue?.revision, 12);
    assert.deepEqual(catalogue?.listed.all?.toSorted(), writers.toSorted());
  });

  it('does not replace a newer catalogue with an older one', async (t) => {
    const { here, there } = await opened(t);
    const next = (revision: number) => (current: Catalogue | undefined) =>
      current !== undefined && current.revision >= revision ? undefined : aCatalogue({ revision });
    await here.changeCatalogue(next(2));
    assert.equal((await there.changeCatalogue(next(1)))?.revision, 2);
    assert.equal((await here.catalogue())?.revision, 2);
  });

  it('answers a ping, and closes more than once', async (t) => {
    const { here } = await opened(t);
    await here.ping();
    await here.close();
  });
};
