import assert from 'node:assert/strict';
import { it } from 'node:test';
import type { Records } from '@knada/simulators/dns/records.ts';
import { openDnsResolver } from '../../src/adapters/dns.ts';
import type { DnsAnswer } from '../../src/ports/dns.ts';

/** A running DNS server that was started with `contractRecords` and fails for `contractFailing`. */
export interface NamesUnderTest {
  /** `address:port` */
  readonly server: string;
  /** Gives a name other addresses, at once. */
  set(name: string, addresses: readonly string[]): Promise<void>;
}

const many = Array.from({ length: 300 }, (_, i) => `93.184.${220 + (i >> 8)}.${i & 255}`);
const ipv6 = '2606:2800:21f::1946';

export const contractRecords: Readonly<Record<string, Records>> = {
  'one.test': { a: ['93.184.215.14'], ttlSeconds: 47 },
  'several.test': { a: ['93.184.215.22', '93.184.215.21', '93.184.215.23'] },
  'alias.test': { cname: 'target.test', ttlSeconds: 5 },
  'target.test': { a: ['93.184.215.30'] },
  'patient-alias.test': { cname: 'hasty.test' },
  'hasty.test': { a: ['93.184.215.31'], ttlSeconds: 9 },
  'first.test': { cname: 'second.test' },
  'second.test': { cname: 'third.test', ttlSeconds: 3 },
  'third.test': { a: ['93.184.215.32'] },
  'fleeting.test': { a: ['93.184.215.33'], ttlSeconds: 0 },
  'many.test': { a: many },
  'private.test': { a: ['10.20.1.5'] },
  'both.test': { a: ['93.184.215.40'], aaaa: [ipv6] },
  'ipv6.test': { aaaa: [ipv6] },
  'empty.test': {},
  'moving.test': { a: ['93.184.215.50'] },
};
export const contractFailing = 'failing.test';

const signal = () => AbortSignal.timeout(20_000);

/** What the adapter must make of any DNS server. */
export const dnsResolverContract = (open: () => NamesUnderTest): void => {
  const names = () => openDnsResolver({ servers: [open().server] });
  const resolve = (name: string): Promise<DnsAnswer> => names().resolve(name, signal());
  const addresses = async (name: string) => {
    const answer = await resolve(name);
    if (answer.answer !== 'addresses') assert.fail(`${name}: ${JSON.stringify(answer)}`);
    return answer.addresses;
  };

  it('finds the addresses of a name with their TTLs', async () => {
    assert.deepEqual(await addresses('one.test'), [{ address: '93.184.215.14', ttlSeconds: 47 }]);
    const several = await addresses('several.test');
    assert.deepEqual(
      several.map(({ address }) => address),
      ['93.184.215.21', '93.184.215.22', '93.184.215.23'],
    );
    assert.deepEqual(await addresses('fleeting.test'), [{ address: '93.184.215.33', ttlSeconds: 0 }]);
  });

  it('gives an address the shortest TTL on the way to it', async () => {
    assert.deepEqual(await addresses('alias.test'), [{ address: '93.184.215.30', ttlSeconds: 5 }]);
    assert.deepEqual(await addresses('patient-alias.test'), [{ address: '93.184.215.31', ttlSeconds: 9 }]);
    assert.deepEqual(await addresses('first.test'), [{ address: '93.184.215.32', ttlSeconds: 3 }]);
  });

  it('gets all of an answer that is too long for UDP', async () => {
    const found = await addresses('many.test');
    assert.deepEqual(
      found.map(({ address }) => address),
      many.toSorted(),
    );
  });

  it('returns private addresses like any other', async () => {
    assert.deepEqual(
      (await addresses('private.test')).map(({ address }) => address),
      ['10.20.1.5'],
    );
  });

  it('returns IPv6 addresses only if there are no IPv4 addresses', async () => {
    const told = async (name: string) => (await addresses(name)).map(({ address }) => address);
    assert.deepEqual(await told('both.test'), ['93.184.215.40']);
    assert.deepEqual(await told('ipv6.test'), [ipv6]);
  });

  it('answers absent for a name that does not exist, and for one without an address', async () => {
    assert.deepEqual(await resolve('missing.test'), { answer: 'absent' });
    assert.deepEqual(await resolve('empty.test'), { answer: 'absent' });
  });

  it('answers failed with the reason when DNS gives no answer', async () => {
    assert.deepEqual(await resolve(contractFailing), {
      answer: 'failed',
      message: 'The name’s DNS servers gave no answer (SERVFAIL).',
    });
  });

  it('caches nothing: the next query returns a changed address', async () => {
    const all = names();
    const told = async () => {
      const answer = await all.resolve('moving.test', signal());
      return answer.answer === 'addresses' ? answer.addresses.map(({ address }) => address) : answer;
    };
    for (const moved of [['93.184.215.51'], ['93.184.215.52', '93.184.215.53'], ['93.184.215.51']]) {
      await open().set('moving.test', moved);
      assert.deepEqual(await told(), moved);
    }
    await open().set('moving.test', []);
    assert.deepEqual(await told(), { answer: 'absent' });
  });

  it('answers concurrent queries, each with its own result', async () => {
    const all = names();
    const asked = ['one.test', 'alias.test', 'missing.test', 'private.test', 'many.test'];
    const alone = await Promise.all(asked.map((name) => resolve(name)));
    const rounds = Array.from({ length: 20 }, () => asked).flat();
    const together = await Promise.all(rounds.map((name) => all.resolve(name, signal())));
    for (const [i, answer] of together.entries()) assert.deepEqual(answer, alone[i % asked.length]);
  });
};
