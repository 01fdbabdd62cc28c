/** What is known of a host’s addresses. Instants are ISO 8601 UTC. */
export interface HostRecord {
  readonly name: string;
  /** Every address that DNS answered recently, IPv4 and IPv6, by its text. */
  readonly addresses: Readonly<
    Record<string, { readonly firstSeenAt: string; readonly lastSeenAt: string; readonly ttlSeconds: number }>
  >;
  readonly lastLookAt: string | null;
  readonly lastSuccessAt: string | null;
  /** Consecutive failed lookups. */
  readonly failures: number;
  readonly lastError: string | null;
  /** Since when DNS says that the name does not exist, and how often in a row; null while it exists. */
  readonly absent: { readonly since: string; readonly seen: number } | null;
  /** When a team last listed this host, and when one with a live notebook did. */
  readonly wantedAt: string | null;
  readonly liveAt: string | null;
  /** null: no team lists it any more. */
  readonly dueAt: string | null;
}
