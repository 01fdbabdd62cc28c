import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { defaultEntryOptions, parseAllowlist } from '../../src/egress/entry.ts';
import { defaultEgressSettings } from '../../src/egress/policy.ts';
import { unreachableEntries, unreachableSentence } from '../../src/egress/unreachable.ts';

const settings = { ...defaultEgressSettings, maxAddressesPerHost: 2 };
const entriesOf = (...hosts: readonly string[]) => parseAllowlist(hosts, defaultEntryOptions).entries;
const addresses = new Map([
  ['a.example.com', ['198.35.26.96']],
  ['db.example.com', ['10.1.2.3']],
  ['half.example.com', ['10.1.2.3', '198.35.26.96']],
  ['six.example.com', ['2620:0:862:ed1a::1']],
  ['many.example.com', ['198.35.26.96', '198.35.26.97', '198.35.26.98']],
]);

describe('unreachable entries', () => {
  it('are those with no address that can be opened, and those with too many, with the port of the entry', () => {
    const entries = entriesOf(
      'six.example.com',
      'gone.example.com:8443',
      'a.example.com',
      'db.example.com:1521',
      'half.example.com',
      'many.example.com',
    );
    assert.deepEqual(unreachableEntries(entries, addresses, settings), [
      {
        entry: 'db.example.com:1521',
        status: 'blocked_private_answer',
        message: 'resolves to a private address',
      },
      { entry: 'gone.example.com:8443', status: 'unresolved', message: 'no address is known' },
      {
        entry: 'many.example.com:443',
        status: 'too_many_addresses',
        message: 'has too many addresses, so only some are open',
      },
      { entry: 'six.example.com:443', status: 'ipv6_only', message: 'has only IPv6 addresses' },
    ]);
  });

  it('are a literal address that was accepted before its range was reserved', () => {
    const reserved = { ...settings, privateRanges: [], clusterRanges: [] };
    const entries = entriesOf('198.35.26.96:443');
    assert.deepEqual(unreachableEntries(entries, new Map(), reserved), []);
    const [range] = entriesOf('198.35.26.96:443').map((entry) => ({ ...entry, host: '127.0.0.1' }));
    assert.ok(range);
    assert.equal(unreachableEntries([range], new Map(), settings)[0]?.message, 'is in a reserved range');
  });

  it('are the same for every order of the list and of the addresses', () => {
    const hosts = ['six.example.com', 'gone.example.com', 'many.example.com', 'db.example.com'];
    const reversed = new Map([...addresses].map(([name, known]) => [name, known.toReversed()]));
    assert.deepEqual(
      unreachableEntries(entriesOf(...hosts), addresses, settings),
      unreachableEntries(entriesOf(...hosts.toReversed()), reversed, settings),
    );
  });

  it('are named in a sentence, at most ten of them', () => {
    assert.equal(unreachableSentence([]), undefined);
    const entries = (count: number) =>
      entriesOf(...Array.from({ length: count }, (_, i) => `h${i + 10}.example.com`));
    const sentence = (count: number) =>
      unreachableSentence(unreachableEntries(entries(count), new Map(), settings)) ?? '';
    assert.equal(sentence(1), 'Not reachable now: h10.example.com:443 (no address is known).');
    assert.equal(sentence(10).match(/no address/g)?.length, 10);
    assert.match(sentence(10), /h19\.example\.com:443 \(no address is known\)\.$/);
    assert.equal(sentence(12).match(/no address/g)?.length, 10);
    assert.match(sentence(12), /h19\.example\.com:443 \(no address is known\), and 2 more\.$/);
  });
});
