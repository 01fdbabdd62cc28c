import { Resolver } from 'node:dns/promises';
import type { DnsAnswer, DnsResolver } from '../ports/dns.ts';

const timeoutMs = 2_000;
const tries = 2;

/** The most addresses returned from one answer, the lowest by text: more are never allowed anyway. */
const mostAddresses = 1_000;

/** The name does not exist, or has no record of the kind that was asked for. */
const absentCodes = new Set(['ENOTFOUND', 'ENODATA']);

export interface NamesOptions {
  /** `address:port` of resolvers, in order of preference; empty: the system’s. */
  readonly servers: readonly string[];
}

/**
 * DNS by c-ares, which retries a truncated answer over TCP and gives each address the smallest TTL of its CNAME chain.
 * Never `lookup`: that would read hosts files and accept `127.1` as an address. A call whose signal aborts throws the
 * signal’s reason, which says nothing about the name.
 */
export const openDnsResolver = ({ servers }: NamesOptions): DnsResolver => ({
  async resolve(name, signal) {
    signal.throwIfAborted();
    // One per call: it can be cancelled separately, uses its own port and caches nothing.
    const resolver = new Resolver({ timeout: timeoutMs, maxTimeout: timeoutMs, tries });
    if (servers.length > 0) resolver.setServers(servers);
    const cancel = () => resolver.cancel();
    signal.addEventListener('abort', cancel, { once: true });
    try {
      const ipv4 = await answerOf(() => resolver.resolve4(name, { ttl: true }));
      signal.throwIfAborted();
      if (ipv4 !== 'no records') return ipv4 === 'no name' ? { answer: 'absent' } : ipv4;
      const ipv6 = await answerOf(() => resolver.resolve6(name, { ttl: true }));
      signal.throwIfAborted();
      return typeof ipv6 === 'string' ? { answer: 'absent' } : ipv6;
    } finally {
      signal.removeEventListener('abort', cancel);
    }
  },
});

type Records = readonly { readonly address: string; readonly ttl: number }[];

const answerOf = async (ask: () => Promise<Records>): Promise<DnsAnswer | 'no name' | 'no records'> => {
  try {
    const records = await ask();
    if (records.length === 0) return 'no records';
    const addresses = records
      .map(({ address, ttl }) => ({ address, ttlSeconds: ttl }))
      .toSorted((a, b) => (a.address < b.address ? -1 : 1))
      .slice(0, mostAddresses);
    return { answer: 'addresses', addresses };
  } catch (error) {
    const code = error instanceof Error && 'code' in error ? String(error.code) : '';
    if (absentCodes.has(code)) return code === 'ENOTFOUND' ? 'no name' : 'no records';
    if (!/^E[A-Z0-9]+$/.test(code)) throw error;
    return { answer: 'failed', message: sentences[code] ?? `DNS gave no answer (${code}).` };
  }
};

const sentences: Readonly<Record<string, string>> = {
  ESERVFAIL: 'The name’s DNS servers gave no answer (SERVFAIL).',
  EREFUSED: 'DNS refused to answer (REFUSED).',
  ETIMEOUT: 'DNS did not answer in time.',
  ECONNREFUSED: 'No DNS server could be reached.',
};
