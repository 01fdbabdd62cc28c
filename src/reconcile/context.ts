import type { Addresses } from '../egress/destinations.ts';
import type { EntryOptions } from '../egress/entry.ts';
import type { EgressSettings } from '../egress/policy.ts';
import type { TeamRecord } from '../model/record.ts';
import type { Cluster, Manifest, ObjectRef, OwnerReference } from '../ports/cluster.ts';
import type { DnsResolver } from '../ports/dns.ts';
import type { Hubs } from '../ports/hubs.ts';
import type { Clock, Log } from '../ports/runtime.ts';
import type { Store } from '../ports/store.ts';
import type { DismantleResult } from '../secrets/dismantle.ts';
import type { ProvisionResult } from '../secrets/provision.ts';
import { revisionAnnotation } from '../teams/desired.ts';

export interface ReconcileDeps {
  readonly store: Store;
  readonly cluster: Cluster;
  readonly clock: Clock;
  readonly hubs: Hubs;
  /** The one list of what a team’s objects shall be, in the order in which to apply them. */
  readonly render: (team: TeamRecord, live: LiveEgress) => readonly Manifest[] | Promise<readonly Manifest[]>;
  readonly egress: {
    readonly settings: EgressSettings;
    readonly entries: EntryOptions;
  };
  /** Google’s side of a team: its secret, its account, and who may use them. Neither throws for the outside. */
  readonly google: {
    provision(team: TeamRecord, signal: AbortSignal): Promise<ProvisionResult>;
    dismantle(
      team: TeamRecord,
      options: { readonly deleteSecret: boolean },
      signal: AbortSignal,
    ): Promise<DismantleResult>;
  };
  readonly dns: DnsResolver;
  /** From 0 up to, but not including, 1. */
  readonly random: () => number;
  readonly log: Log;
}

/** What the egress policies of a team are made from besides its list. */
export interface LiveEgress {
  /** What is known of the addresses of every name on the list, and of Google’s APIs. */
  readonly addresses: Addresses;
  /** Whether a notebook runs, or is about to. */
  readonly podsAlive: boolean;
  /** The notebook pods that were seen: with the last of them Kubernetes removes what is allowed. */
  readonly owners: readonly OwnerReference[];
}

/** One look at one team: what was decided is decided about this record. */
export interface ReconcileContext {
  readonly deps: ReconcileDeps;
  readonly team: TeamRecord;
  readonly signal: AbortSignal;
  /** Whether a notebook pod of the team is about to be made, as far as somebody said. */
  readonly announced: boolean;
}

/** Something moved while we looked: what we know is old, look again. */
export class StaleRead extends Error {
  override readonly name = 'Moved';
}

/** Nothing can go on until somebody acts (`blocked`), or something else has finished (`waiting`). */
export class Blocked extends Error {
  override readonly name = 'Halt';
  readonly outcome: 'waiting' | 'blocked';
  readonly reason: string;
  constructor(outcome: 'waiting' | 'blocked', reason: string, message: string) {
    super(message);
    this.outcome = outcome;
    this.reason = reason;
  }
}

/** Whether people want what they wanted when this record was read; a slug may belong to another team by now. */
export const isSameGeneration = (current: TeamRecord | undefined, looked: TeamRecord): boolean =>
  current !== undefined && current.id === looked.id && current.generation === looked.generation;

/**
 * Reads the store once more before what cannot be guarded by an object’s uid: making what is absent, deleting
 * what carries no revision of ours. Throws Moved when people asked for something else meanwhile.
 */
export const assertSameGeneration = async ({ deps, team }: ReconcileContext): Promise<void> => {
  if (!isSameGeneration(await deps.store.team(team.slug), team)) throw new StaleRead();
};

export const refOf = ({ apiVersion, kind, metadata }: Manifest): ObjectRef => ({
  apiVersion,
  kind,
  name: metadata.name,
  ...(metadata.namespace === undefined ? {} : { namespace: metadata.namespace }),
});

export const nameOf = ({ kind, metadata }: Manifest): string => `${kind} ${metadata.name}`;

/** Throws Moved when a newer wish than this look’s has reached the object. */
export const assertNotNewer = ({ team }: ReconcileContext, { metadata }: Manifest): void => {
  if (Number(metadata.annotations?.[revisionAnnotation] ?? 0) > team.generation) throw new StaleRead();
};

/** Of a team with no notebook running and of whose hosts nothing is known. */
export const noNotebooks: LiveEgress = { addresses: new Map(), podsAlive: false, owners: [] };
