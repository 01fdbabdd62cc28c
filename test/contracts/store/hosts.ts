import assert from 'node:assert/strict';
import { it } from 'node:test';
import type { HostRecord } from '../../../src/model/host.ts';
import type { Store } from '../../../src/ports/store.ts';
import { aMoment, anEvent, aRecord } from '../../support/records.ts';
import type { Opened } from '../store.ts';

const at = (minute: number) => `2026-11-23T09:${String(minute).padStart(2, '0')}:00.000Z`;

const aHost = (name: string, overrides: Partial<HostRecord> = {}): HostRecord => ({
  name,
  addresses: {},
  lastLookAt: null,
  lastSuccessAt: null,
  failures: 0,
  lastError: null,
  absent: null,
  wantedAt: aMoment,
  liveAt: null,
  dueAt: aMoment,
  ...overrides,
});

const keep = (store: Store, ...hosts: readonly HostRecord[]) =>
  Promise.all(hosts.map((host) => store.changeHost(host.name, () => host)));

/** What every HostStore must do. */
export const hostContract = (opened: Opened): void => {
  it('keeps a host exactly as it was given', async (t) => {
    const { here, there } = await opened(t);
    const seen = { firstSeenAt: at(0), lastSeenAt: at(1), ttlSeconds: 30 };
    const host = aHost('pypi.org', {
      addresses: { '151.101.0.223': seen, '2a04:4e42::223': { ...seen, ttlSeconds: 0 } },
      lastError: 'SERVFAIL “x” 🦆 \u0000',
      absent: { since: at(2), seen: 3 },
      liveAt: at(3),
    });
    assert.deepEqual(await here.changeHost('pypi.org', () => host), host);
    assert.deepEqual(await there.hosts(['pypi.org']), new Map([['pypi.org', host]]));
  });

  it('returns only the known hosts', async (t) => {
    const { here, there } = await opened(t);
    const long = `${'a'.repeat(63)}.${'b'.repeat(63)}.${'c'.repeat(63)}.${'d'.repeat(61)}`;
    const names = [long, 'a.no', ...Array.from({ length: 60 }, (_, i) => `${i}.example.no`)];
    await keep(here, ...names.map((name) => aHost(name)));
    const found = await there.hosts(['b.no', ...names, 'a.no']);
    assert.deepEqual([...found.keys()].toSorted(), names.toSorted());
    for (const [name, host] of found) assert.deepEqual(host, aHost(name));
    assert.deepEqual(await there.hosts(['b.no']), new Map());
    assert.deepEqual(await there.hosts([]), new Map());
  });

  it('passes the stored host to the decision, and writes nothing when it returns undefined', async (t) => {
    const { here, there } = await opened(t);
    assert.equal(await here.changeHost('nav.no', () => undefined), undefined);
    assert.deepEqual(await there.hosts(['nav.no']), new Map());
    const seen: unknown[] = [];
    const first = aHost('nav.no');
    await here.changeHost('nav.no', (current) => {
      seen.push(current);
      return first;
    });
    const kept = await there.changeHost('nav.no', (current) => {
      seen.push(current);
      return undefined;
    });
    const equal = await there.changeHost('nav.no', (current) => structuredClone(current));
    assert.deepEqual([seen, kept, equal], [[undefined, first], first, first]);
    const failing = there.changeHost('nav.no', () => {
      throw new Error('no decision');
    });
    await assert.rejects(failing, /no decision/);
    await assert.rejects(
      there.changeHost('nav.no', () => aHost('nav.com')),
      TypeError,
    );
    assert.deepEqual(await here.hosts(['nav.no', 'nav.com']), new Map([['nav.no', first]]));
  });

  it('loses no change of a host that many write at the same time, the first time included', async (t) => {
    const { all, here, there } = await opened(t);
    const addresses = Array.from({ length: 24 }, (_, i) => `10.0.0.${i}`);
    const seen = { firstSeenAt: at(0), lastSeenAt: at(0), ttlSeconds: 30 };
    await Promise.all(
      addresses.map((address, i) =>
        (all[i % all.length] ?? here).changeHost('nav.no', (current = aHost('nav.no')) => ({
          ...current,
          failures: current.failures + 1,
          addresses: { ...current.addresses, [address]: seen },
        })),
      ),
    );
    const host = (await there.hosts(['nav.no'])).get('nav.no');
    assert.equal(host?.failures, 24);
    assert.deepEqual(Object.keys(host.addresses).toSorted(), addresses.toSorted());
  });

  it('returns the due hosts, longest due first, without hosts that no team lists', async (t) => {
    const { here, there } = await opened(t);
    await keep(
      here,
      aHost('a.no', { dueAt: at(30) }),
      aHost('b.no', { dueAt: at(10) }),
      aHost('c.no', { dueAt: null }),
      aHost('d.no', { dueAt: at(20) }),
      aHost('e.no', { dueAt: at(40) }),
    );
    assert.deepEqual(await there.hostsDue(at(30), 10), ['b.no', 'd.no', 'a.no']);
    assert.deepEqual(await there.hostsDue(at(30), 2), ['b.no', 'd.no']);
    assert.deepEqual(await there.hostsDue(at(9), 10), []);
    await here.changeHost('b.no', () => aHost('b.no', { dueAt: null }));
    await here.changeHost('c.no', () => aHost('c.no', { dueAt: at(15) }));
    assert.deepEqual(await there.hostsDue(at(59), 10), ['c.no', 'd.no', 'a.no', 'e.no']);
  });

  it('returns the teams that currently list a host', async (t) => {
    const { here, there } = await opened(t);
    // More than one question to Firestore has room for.
    const many = Array.from({ length: 75 }, (_, i) => `${i}.example.no`);
    const lists = {
      'team-d': ['pypi.org'],
      'team-a': ['nav.no', 'pypi.org', 'nav.no'],
      'team-b': [],
      'team-c': ['74.example.no', '3.example.no'],
    };
    for (const [slug, egressHosts] of Object.entries(lists)) {
      assert.equal(await here.create(aRecord({ slug, egressHosts }), anEvent()), 'created');
    }
    assert.deepEqual(await there.listing(['pypi.org']), ['team-a', 'team-d']);
    assert.deepEqual(await there.listing(['nav.no', 'pypi.org']), ['team-a', 'team-d']);
    assert.deepEqual(await there.listing([...many, 'pypi.org']), ['team-a', 'team-c', 'team-d']);
    assert.deepEqual(await there.listing(['org', 'PYPI.ORG']), []);
    assert.deepEqual(await there.listing([]), []);

    const list = (slug: string, egressHosts: readonly string[]) =>
      here.change(slug, (current) => ({ next: { ...current, egressHosts } }));
    await list('team-a', ['nav.no']);
    await list('team-b', ['pypi.org']);
    await here.remove('team-d', { id: 'team-d-3f9c', generation: 1 });
    assert.deepEqual(await there.listing(['pypi.org', ...many, 'nav.no']), ['team-a', 'team-b', 'team-c']);
    assert.deepEqual(await there.listing(['pypi.org']), ['team-b']);
  });
};
