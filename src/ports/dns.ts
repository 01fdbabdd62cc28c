export type DnsAnswer =
  | {
      readonly answer: 'addresses';
      readonly addresses: readonly { readonly address: string; readonly ttlSeconds: number }[];
    }
  /** NXDOMAIN, or no addresses of this kind. */
  | { readonly answer: 'absent' }
  /** SERVFAIL, REFUSED, a timeout: nothing is known. */
  | { readonly answer: 'failed'; readonly message: string };

/** DNS, as the notebooks see it. */
export interface DnsResolver {
  /** The A records of a name, with the smallest TTL of the CNAME chain; AAAA only if there are none. */
  resolve(name: string, signal: AbortSignal): Promise<DnsAnswer>;
}
