import assert from 'node:assert/strict';
import { createSocket } from 'node:dgram';
import { once } from 'node:events';
import { connect } from 'node:net';
import { after, before, describe, it } from 'node:test';
import { type Dns, startDns } from '@knada/simulators/dns/server.ts';
import { openDnsResolver } from '../../src/adapters/dns.ts';
import { contractFailing, contractRecords, dnsResolverContract } from '../contracts/dns-resolver.ts';

const signal = () => AbortSignal.timeout(20_000);

describe('DNS: the simulator', () => {
  let dns: Dns;
  before(async () => {
    dns = await startDns();
    for (const [name, records] of Object.entries(contractRecords)) dns.set(name, records);
    dns.fail(contractFailing);
  });
  after(() => dns.close());

  const server = () => `127.0.0.1:${dns.port}`;
  const names = () => openDnsResolver({ servers: [server()] });

  dnsResolverContract(() => ({
    server: server(),
    set: async (name, addresses) => dns.set(name, addresses.length === 0 ? undefined : { a: addresses }),
  }));

  it('a truncated UDP answer is retried over TCP', async () => {
    const before = dns.queries().length;
    await names().resolve('many.test', signal());
    assert.deepEqual(
      dns
        .queries()
        .slice(before)
        .map(({ over }) => over),
      ['udp', 'tcp'],
    );
  });

  it('queries IPv4 first, and IPv6 only if there is no IPv4', async () => {
    const asked = async (name: string) => {
      const before = dns.queries().length;
      await names().resolve(name, signal());
      return dns
        .queries()
        .slice(before)
        .map(({ type }) => type);
    };
    assert.deepEqual(await asked('both.test'), ['A']);
    assert.deepEqual(await asked('missing.test'), ['A']);
    assert.deepEqual(await asked('ipv6.test'), ['A', 'AAAA']);
  });

  it('returns some of the addresses of a rotating name at a time, and all of them in turn', async () => {
    const seen = new Set<string>();
    for (let i = 0; i < 3; i += 1) {
      const answer = await names().resolve('rotating.example.com', signal());
      assert.ok(answer.answer === 'addresses' && answer.addresses.length === 2);
      for (const { address } of answer.addresses) seen.add(address);
    }
    assert.equal(seen.size, 6);
  });

  it('resolves the names of the demo, and no others', async () => {
    const answers = async (name: string) => {
      const answer = await names().resolve(name, signal());
      return answer.answer === 'addresses' ? answer.addresses.map(({ address }) => address) : answer.answer;
    };
    assert.deepEqual(await answers('private.example.com'), ['10.20.1.5', '10.20.1.6']);
    assert.deepEqual(await answers('secretmanager.googleapis.com'), [
      '199.36.153.10',
      '199.36.153.11',
      '199.36.153.8',
      '199.36.153.9',
    ]);
    assert.equal(await answers('missing.example.com'), 'absent');
    assert.equal(await answers('never-heard-of.org'), 'absent');
    assert.equal(await answers('broken.example.com'), 'failed');
    assert.equal((await answers('pypi.org')).length, 4);
  });

  it('fails for a name until the fault is removed', async () => {
    const over = dns.fail('pypi.org');
    assert.equal((await names().resolve('pypi.org', signal())).answer, 'failed');
    over();
    assert.equal((await names().resolve('pypi.org', signal())).answer, 'addresses');
  });

  it('continues after a packet that is not DNS', async () => {
    const udp = createSocket('udp4');
    for (const junk of [Buffer.alloc(0), Buffer.from('GET / HTTP/1.1\r\n\r\n'), Buffer.alloc(512, 0xff)]) {
      await new Promise((sent) => udp.send(junk, dns.port, '127.0.0.1', sent));
    }
    udp.close();
    const tcp = connect(dns.port, '127.0.0.1');
    await once(tcp, 'connect');
    tcp.end(Buffer.alloc(3000, 0xff));
    assert.equal((await names().resolve('pypi.org', signal())).answer, 'addresses');
    tcp.destroy();
  });

  it('reports why it cannot start on a port in use', async () => {
    await assert.rejects(startDns({ port: dns.port }), /EADDRINUSE/);
  });
});

describe('a DNS query', () => {
  it('ends with the caller’s signal, without an answer about the name', async (t) => {
    const dns = await startDns();
    t.after(() => dns.close());
    dns.fail('slow.example.com', 'silent');
    const names = openDnsResolver({ servers: [`127.0.0.1:${dns.port}`] });
    const caller = new AbortController();
    const asked = names.resolve('slow.example.com', caller.signal);
    await until(() => dns.queries().length > 0);
    caller.abort(new Error('gone'));
    await assert.rejects(asked, /gone/);
    await assert.rejects(names.resolve('pypi.org', caller.signal), /gone/);
    assert.equal(dns.queries().length, 1);
  });

  it('ends with its caller without disturbing another one', async (t) => {
    const dns = await startDns();
    t.after(() => dns.close());
    dns.fail('slow.example.com', 'silent');
    const names = openDnsResolver({ servers: [`127.0.0.1:${dns.port}`] });
    const [leaving, staying] = [new AbortController(), new AbortController()];
    const left = names.resolve('slow.example.com', leaving.signal);
    const stayed = names.resolve('slow.example.com', staying.signal);
    await until(() => dns.queries().length === 2);
    leaving.abort(new Error('gone'));
    await assert.rejects(left, /gone/);
    assert.equal(await Promise.race([stayed, Promise.resolve('still asking')]), 'still asking');
    staying.abort(new Error('gone too'));
    await assert.rejects(stayed, /gone too/);
  });

  it('tries the next server when the first one is down', async (t) => {
    const [gone, dns] = [await startDns(), await startDns()];
    await gone.close();
    t.after(() => dns.close());
    const names = openDnsResolver({ servers: [`127.0.0.1:${gone.port}`, `127.0.0.1:${dns.port}`] });
    assert.equal((await names.resolve('pypi.org', signal())).answer, 'addresses');
  });

  it('answers failed, not absent, without a server', async () => {
    const gone = await startDns();
    await gone.close();
    const names = openDnsResolver({ servers: [`127.0.0.1:${gone.port}`] });
    assert.deepEqual(await names.resolve('pypi.org', signal()), {
      answer: 'failed',
      message: 'No DNS server could be reached.',
    });
  });

  it('resolves the text of an address as a name', async (t) => {
    const dns = await startDns();
    t.after(() => dns.close());
    const names = openDnsResolver({ servers: [`127.0.0.1:${dns.port}`] });
    for (const text of ['127.1', '2130706433', '0x7f.1', '127.0.0.1', 'localhost']) {
      const answer = await names.resolve(text, signal());
      assert.notEqual(answer.answer, 'addresses', `${text}: ${JSON.stringify(answer)}`);
    }
  });
});

const until = async (holds: () => boolean): Promise<void> => {
  const end = Date.now() + 15_000;
  while (!holds()) {
    if (Date.now() > end) assert.fail('waited 15 seconds');
    await new Promise((done) => setImmediate(done));
  }
};
