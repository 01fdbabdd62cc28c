import type { DnsResolver } from '../../src/ports/dns.ts';

/** DNS as this map has it at the moment; other names do not exist. */
export const namesOf = (dns: ReadonlyMap<string, readonly string[]>): DnsResolver => ({
  resolve: async (name, signal) => {
    signal.throwIfAborted();
    const found = dns.get(name);
    if (found === undefined) return { answer: 'absent' };
    return { answer: 'addresses', addresses: found.map((address) => ({ address, ttlSeconds: 60 })) };
  },
});
