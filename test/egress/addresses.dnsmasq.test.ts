import assert from 'node:assert/strict';
import { after, before, describe, it, type TestContext } from 'node:test';
import { type Dns, startDns } from '@knada/simulators/dns/server.ts';
import { absent, type Dnsmasq, startDnsmasq } from '@knada/simulators/real/dnsmasq.ts';
import { openDnsResolver } from '../../src/adapters/dns.ts';
import { openSqliteStore } from '../../src/adapters/sqlite.ts';
import { type AddressDeps, refreshHosts, wantHosts } from '../../src/egress/addresses.ts';
import { allowPolicy } from '../../src/egress/allow.ts';
import { defaultEntryOptions, parseAllowlist } from '../../src/egress/entry.ts';
import { addressesOf, hostState } from '../../src/egress/freshness.ts';
import { defaultEgressSettings } from '../../src/egress/policy.ts';
import { aMoment, aNaming } from '../support/records.ts';

const minute = 60_000;
const many = Array.from({ length: 300 }, (_, i) => `198.35.${i >> 8}.${i & 255}`);

/** From real DNS to the peers of a policy, at an hour that the test sets. */
describe('an allowlist and the real dnsmasq', { skip: absent() }, () => {
  let upstream: Dns;
  let dnsmasq: Dnsmasq;
  before(async () => {
    upstream = await startDns();
    dnsmasq = await startDnsmasq({
      records: {
        'moving.example.com': { a: ['198.35.26.1', '198.35.26.2'] },
        'mixed.example.com': { a: ['198.35.26.1', '10.0.0.1'] },
        'private.example.com': { a: ['10.20.1.5', '169.254.169.254'] },
        'many.example.com': { a: many },
        'ipv6.example.com': { aaaa: ['2620:0:862:ed1a::1'] },
        'turning.example.com': { a: ['198.35.26.7'] },
      },
      forward: [{ domain: 'failing.example.com', to: upstream }],
    });
  });
  after(async () => {
    await dnsmasq.close();
    await upstream.close();
  });

  const aWorld = (t: TestContext, host: string) => {
    const store = openSqliteStore({ file: ':memory:', naming: aNaming });
    t.after(() => store.close());
    let now = Date.parse(aMoment);
    const nothing = () => {};
    const deps: AddressDeps = {
      store,
      dns: openDnsResolver({ servers: [`127.0.0.1:${dnsmasq.port}`] }),
      clock: { now: () => now },
      log: { info: nothing, warn: nothing, error: nothing },
      random: () => 0,
    };
    return {
      /** One minute of the scheduler: records the wanted hosts and resolves those that are due. */
      async minutes(count: number): Promise<void> {
        for (let i = 0; i < count; i += 1) {
          await wantHosts(deps, [host], true);
          await refreshHosts(deps);
          now += minute;
        }
      },
      /** What a policy compiled now opens, and the reported state of the host. */
      async compiled() {
        const record = (await store.hosts([host])).get(host);
        assert.ok(record !== undefined);
        const { entries } = parseAllowlist([host], defaultEntryOptions);
        const meta = { namespace: 'team-a', labels: {}, annotations: {} };
        const addresses = new Map([[host, addressesOf(record)]]);
        const { policy, hosts } = allowPolicy(meta, entries, addresses, defaultEgressSettings);
        const peers = policy?.spec.egress?.flatMap(({ to }) => to?.map(({ ipBlock }) => ipBlock?.cidr) ?? []);
        return { peers: peers ?? [], report: hosts[0], state: hostState(record, now) };
      },
    };
  };

  it('opens the addresses of the last hour, and no older ones', async (t) => {
    const world = aWorld(t, 'moving.example.com');
    await world.minutes(1);
    await dnsmasq.set('moving.example.com', ['198.35.26.3']);
    await world.minutes(55);
    assert.deepEqual((await world.compiled()).peers, ['198.35.26.1/32', '198.35.26.2/32', '198.35.26.3/32']);
    await world.minutes(12);
    assert.deepEqual((await world.compiled()).peers, ['198.35.26.3/32']);
  });

  it('opens the public addresses of an answer, and reports those that it left out', async (t) => {
    const world = aWorld(t, 'mixed.example.com');
    await world.minutes(1);
    const { peers, report } = await world.compiled();
    assert.deepEqual(peers, ['198.35.26.1/32']);
    assert.equal(report?.status, 'resolved');
    assert.deepEqual(
      report?.filtered.map(({ address }) => address),
      ['10.0.0.1'],
    );
  });

  it('opens nothing for a name with private addresses', async (t) => {
    const world = aWorld(t, 'private.example.com');
    await world.minutes(1);
    const { peers, report } = await world.compiled();
    assert.deepEqual(peers, []);
    assert.equal(report?.status, 'blocked_private_answer');
  });

  it('never opens a private address that a name changes to, while the public address expires', async (t) => {
    const world = aWorld(t, 'turning.example.com');
    await world.minutes(1);
    await dnsmasq.set('turning.example.com', ['10.0.0.9']);
    await world.minutes(30);
    assert.deepEqual((await world.compiled()).peers, ['198.35.26.7/32']);
    await world.minutes(36);
    const { peers, report } = await world.compiled();
    assert.deepEqual(peers, []);
    assert.equal(report?.status, 'blocked_private_answer');
  });

  it('opens 128 of 300 addresses, and reports that there are more', async (t) => {
    const world = aWorld(t, 'many.example.com');
    await world.minutes(1);
    const first = await world.compiled();
    assert.equal(first.peers.length, 128);
    assert.deepEqual(first.state, { state: 'too_many_addresses' });
    await world.minutes(10);
    assert.deepEqual((await world.compiled()).peers, first.peers, 'the same ones every time');
  });

  it('opens nothing for a name with IPv6 addresses only', async (t) => {
    const world = aWorld(t, 'ipv6.example.com');
    await world.minutes(1);
    const { peers, report } = await world.compiled();
    assert.deepEqual(peers, []);
    assert.equal(report?.status, 'ipv6_only');
  });

  it('keeps the addresses while DNS fails, and adds new ones when DNS recovers', async (t) => {
    const world = aWorld(t, 'failing.example.com');
    upstream.set('failing.example.com', { a: ['198.35.26.5'], ttlSeconds: 0 });
    await world.minutes(1);
    const over = upstream.fail('failing.example.com');
    await world.minutes(5 * 60);
    const dead = await world.compiled();
    assert.deepEqual(dead.peers, ['198.35.26.5/32']);
    assert.partialDeepStrictEqual(dead.state, { state: 'stale', since: aMoment });
    over();
    upstream.set('failing.example.com', { a: ['198.35.26.6'], ttlSeconds: 0 });
    await world.minutes(7);
    assert.ok((await world.compiled()).peers.includes('198.35.26.6/32'));
  });
});
