import assert from 'node:assert/strict';
import { after, before, describe, it } from 'node:test';
import { type Dns, startDns } from '@knada/simulators/dns/server.ts';
import { absent, type Dnsmasq, startDnsmasq } from '@knada/simulators/real/dnsmasq.ts';
import { openDnsResolver } from '../../src/adapters/dns.ts';
import { contractFailing, contractRecords, dnsResolverContract } from '../contracts/dns-resolver.ts';

describe('DNS: the real dnsmasq', { skip: absent() }, () => {
  let upstream: Dns;
  let dnsmasq: Dnsmasq;
  before(async () => {
    upstream = await startDns();
    upstream.fail(contractFailing);
    upstream.fail('silent.upstream', 'silent');
    upstream.set('moving.upstream', { a: ['93.184.215.60'], ttlSeconds: 0 });
    dnsmasq = await startDnsmasq({
      records: contractRecords,
      forward: [
        { domain: contractFailing, to: upstream },
        { domain: 'upstream', to: upstream },
      ],
    });
  });
  after(async () => {
    await dnsmasq.close();
    await upstream.close();
  });

  dnsResolverContract(() => ({ server: `127.0.0.1:${dnsmasq.port}`, set: dnsmasq.set }));

  it('answers failed with a timeout for a name whose servers are down', async () => {
    const names = openDnsResolver({ servers: [`127.0.0.1:${dnsmasq.port}`] });
    const answer = await names.resolve('silent.upstream', AbortSignal.timeout(20_000));
    assert.deepEqual(answer, { answer: 'failed', message: 'DNS did not answer in time.' });
  });

  it('answers failed, not absent, when the server refuses a name', async () => {
    const names = openDnsResolver({ servers: [`127.0.0.1:${dnsmasq.port}`] });
    const answer = await names.resolve('pypi.org', AbortSignal.timeout(20_000));
    assert.deepEqual(answer, { answer: 'failed', message: 'DNS refused to answer (REFUSED).' });
  });

  it('forwards the changing answers of another server', async () => {
    const names = openDnsResolver({ servers: [`127.0.0.1:${dnsmasq.port}`] });
    for (const address of ['93.184.215.60', '93.184.215.61']) {
      upstream.set('moving.upstream', { a: [address], ttlSeconds: 0 });
      assert.deepEqual(await names.resolve('moving.upstream', AbortSignal.timeout(20_000)), {
        answer: 'addresses',
        addresses: [{ address, ttlSeconds: 0 }],
      });
    }
  });
});
