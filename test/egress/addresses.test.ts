import assert from 'node:assert/strict';
import { describe, it, type TestContext } from 'node:test';
import { openSqliteStore } from '../../src/adapters/sqlite.ts';
import { type AddressDeps, lookNow, refreshHosts, wantHosts } from '../../src/egress/addresses.ts';
import { addressesOf } from '../../src/egress/freshness.ts';
import type { DnsAnswer } from '../../src/ports/dns.ts';
import type { Store } from '../../src/ports/store.ts';
import { aMoment, aNaming, anEvent, aRecord } from '../support/records.ts';

const start = Date.parse(aMoment);
const minute = 60_000;
const iso = (at: number): string => new Date(at).toISOString();
const found = (...addresses: readonly string[]): DnsAnswer => ({
  answer: 'addresses',
  addresses: addresses.map((address) => ({ address, ttlSeconds: 60 })),
});
const failed: DnsAnswer = { answer: 'failed', message: 'SERVFAIL' };
const signal = () => AbortSignal.timeout(20_000);

/** A store of its own, with what it was asked; DNS as the test says; an hour that the test sets. */
const aWorld = (t: TestContext) => {
  const store = openSqliteStore({ file: ':memory:', naming: aNaming });
  t.after(() => store.close());
  let now = start;
  const calls: string[] = [];
  const counted = new Proxy(store, {
    get: (target, key: keyof Store) => {
      const method = target[key];
      return (...asked: never[]) => {
        calls.push(key);
        return Reflect.apply(method, target, asked);
      };
    },
  });
  const dns = new Map<string, DnsAnswer | ((signal: AbortSignal) => Promise<DnsAnswer>)>();
  const resolved: string[] = [];
  const events: { readonly event: string; readonly fields: object }[] = [];
  const note = (fields: object, event: string) => void events.push({ event, fields });
  const deps: AddressDeps = {
    store: counted,
    clock: { now: () => now },
    log: { info: note, warn: note, error: note },
    random: () => 0,
    dns: {
      resolve: async (name, asked) => {
        resolved.push(name);
        const answer = dns.get(name) ?? { answer: 'absent' };
        return typeof answer === 'function' ? answer(asked) : answer;
      },
    },
  };
  return {
    deps,
    store,
    dns,
    resolved,
    events,
    calls,
    pass: (ms: number) => {
      now += ms;
    },
    now: () => now,
    want: (...names: readonly string[]) => wantHosts(deps, names, true),
    async known(name: string): Promise<readonly string[]> {
      const host = (await store.hosts([name])).get(name);
      assert.ok(host !== undefined, `${name} is not known`);
      return addressesOf(host);
    },
    /** A team with these hosts on its list, whose next look lies half an hour ahead. */
    async team(slug: string, ...egressHosts: readonly string[]): Promise<void> {
      const reconcile = { dueAt: iso(start + 30 * minute), failures: 0 };
      const team = aRecord({ slug, egressHosts, reconcile, statusVersion: 4 });
      assert.equal(await store.create(team, anEvent()), 'created');
    },
    async dueInMs(slug: string): Promise<number> {
      const team = await store.team(slug);
      assert.ok(team !== undefined);
      assert.equal(team.statusVersion, 4, 'nobody who reads the team sees a difference');
      return Date.parse(team.reconcile.dueAt) - now;
    },
  };
};

describe('a pass over the hosts', () => {
  it('spends a bounded time on names without an answer, and resolves the others', async (t) => {
    const world = aWorld(t);
    const silent = Array.from({ length: 600 }, (_, n) => `silent-${n}.example`);
    const never = (signal: AbortSignal) =>
      new Promise<DnsAnswer>((_resolve, reject) => {
        signal.addEventListener('abort', () => reject(signal.reason), { once: true });
      });
    for (const name of silent) world.dns.set(name, never);
    await world.want(...silent);
    world.pass(1);
    world.dns.set('healthy.example', {
      answer: 'addresses',
      addresses: [{ address: '192.0.2.1', ttlSeconds: 60 }],
    });
    await world.want('healthy.example');
    let failed = 0;
    let passes = 0;
    // Every pass gets on: a name without an answer backs off, and is not what the next pass begins with.
    while ((await world.known('healthy.example')).length === 0) {
      const report = await refreshHosts(world.deps, undefined, { startMs: 300, hostMs: 30 });
      assert.ok(report.looked > 0, `pass ${passes} did nothing`);
      failed += report.failed;
      passes += 1;
    }
    assert.equal(failed, silent.length);
    assert.equal(world.events.filter(({ event }) => event === 'host not resolved').length, silent.length);
  });

  it('costs one query when nothing is due', async (t) => {
    const world = aWorld(t);
    assert.deepEqual(await refreshHosts(world.deps), { looked: 0, failed: 0, changed: 0 });
    assert.deepEqual(world.calls, ['hostsDue']);
    assert.deepEqual(world.resolved, []);
  });

  it('queries DNS twice for each due host, and for no other', async (t) => {
    const world = aWorld(t);
    world.dns.set('a.example.com', found('198.35.26.1'));
    world.dns.set('b.example.com', found('198.35.26.2'));
    await world.want('a.example.com', 'b.example.com');
    assert.deepEqual(await refreshHosts(world.deps), { looked: 2, failed: 0, changed: 2 });
    assert.deepEqual(world.resolved.toSorted(), [
      'a.example.com',
      'a.example.com',
      'b.example.com',
      'b.example.com',
    ]);
    assert.deepEqual(await refreshHosts(world.deps), { looked: 0, failed: 0, changed: 0 });
    world.pass(minute);
    assert.deepEqual(await refreshHosts(world.deps), { looked: 2, failed: 0, changed: 0 });
    assert.deepEqual(await world.known('b.example.com'), ['198.35.26.2']);
  });

  it('merges the two answers', async (t) => {
    const world = aWorld(t);
    let turn = 0;
    world.dns.set('a.example.com', async () => found(`198.35.26.${++turn}`));
    await world.want('a.example.com');
    await refreshHosts(world.deps);
    assert.deepEqual(await world.known('a.example.com'), ['198.35.26.1', '198.35.26.2']);
  });

  it('an overlapping pass resolves no host twice', async (t) => {
    const world = aWorld(t);
    const names = Array.from({ length: 30 }, (_, i) => `h${i}.example.com`);
    for (const name of names) world.dns.set(name, found('198.35.26.1'));
    await world.want(...names);
    const reports = await Promise.all([refreshHosts(world.deps), refreshHosts(world.deps)]);
    assert.equal(
      reports.reduce((sum, { looked }) => sum + looked, 0),
      names.length,
    );
    assert.equal(world.resolved.length, 2 * names.length);
  });

  it('a host is resolved in the next minute when its lease holder crashed', async (t) => {
    const world = aWorld(t);
    await world.want('a.example.com');
    const gone = new AbortController();
    world.dns.set('a.example.com', async (asked) => {
      gone.abort();
      throw asked.reason;
    });
    assert.deepEqual(await refreshHosts(world.deps, gone.signal), { looked: 0, failed: 0, changed: 0 });
    world.dns.set('a.example.com', found('198.35.26.1'));
    assert.equal((await refreshHosts(world.deps)).looked, 0);
    world.pass(minute);
    assert.equal((await refreshHosts(world.deps)).looked, 1);
  });

  it('has every team that lists a host with a new address reconciled now, and no other', async (t) => {
    const world = aWorld(t);
    await world.team('team-a', 'a.example.com', 'b.example.com');
    await world.team('team-b', 'b.example.com');
    world.dns.set('a.example.com', found('198.35.26.1'));
    world.dns.set('b.example.com', found('198.35.26.2'));
    await world.want('a.example.com', 'b.example.com');
    await refreshHosts(world.deps);
    assert.equal(await world.dueInMs('team-a'), 0);
    assert.equal(await world.dueInMs('team-b'), 0);
    for (const slug of ['team-a', 'team-b']) {
      await world.store.change(slug, (team) => ({
        next: { ...team, reconcile: { dueAt: iso(start + 30 * minute), failures: 2 } },
      }));
    }
    world.pass(minute);
    world.dns.set('a.example.com', found('198.35.26.1', '198.35.26.9'));
    assert.equal((await refreshHosts(world.deps)).changed, 1);
    assert.equal(await world.dueInMs('team-a'), 0);
    assert.equal((await world.store.team('team-a'))?.reconcile.failures, 2);
    assert.equal(await world.dueInMs('team-b'), 29 * minute);
  });

  it('writes no team that is due already', async (t) => {
    const world = aWorld(t);
    await world.team('team-a', 'a.example.com');
    const early = iso(start - minute);
    await world.store.change('team-a', (team) => ({
      next: { ...team, reconcile: { ...team.reconcile, dueAt: early } },
    }));
    world.dns.set('a.example.com', found('198.35.26.1'));
    await world.want('a.example.com');
    await refreshHosts(world.deps);
    assert.equal((await world.store.team('team-a'))?.reconcile.dueAt, early);
  });

  it('removes expired addresses within ten minutes', async (t) => {
    const world = aWorld(t);
    world.dns.set('a.example.com', found('198.35.26.1', '198.35.26.2'));
    await world.want('a.example.com');
    await refreshHosts(world.deps);
    world.dns.set('a.example.com', found('198.35.26.1'));
    for (let i = 0; i < 59; i += 1) {
      world.pass(minute);
      await world.want('a.example.com');
      assert.equal((await refreshHosts(world.deps)).changed, 0);
    }
    await world.team('team-a', 'a.example.com');
    await world.store.change('team-a', (team) => ({
      next: { ...team, reconcile: { ...team.reconcile, dueAt: iso(world.now() + 30 * minute) } },
    }));
    world.pass(2 * minute);
    assert.equal((await refreshHosts(world.deps)).changed, 1);
    assert.deepEqual(await world.known('a.example.com'), ['198.35.26.1']);
    assert.equal(await world.dueInMs('team-a'), 10 * minute);
  });

  it('keeps addresses when DNS fails, logs it once, and continues with the other hosts', async (t) => {
    const world = aWorld(t);
    world.dns.set('a.example.com', found('198.35.26.1'));
    world.dns.set('b.example.com', found('198.35.26.2'));
    await world.want('a.example.com', 'b.example.com');
    await refreshHosts(world.deps);
    world.dns.set('a.example.com', failed);
    world.dns.set('b.example.com', found('198.35.26.2', '198.35.26.3'));
    for (let i = 0; i < 5; i += 1) {
      world.pass(5 * minute);
      const report = await refreshHosts(world.deps);
      assert.equal(report.failed, 1);
    }
    assert.deepEqual(await world.known('a.example.com'), ['198.35.26.1']);
    assert.deepEqual(await world.known('b.example.com'), ['198.35.26.2', '198.35.26.3']);
    assert.deepEqual(
      world.events.map(({ event }) => event),
      ['host not resolved'],
    );
  });

  it('counts a host whose lookup throws, and retries it', async (t) => {
    const world = aWorld(t);
    world.dns.set('a.example.com', () => Promise.reject(new TypeError('nobody expected this')));
    await world.want('a.example.com');
    assert.deepEqual(await refreshHosts(world.deps), { looked: 0, failed: 1, changed: 0 });
    assert.deepEqual(
      world.events.map(({ event }) => event),
      ['host lookup failed'],
    );
    world.dns.set('a.example.com', found('198.35.26.1'));
    world.pass(minute);
    assert.equal((await refreshHosts(world.deps)).looked, 1);
  });

  it('continues when a team’s reconcile cannot be scheduled', async (t) => {
    const world = aWorld(t);
    await world.team('team-a', 'a.example.com');
    await world.team('team-b', 'a.example.com');
    world.dns.set('a.example.com', found('198.35.26.1'));
    await world.want('a.example.com');
    const change: Store['change'] = (slug, decide) =>
      slug === 'team-a' ? Promise.reject(new Error('busy')) : world.store.change(slug, decide);
    await refreshHosts({ ...world.deps, store: { ...world.store, change } });
    assert.equal(await world.dueInMs('team-b'), 0);
    assert.deepEqual(
      world.events.map(({ event }) => event),
      ['reconcile for new addresses not scheduled'],
    );
  });

  it('stops resolving hosts that no team lists any more', async (t) => {
    const world = aWorld(t);
    world.dns.set('a.example.com', found('198.35.26.1'));
    await world.want('a.example.com');
    for (let i = 0; i < 40; i += 1) {
      await refreshHosts(world.deps);
      world.pass(5 * minute);
    }
    const asked = world.resolved.length;
    world.pass(48 * 60 * minute);
    assert.equal((await refreshHosts(world.deps)).looked, 0);
    assert.equal(world.resolved.length, asked);
  });
});

describe('recording that hosts are wanted', () => {
  it('costs one query and no write while they are recorded', async (t) => {
    const world = aWorld(t);
    await world.want('a.example.com', 'b.example.com');
    world.calls.length = 0;
    const known = await world.want('a.example.com', 'b.example.com');
    assert.deepEqual([...known.keys()].toSorted(), ['a.example.com', 'b.example.com']);
    assert.deepEqual(world.calls, ['hosts']);
    await world.want();
    assert.deepEqual(world.calls, ['hosts']);
  });

  it('returns the hosts as recorded', async (t) => {
    const world = aWorld(t);
    const known = await world.want('a.example.com');
    assert.deepEqual(known, await world.store.hosts(['a.example.com']));
  });
});

describe('resolving hosts at once', () => {
  it('returns the addresses of a list that was just ordered', async (t) => {
    const world = aWorld(t);
    const names = Array.from({ length: 45 }, (_, i) => `h${i}.example.com`);
    for (const [i, name] of names.entries()) world.dns.set(name, found(`198.35.26.${i}`));
    await world.want(...names);
    const known = await lookNow(world.deps, names, { signal: signal() });
    for (const [i, name] of names.entries()) {
      const host = known.get(name);
      assert.ok(host !== undefined);
      assert.deepEqual(addressesOf(host), [`198.35.26.${i}`]);
    }
    assert.equal((await refreshHosts(world.deps)).looked, 0);
  });

  it('does not resolve hosts resolved in the last 30 seconds, nor unwanted hosts', async (t) => {
    const world = aWorld(t);
    world.dns.set('a.example.com', found('198.35.26.1'));
    await world.want('a.example.com');
    await lookNow(world.deps, ['a.example.com', 'unknown.example.com'], { signal: signal() });
    world.calls.length = 0;
    world.resolved.length = 0;
    const known = await lookNow(world.deps, ['a.example.com'], { signal: signal() });
    assert.deepEqual([...known.keys()], ['a.example.com']);
    assert.deepEqual(world.resolved, []);
    assert.deepEqual(world.calls, ['hosts']);
    world.pass(31_000);
    await lookNow(world.deps, ['a.example.com'], { signal: signal() });
    assert.equal(world.resolved.length, 2);
  });

  it('returns at its deadline when DNS hangs, keeps what is known, and leaves the rest to the next pass', async (t) => {
    const world = aWorld(t);
    const never = (asked: AbortSignal) =>
      new Promise<DnsAnswer>((_, reject) => {
        asked.addEventListener('abort', () => reject(asked.reason));
      });
    world.dns.set('a.example.com', found('198.35.26.1'));
    await world.want('a.example.com', 'slow.example.com');
    await refreshHosts(world.deps);
    world.pass(minute);
    world.dns.set('a.example.com', never);
    const options = { signal: signal(), deadlineMs: 20 };
    const known = await lookNow(world.deps, ['a.example.com', 'slow.example.com'], options);
    assert.equal(known.get('a.example.com')?.lastError, 'DNS did not answer in time.');
    assert.deepEqual(await world.known('a.example.com'), ['198.35.26.1']);
    world.resolved.length = 0;
    await lookNow(world.deps, ['a.example.com'], options);
    assert.deepEqual(world.resolved, [], 'nobody waits for dead DNS twice in a row');
    world.dns.set('a.example.com', found('198.35.26.1'));
    world.pass(30_000);
    assert.equal((await refreshHosts(world.deps)).looked, 1);
  });

  it('an aborted lookup records nothing about DNS', async (t) => {
    const world = aWorld(t);
    await world.want('a.example.com');
    const caller = new AbortController();
    world.dns.set('a.example.com', async (asked) => {
      caller.abort();
      throw asked.reason;
    });
    await lookNow(world.deps, ['a.example.com'], { signal: caller.signal });
    const host = (await world.store.hosts(['a.example.com'])).get('a.example.com');
    assert.partialDeepStrictEqual(host, { failures: 0, lastError: null, lastLookAt: null });
  });

  it('reconciles the other teams for new addresses, but not the caller', async (t) => {
    const world = aWorld(t);
    await world.team('team-a', 'a.example.com');
    await world.team('team-b', 'a.example.com');
    world.dns.set('a.example.com', found('198.35.26.1'));
    await world.want('a.example.com');
    await lookNow(world.deps, ['a.example.com'], { signal: signal(), except: 'team-a' });
    assert.equal(await world.dueInMs('team-a'), 30 * minute);
    assert.equal(await world.dueInMs('team-b'), 0);
  });
});
