import assert from 'node:assert/strict';
import { BlockList } from 'node:net';
import { describe, it } from 'node:test';
import fc from 'fast-check';
import {
  type Cidr,
  contains,
  forbiddenRange,
  forbiddenWithin,
  lastOf,
  parseCidr,
  parseIpv4,
  parseIpv6,
  printCidr,
  printIpv4,
} from '../../src/egress/ranges.ts';

const nothingSet = { clusterRanges: [], privateRanges: [] };

const cidr = (text: string): Cidr => {
  const parsed = parseCidr(text);
  assert.ok(parsed, text);
  return parsed;
};

describe('IPv4 arithmetic', () => {
  it('prints every address as the text it was read from', () => {
    fc.assert(
      fc.property(fc.ipV4(), (text) => {
        const address = parseIpv4(text);
        assert.ok(address !== undefined && address >= 0);
        assert.equal(printIpv4(address), text);
      }),
    );
  });

  it('stays unsigned at the top of the address space', () => {
    assert.equal(parseIpv4('255.255.255.255'), 4_294_967_295);
    assert.equal(lastOf(cidr('128.0.0.0/1')), 4_294_967_295);
    assert.equal(lastOf(cidr('0.0.0.0/0')), 4_294_967_295);
  });

  for (const text of [
    '',
    '1.2.3',
    '1.2.3.4.5',
    '01.2.3.4',
    '1.2.3.256',
    '0x1.2.3.4',
    ' 1.2.3.4',
    '1.2.3.+4',
    '1e1.2.3.4',
    '１.2.3.4',
  ]) {
    it(`rejects ${JSON.stringify(text)} as an address`, () => {
      assert.equal(parseIpv4(text), undefined);
    });
  }

  for (const text of [
    '10.0.0.1/8',
    '10.0.0.0/33',
    '10.0.0.0/08',
    '10.0.0.0/',
    '10.0.0.0/8/8',
    '/8',
    '10.0.0.0/-1',
  ]) {
    it(`rejects ${JSON.stringify(text)} as a range`, () => {
      assert.equal(parseCidr(text), undefined);
    });
  }

  it('agrees with Node about the addresses of a range', () => {
    fc.assert(
      fc.property(fc.ipV4(), fc.integer({ min: 0, max: 32 }), fc.ipV4(), (network, length, probe) => {
        const subnet = new BlockList();
        subnet.addSubnet(network, length, 'ipv4');
        const size = 2 ** (32 - length);
        const address = parseIpv4(network) ?? 0;
        const range = { first: address - (address % size), length };
        assert.deepEqual(parseCidr(printCidr(range)), range);
        for (const ip of [probe, printIpv4(range.first), printIpv4(lastOf(range))]) {
          assert.equal(contains(range, cidr(ip)), subnet.check(ip, 'ipv4'), `${printCidr(range)} ${ip}`);
        }
      }),
    );
  });
});

describe('forbidden ranges', () => {
  const ends: readonly (readonly [string, string, string])[] = [
    ['this network', '0.0.0.0', '0.255.255.255'],
    ['private', '10.0.0.0', '10.255.255.255'],
    ['shared address space', '100.64.0.0', '100.127.255.255'],
    ['loopback', '127.0.0.0', '127.255.255.255'],
    ['link-local / metadata', '169.254.0.0', '169.254.255.255'],
    ['private', '172.16.0.0', '172.31.255.255'],
    ['protocol assignments', '192.0.0.0', '192.0.0.255'],
    ['documentation', '192.0.2.0', '192.0.2.255'],
    ['private', '192.168.0.0', '192.168.255.255'],
    ['benchmarking', '198.18.0.0', '198.19.255.255'],
    ['documentation', '198.51.100.0', '198.51.100.255'],
    ['documentation', '203.0.113.0', '203.0.113.255'],
    ['GKE Services', '34.118.224.0', '34.118.239.255'],
    ['multicast', '224.0.0.0', '239.255.255.255'],
    ['reserved', '240.0.0.0', '255.255.255.255'],
  ];
  for (const [name, first, last] of ends) {
    it(`includes ${first} to ${last} as ${name}, and nothing beyond`, () => {
      assert.equal(forbiddenRange(first, nothingSet), name);
      assert.equal(forbiddenRange(last, nothingSet), name);
      const before = (parseIpv4(first) ?? 0) - 1;
      const after = (parseIpv4(last) ?? 0) + 1;
      if (before >= 0 && first !== '240.0.0.0')
        assert.equal(forbiddenRange(printIpv4(before), nothingSet), undefined);
      if (after < 2 ** 32 && last !== '239.255.255.255') {
        assert.equal(forbiddenRange(printIpv4(after), nothingSet), undefined);
      }
    });
  }

  const ipv6: readonly (readonly [string, string | undefined])[] = [
    ['::', 'unspecified'],
    ['::1', 'loopback'],
    ['::ffff:10.1.2.3', 'IPv4-mapped'],
    ['::ffff:8.8.8.8', 'IPv4-mapped'],
    ['64:ff9b::a9fe:a9fe', 'NAT64'],
    ['64:ff9b:1:ffff::1', 'NAT64'],
    ['100::1', 'discard-only'],
    ['2001:db8::1', 'documentation'],
    ['2002:a00:1::', '6to4'],
    ['fd00::1', 'unique local'],
    ['fe80::1%eth0', 'link-local'],
    ['ff02::1', 'multicast'],
    ['2a00:1450:400f::1', undefined],
    ['2001:db7::1', undefined],
    ['1::2', undefined],
  ];
  for (const [address, name] of ipv6) {
    it(`classifies ${address} as ${name ?? 'reachable'}`, () => {
      assert.equal(forbiddenRange(address, nothingSet), name);
    });
  }

  it('parses IPv6 addresses as numbers', () => {
    assert.equal(parseIpv6('::ffff:1.2.3.4'), 0xffff01020304n);
    assert.equal(parseIpv6('1:2:3:4:5:6:7:8'), 0x00010002000300040005000600070008n);
    assert.equal(parseIpv6('2001:db8::'), 0x20010db8n << 96n);
    assert.equal(parseIpv6('1.2.3.4'), undefined);
  });

  for (const text of ['', '127.1', '0x7f.0.0.1', 'example.com', '１.２.３.４', '10.0.0.0/8']) {
    it(`forbids an invalid address: ${JSON.stringify(text)}`, () => {
      assert.equal(forbiddenRange(text, nothingSet), 'not an address');
    });
  }

  it('opens the private ranges that the operator configures, and no others', () => {
    const settings = { ...nothingSet, privateRanges: [cidr('10.20.0.0/16')] };
    assert.equal(forbiddenRange('10.20.255.255', settings), undefined);
    assert.equal(forbiddenRange('10.21.0.0', settings), 'private');
    assert.equal(forbiddenRange('192.168.0.1', settings), 'private');
  });

  it('keeps metadata, loopback and the cluster closed for any setting of the operator', () => {
    const settings = { clusterRanges: [cidr('10.4.0.0/14')], privateRanges: [cidr('0.0.0.0/0')] };
    assert.equal(forbiddenRange('169.254.169.254', settings), 'link-local / metadata');
    assert.equal(forbiddenRange('127.0.0.1', settings), 'loopback');
    assert.equal(forbiddenRange('10.7.255.255', settings), 'cluster');
    assert.equal(forbiddenRange('34.118.224.1', settings), 'GKE Services');
    assert.equal(forbiddenRange('10.8.0.0', settings), undefined);
  });

  it('includes the cluster’s public addresses, such as the control plane’s', () => {
    const settings = { ...nothingSet, clusterRanges: [cidr('35.228.1.2/32')] };
    assert.equal(forbiddenRange('35.228.1.2', settings), 'cluster');
    assert.equal(forbiddenRange('35.228.1.3', settings), undefined);
  });

  it('accepts a range if all of its forbidden part is opened, by one setting or several', () => {
    const halves = { ...nothingSet, privateRanges: [cidr('10.0.128.0/17'), cidr('10.0.0.0/17')] };
    assert.equal(forbiddenWithin(cidr('10.0.0.0/16'), halves), undefined);
    assert.equal(forbiddenWithin(cidr('10.0.0.0/15'), halves), 'private');
    const gap = { ...nothingSet, privateRanges: [cidr('10.0.0.0/17'), cidr('10.0.192.0/18')] };
    assert.equal(forbiddenWithin(cidr('10.0.0.0/16'), gap), 'private');
  });

  it('classifies a range by its addresses', () => {
    const range = fc.tuple(fc.ipV4(), fc.integer({ min: 26, max: 32 })).map(([ip, length]) => {
      const address = parseIpv4(ip) ?? 0;
      return { first: address - (address % 2 ** (32 - length)), length };
    });
    const opened = fc.array(fc.constantFrom(...['10.0.0.0/8', '172.16.0.0/13', '192.168.0.0/17'].map(cidr)));
    fc.assert(
      fc.property(range, opened, (whole, privateRanges) => {
        const settings = { ...nothingSet, privateRanges };
        const each = Array.from({ length: lastOf(whole) - whole.first + 1 }, (_, offset) =>
          forbiddenRange(printIpv4(whole.first + offset), settings),
        );
        assert.equal(
          forbiddenWithin(whole, settings) === undefined,
          each.every((name) => name === undefined),
        );
      }),
    );
  });
});
