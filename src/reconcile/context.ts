import type { EgressConfig } from '../egress/hosts.ts';
import type { LiveEgress } from '../egress/live-egress.ts';
import type { TeamRecord } from '../model/record.ts';
import type { IsPlatformContent } from '../notebooks/platform-content.ts';
import type { Cluster, Manifest } from '../ports/cluster.ts';
import type { DnsResolver } from '../ports/dns.ts';
import type { Hubs } from '../ports/hubs.ts';
import type { Clock, Log } from '../ports/runtime.ts';
import type { Store } from '../ports/store.ts';
import type { DismantleResult } from '../secrets/dismantle.ts';
import type { ProvisionResult } from '../secrets/provision.ts';

export interface ReconcileDeps {
  readonly store: Store;
  readonly cluster: Cluster;
  readonly clock: Clock;
  readonly hubs: Hubs;
  /** The desired objects of a team, in the order to apply. */
  readonly render: (team: TeamRecord, live: LiveEgress) => readonly Manifest[] | Promise<readonly Manifest[]>;
  readonly egress: EgressConfig;
  /** Google’s side of a team: its secret, its account, and who may use them. Neither throws when Google fails. */
  readonly google: {
    /** `assertWanted` is called before every call that grants or creates; what it throws ends the attempt. */
    provision(
      team: TeamRecord,
      signal: AbortSignal,
      assertWanted: () => Promise<void>,
    ): Promise<ProvisionResult>;
    dismantle(
      team: TeamRecord,
      options: { readonly deleteSecret: boolean },
      signal: AbortSignal,
    ): Promise<DismantleResult>;
  };
  readonly dns: DnsResolver;
  /** Ends the operations that follow an order of this record, as far as it has been carried out. Never throws. */
  readonly settleOperations: (before: TeamRecord) => Promise<void>;
  /** What the platform puts into every team’s namespace; it is no reason to keep one. */
  readonly isPlatformContent: IsPlatformContent;
  /** From 0 up to, but not including, 1. */
  readonly random: () => number;
  readonly log: Log;
}

/** One attempt to reconcile one team. Everything in it is decided on this record. */
export interface ReconcileContext {
  readonly deps: ReconcileDeps;
  readonly team: TeamRecord;
  readonly signal: AbortSignal;
  /** Whether the caller is about to create a notebook pod of the team. */
  readonly announced: boolean;
}
