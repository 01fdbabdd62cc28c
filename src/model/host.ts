/** What is known of a host’s addresses. Instants are ISO 8601 UTC. */
export interface HostRecord {
  readonly name: string;
  /** Every address that is or was answered lately, IPv4 and IPv6, by its text. */
  readonly addresses: Readonly<
    Record<string, { readonly firstSeenAt: string; readonly lastSeenAt: string; readonly ttlSeconds: number }>
  >;
  readonly lastLookAt: string | null;
  readonly lastSuccessAt: string | null;
  /** Failed looks in a row. */
  readonly failures: number;
  readonly lastError: string | null;
  /** Since when the name is said not to exist, and how often in a row; null while it does. */
  readonly absent: { readonly since: string; readonly seen: number } | null;
  /** When a team last said that it lists this host, and when one with a live notebook did. */
  readonly wantedAt: string | null;
  readonly liveAt: string | null;
  /** null: nobody lists it any more. */
  readonly dueAt: string | null;
}
