import type { Clock, Cluster, Manifest, ObjectRef, Store } from '../ports.ts';
import type { TeamRecord } from '../record.ts';
import { revisionAnnotation } from '../teams/desired.ts';

export interface Log {
  info(fields: object, event: string): void;
  warn(fields: object, event: string): void;
  error(fields: object, event: string): void;
}

export interface ReconcileDeps {
  readonly store: Store;
  readonly cluster: Cluster;
  readonly clock: Clock;
  /** The one list of what a team’s objects shall be, in the order in which to apply them. */
  readonly render: (team: TeamRecord) => readonly Manifest[] | Promise<readonly Manifest[]>;
  readonly log: Log;
}

/** One look at one team: what was decided is decided about this record. */
export interface Look {
  readonly deps: ReconcileDeps;
  readonly team: TeamRecord;
  readonly signal: AbortSignal;
}

/** Something moved while we looked: what we know is old, look again. */
export class Moved extends Error {
  override readonly name = 'Moved';
}

/** Nothing can go on until somebody acts (`blocked`), or something else has finished (`waiting`). */
export class Halt extends Error {
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
export const isSameWish = (current: TeamRecord | undefined, looked: TeamRecord): boolean =>
  current !== undefined && current.id === looked.id && current.generation === looked.generation;

/**
 * Reads the store once more before what cannot be guarded by an object’s uid: making what is absent, deleting
 * what carries no revision of ours. Throws Moved when people asked for something else meanwhile.
 */
export const assertStillWanted = async ({ deps, team }: Look): Promise<void> => {
  if (!isSameWish(await deps.store.team(team.slug), team)) throw new Moved();
};

export const refOf = ({ apiVersion, kind, metadata }: Manifest): ObjectRef => ({
  apiVersion,
  kind,
  name: metadata.name,
  ...(metadata.namespace === undefined ? {} : { namespace: metadata.namespace }),
});

export const nameOf = ({ kind, metadata }: Manifest): string => `${kind} ${metadata.name}`;

/** Throws Moved when a newer wish than this look’s has reached the object. */
export const assertNotNewer = ({ team }: Look, { metadata }: Manifest): void => {
  if (Number(metadata.annotations?.[revisionAnnotation] ?? 0) > team.generation) throw new Moved();
};
