/** The known addresses of a host. Instants are ISO 8601 UTC. */
export interface HostRecord {
  readonly name: string;
  /** Every address of a recent answer, IPv4 and IPv6, by its text. */
  readonly addresses: Readonly<
    Record<string, { readonly firstSeenAt: string; readonly lastSeenAt: string; readonly ttlSeconds: number }>
  >;
  readonly lastLookAt: string | null;
  readonly lastSuccessAt: string | null;
  /** Consecutive failed lookups. */
  readonly failures: number;
  readonly lastError: string | null;
  /** Since when, and in how many consecutive lookups, the name did not exist; null while it exists. */
  readonly absent: { readonly since: string; readonly seen: number } | null;
  /** When a team last listed this host, and when a team with a running notebook did. */
  readonly wantedAt: string | null;
  readonly liveAt: string | null;
  /** When it is resolved next; null: no team lists it any more. */
  readonly dueAt: string | null;
}
