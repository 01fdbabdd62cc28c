import { forEachConcurrently } from '../lib/concurrency.ts';
import { isoOf } from '../lib/time.ts';
import { isByReconcile, type OperationKind, type OperationRecord } from '../model/operation.ts';
import type { OperationReason } from '../model/operation-reasons.ts';
import { Problem } from '../model/problems.ts';
import type { TeamRecord } from '../model/record.ts';
import type { OperationPosition } from '../ports/store.ts';
import { type Actor, authorOf } from '../teams/rules.ts';
import { advanceWith } from './advance.ts';
import type { OperationDeps } from './calls.ts';
import { followedBy } from './follow-reconcile.ts';
import { recordFailed, recordOpened } from './history.ts';
import { escalatedToForce, failed, newOperation, nothingToDo } from './operation-state.ts';

/** What a user asked of a server or a hub. */
export type OperationOrder = Pick<OperationRecord, 'user' | 'force' | 'profile' | 'profileChosenAt'> & {
  readonly kind: Extract<OperationKind, 'start' | 'stop' | 'restart' | 'restart_hub'>;
};

/** An order that reconciling the team carries out; the team’s record names the operation. */
export type FollowOrder = Pick<OperationRecord, 'id' | 'by' | 'bySubject' | 'readers'> & {
  readonly kind: Exclude<OperationKind, OperationOrder['kind']>;
  readonly force?: boolean;
};

export interface OperationQuery {
  readonly limit: number;
  readonly before?: OperationPosition;
  readonly open?: boolean;
}

/** The open operation that serves an order too, or the start that the order has cancelled. */
export interface Found {
  readonly serving?: OperationRecord;
  readonly cancelled?: OperationRecord;
}

/** What is known about a server when an operation on it is opened. */
export interface Opening {
  /** When the server that is being stopped was last active. */
  readonly lastActivityAt?: string | null;
  /** The start that this operation has cancelled. */
  readonly cancelled?: OperationRecord | undefined;
}

export interface Operations {
  /**
   * Looks for an open operation on the same server or hub, advances it by one step, and ends it when the order overrides
   * it. Throws Problem `server_busy` when one of another kind is open that the order does not override.
   */
  readonly findOpen: (
    team: TeamRecord,
    order: Omit<OperationOrder, 'profile'>,
    actor: Actor,
  ) => Promise<Found>;
  /** Opens an operation, or joins an open one as `findOpen` does, and advances it as far as possible at once. */
  readonly open: (
    team: TeamRecord,
    order: OperationOrder,
    actor: Actor,
    opening?: Opening,
  ) => Promise<OperationRecord>;
  /** An operation on a server that is as ordered already: it has ended, and is stored for clients that follow it. */
  readonly nothingToDo: (team: TeamRecord, order: OperationOrder, actor: Actor) => Promise<OperationRecord>;
  /** A new id of an operation. */
  readonly newId: () => string;
  /**
   * Opens the operation that the team’s record names, or answers how it stands; it has ended when the team is gone by
   * now. With force, an open one that is without it starts again.
   */
  readonly follow: (slug: string, order: FollowOrder) => Promise<OperationRecord>;
  /** Ends the operations that follow an order of this record, as far as reconciling has carried it out. Never throws. */
  readonly settle: (before: TeamRecord) => Promise<void>;
  /**
   * The operation after one bounded step; at most one step a second each. Undefined when there is none. `percent`: the
   * progress of a start that the hub has reported.
   */
  readonly poll: (slug: string, id: string, percent?: number) => Promise<OperationRecord | undefined>;
  /** One page of a team’s operations, newest first, and whether there are more. */
  readonly page: (
    team: TeamRecord,
    query: OperationQuery,
  ) => Promise<{ readonly items: readonly OperationRecord[]; readonly hasMore: boolean }>;
  /** Advances every due operation, whichever instance opened it. Answers how many there were. */
  readonly tick: () => Promise<number>;
}

export interface OperationOptions {
  /** A new random id. */
  readonly newId: () => string;
  /** Monotonic milliseconds. */
  readonly elapsedMs: () => number;
  readonly pause: (ms: number) => Promise<void>;
}

/** Within the request that opens it; polling clients and the tick do the rest. */
const openingMs = 4_000;
const watchingMs = 4_000;
const stepEveryMs = 1_000;

/** How long a tick stays with one operation, so a restart proceeds without a polling client. */
const tickMs = 5_000;
const ticksEachMs = 20_000;
const operationsPerTick = 200;
const atOnce = 8;

/** Operations whose last step is remembered. */
const remembered = 10_000;

/** Other requests may open operations on the same server in the meantime; give up after this many attempts. */
const attempts = 5;

const busyWith: Readonly<Record<OperationKind, string>> = {
  start: 'is being started',
  stop: 'is being stopped',
  restart: 'is being restarted',
  restart_hub: 'is being restarted',
  retry_notebook: 'is being rolled out',
  delete_notebook: 'is being deleted',
  delete_team: 'is being deleted',
};

/** Whether `a` stands after `b` in a list, which is newest first. */
const isAfter = (a: OperationPosition, b: OperationPosition): boolean =>
  a.createdAt === b.createdAt ? a.id < b.id : a.createdAt < b.createdAt;

const serverBusy = ({ kind, user, id }: OperationRecord) =>
  new Problem('server_busy', {
    detail: `The ${user === null ? 'hub' : `server of ${user}`} ${busyWith[kind]} (${id}). Wait until it is done, or stop or restart with force, which cancels it.`,
  });

/** A stop cancels a start without force: nothing that is running is lost. */
const isStarting = ({ step }: OperationRecord): boolean =>
  step === 'start' || step === 'await_ready' || step === 'cancel';

export const operationsWith = (
  deps: OperationDeps,
  { newId, elapsedMs, pause }: OperationOptions,
): Operations => {
  const { store, clock, log } = deps;
  const advance = advanceWith(deps);
  const advancedAt = new Map<string, number>();

  const isEarly = ({ id }: OperationRecord): boolean => {
    const last = advancedAt.get(id);
    return last !== undefined && elapsedMs() - last < stepEveryMs;
  };

  /** A failed step never fails the request: the operation is stored and due. */
  const advanced = async (slug: string, operation: OperationRecord, ms: number): Promise<OperationRecord> => {
    if (operation.outcome !== null) return operation;
    advancedAt.delete(operation.id);
    advancedAt.set(operation.id, elapsedMs());
    for (const oldest of advancedAt.keys()) {
      if (advancedAt.size <= remembered) break;
      advancedAt.delete(oldest);
    }
    try {
      return await advance(slug, operation, AbortSignal.timeout(ms));
    } catch (error) {
      log.warn({ team: slug, operation: operation.id, err: error }, 'operation step failed');
      return (await store.operation(slug, operation.id)) ?? operation;
    }
  };

  /** Ends an open operation in favour of the order; undefined when it changed meanwhile. */
  const superseded = async (
    team: TeamRecord,
    order: Omit<OperationOrder, 'profile'>,
    actor: Actor,
    present: OperationRecord,
  ): Promise<OperationRecord | undefined> => {
    const now = clock.now();
    const reason: OperationReason = order.force ? 'superseded' : 'cancelled';
    const message = order.force
      ? `Superseded by a forced ${order.kind} by ${actor.by}.`
      : `Cancelled by ${actor.by}, who stopped the server.`;
    let isOurs = false;
    const changed = await store.changeOperation(team.slug, present.id, (current) => {
      isOurs = current.outcome === null;
      if (!isOurs) return undefined;
      return order.kind === current.kind
        ? escalatedToForce(current, authorOf(actor), now)
        : failed(current, { reason, message }, now);
    });
    if (!isOurs || changed === undefined) return undefined;
    if (changed.outcome !== null) {
      await store.change(team.slug, (current) => recordFailed(current, changed));
    }
    return changed;
  };

  /** What the open operation means for the order; empty once nothing is in its way. */
  const resolved = async (
    team: TeamRecord,
    order: Omit<OperationOrder, 'profile'>,
    actor: Actor,
    found: OperationRecord,
  ): Promise<Found> => {
    const isSame = found.kind === order.kind;
    if (isSame && (found.force || !order.force))
      return { serving: isEarly(found) ? found : await advanced(team.slug, found, openingMs) };
    // The operation may be done without anyone having looked: what it is now decides, not what it was.
    const present = order.force ? found : await advanced(team.slug, found, openingMs);
    if (present.outcome !== null) return {};
    if (!order.force && !(order.kind === 'stop' && isStarting(present))) throw serverBusy(present);
    const changed = await superseded(team, order, actor, present);
    if (changed === undefined) return {};
    if (changed.outcome !== null) return order.force ? {} : { cancelled: changed };
    await store.change(team.slug, (current) => recordOpened(current, { ...changed, createdAt: actor.now }));
    return { serving: await advanced(team.slug, changed, openingMs) };
  };

  /** Stores the hub’s progress in steps of five percent, so that no client ever sees less than another one has seen. */
  const withProgress = async (
    slug: string,
    operation: OperationRecord,
    percent: number,
  ): Promise<OperationRecord> => {
    const progress = Math.min(95, Math.floor(percent / 5) * 5);
    if (operation.step !== 'await_ready' || progress <= operation.progress) return operation;
    const changed = await store.changeOperation(slug, operation.id, (current) =>
      current.step === 'await_ready' && progress > current.progress ? { ...current, progress } : undefined,
    );
    return changed ?? operation;
  };

  const findOpen: Operations['findOpen'] = async (team, order, actor) => {
    const open = await store.openOperations(team.slug);
    const present = open.find((one) => one.user === order.user && !isByReconcile(one));
    return present === undefined ? {} : resolved(team, order, actor, present);
  };

  return {
    findOpen,

    async open(team, order, actor, opening = {}) {
      let { cancelled } = opening;
      for (let attempt = 0; attempt < attempts; attempt += 1) {
        const operation = {
          ...newOperation({ ...order, id: newId(), ...authorOf(actor) }, clock.now()),
          // The cancelled start may be arriving at the hub right now: what the hub says counts only afterwards.
          ...(cancelled?.claimedUntil === undefined ? {} : { claimedUntil: cancelled.claimedUntil }),
        };
        const present = await store.openOperation(team.slug, operation);
        if (present === undefined) throw new Problem('not_found');
        if (present.id === operation.id) {
          await store.change(team.slug, (current) =>
            recordOpened(current, operation, opening.lastActivityAt),
          );
          log.info({ team: team.slug, operation: operation.id, ...order }, 'operation opened');
          return advanced(team.slug, operation, openingMs);
        }
        const found = await resolved(team, order, actor, present);
        if (found.serving !== undefined) return found.serving;
        cancelled = found.cancelled ?? cancelled;
      }
      throw new Problem('busy');
    },

    newId,

    async nothingToDo(team, order, actor) {
      const operation = nothingToDo({ ...order, id: newId(), ...authorOf(actor) }, clock.now());
      if (!(await store.addOperation(team.slug, operation))) throw new Problem('not_found');
      return operation;
    },

    async follow(slug, { force = false, ...order }) {
      const seed = { ...order, force, user: null, profile: null };
      const operation = await store.openOperation(slug, newOperation(seed, clock.now()));
      if (operation === undefined) return nothingToDo(seed, clock.now());
      if (operation.outcome !== null || operation.force || !force) return operation;
      const forced = await store.changeOperation(slug, operation.id, (current) =>
        current.outcome === null ? escalatedToForce(current, authorOf(order), clock.now()) : undefined,
      );
      return forced ?? operation;
    },

    async settle(before) {
      const { slug } = before;
      for (const id of followedBy(before)) {
        try {
          const operation = await store.operation(slug, id);
          if (operation !== undefined) await advanced(slug, operation, watchingMs);
        } catch (error) {
          // The tick ends it.
          log.warn({ team: slug, operation: id, err: error }, 'operation not ended');
        }
      }
    },

    async poll(slug, id, percent = 0) {
      const stored = await store.operation(slug, id);
      if (stored === undefined) return undefined;
      const operation = await withProgress(slug, stored, percent);
      // What follows the team’s record costs one read of it.
      const isEnough = isEarly(operation) && !isByReconcile(operation);
      return isEnough ? operation : advanced(slug, operation, watchingMs);
    },

    async page({ slug, deletion }, { limit, before, open }) {
      const [own, departure] = await Promise.all([
        store.operations(slug, {
          limit: limit + 1,
          ...(before === undefined ? {} : { before }),
          ...(open === undefined ? {} : { open }),
        }),
        deletion?.operation === undefined ? undefined : store.operation(slug, deletion.operation),
      ]);
      const isListed =
        departure !== undefined &&
        (before === undefined || isAfter(departure, before)) &&
        (open === undefined || open === (departure.outcome === null));
      const all = isListed ? [...own, departure].toSorted((a, b) => (isAfter(a, b) ? 1 : -1)) : own;
      return { items: all.slice(0, limit), hasMore: all.length > limit };
    },

    async tick() {
      const due = await store.operationsDue(isoOf(clock.now()), operationsPerTick);
      await forEachConcurrently(due, atOnce, async ({ slug, id }) => {
        const until = elapsedMs() + tickMs;
        try {
          for (;;) {
            const operation = await store.operation(slug, id);
            if (operation === undefined || operation.outcome !== null) return;
            const after = await advance(slug, operation, AbortSignal.timeout(ticksEachMs));
            const isOver = after.outcome !== null || isByReconcile(after);
            if (isOver || elapsedMs() + stepEveryMs > until) return;
            await pause(stepEveryMs);
          }
        } catch (error) {
          log.warn({ team: slug, operation: id, err: error }, 'operation step failed');
        }
      });
      return due.length;
    },
  };
};
