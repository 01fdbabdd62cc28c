import { forEachConcurrently } from '../lib/concurrency.ts';
import type { OperationRecord } from '../model/operation.ts';
import { Problem } from '../model/problems.ts';
import type { TeamRecord } from '../model/record.ts';
import type { Actor } from '../teams/rules.ts';
import { advanceWith } from './advance.ts';
import type { OperationDeps } from './calls.ts';
import { recordOpened } from './history.ts';
import { escalatedToForce, failed, newOperation } from './operation-state.ts';

/** What a user asked for. */
export type OperationOrder = Pick<OperationRecord, 'kind' | 'user' | 'force' | 'profile'>;

export interface Operations {
  /** The open operation on the same server or hub, if it serves the order too; see `open`. */
  readonly findOpen: (
    team: TeamRecord,
    order: Omit<OperationOrder, 'profile'>,
    actor: Actor,
  ) => Promise<OperationRecord | undefined>;
  /**
   * Opens an operation, or joins the open one of the same kind, and advances it as far as possible at once. Throws
   * Problem `server_busy` when one of another kind is open that the order does not override.
   */
  readonly open: (team: TeamRecord, order: OperationOrder, actor: Actor) => Promise<OperationRecord>;
  /** The operation after one bounded step; at most one step a second each. Undefined when there is none. */
  readonly poll: (team: TeamRecord, id: string) => Promise<OperationRecord | undefined>;
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

const busyWith = {
  start: 'is being started',
  stop: 'is being stopped',
  restart: 'is being restarted',
  restart_hub: 'is being restarted',
} as const;

const serverBusy = ({ kind, user, id }: OperationRecord) =>
  new Problem('server_busy', {
    detail: `The ${user === null ? 'hub' : `server of ${user}`} ${busyWith[kind]} (${id}). Wait until it is done, or stop or restart with force, which cancels it.`,
  });

export const operationsWith = (
  deps: OperationDeps,
  { newId, elapsedMs, pause }: OperationOptions,
): Operations => {
  const { store, clock, log } = deps;
  const advance = advanceWith(deps);
  const advancedAt = new Map<string, number>();

  /** A failed step never fails the request: the operation is stored and due. */
  const advanced = async (slug: string, operation: OperationRecord, ms: number): Promise<OperationRecord> => {
    const last = advancedAt.get(operation.id);
    const isEarly = last !== undefined && elapsedMs() - last < stepEveryMs;
    if (operation.outcome !== null || isEarly) return operation;
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

  /** The open operation that serves the order; undefined once it has been superseded. */
  const resolved = async (
    team: TeamRecord,
    order: Omit<OperationOrder, 'profile'>,
    actor: Actor,
    present: OperationRecord,
  ): Promise<OperationRecord | undefined> => {
    const isSame = present.kind === order.kind;
    if (isSame && (present.force || !order.force)) return advanced(team.slug, present, openingMs);
    if (!order.force) throw serverBusy(present);
    const now = clock.now();
    const superseded = {
      reason: 'superseded',
      message: `Superseded by a forced ${order.kind} by ${actor.by}.`,
    };
    let isOurs = false;
    const changed = await store.changeOperation(team.slug, present.id, (current) => {
      isOurs = current.outcome === null;
      if (!isOurs) return undefined;
      return isSame ? escalatedToForce(current, actor.by, now) : failed(current, superseded, now);
    });
    if (!isSame || !isOurs || changed === undefined) return undefined;
    await store.change(team.slug, (current) => recordOpened(current, { ...changed, createdAt: actor.now }));
    advancedAt.delete(changed.id);
    return advanced(team.slug, changed, openingMs);
  };

  const findOpen: Operations['findOpen'] = async (team, order, actor) => {
    const open = await store.openOperations(team.slug);
    const present = open.find(({ user }) => user === order.user);
    return present === undefined ? undefined : resolved(team, order, actor, present);
  };

  return {
    findOpen,

    async open(team, order, actor) {
      for (let attempt = 0; attempt < attempts; attempt += 1) {
        const operation = newOperation({ ...order, id: newId(), by: actor.by }, clock.now());
        const present = await store.openOperation(team.slug, operation);
        if (present === undefined) throw new Problem('not_found');
        if (present.id === operation.id) {
          await store.change(team.slug, (current) => recordOpened(current, operation));
          log.info({ team: team.slug, operation: operation.id, ...order }, 'operation opened');
          return advanced(team.slug, operation, openingMs);
        }
        const served = await resolved(team, order, actor, present);
        if (served !== undefined) return served;
      }
      throw new Problem('busy');
    },

    async poll(team, id) {
      const operation = await store.operation(team.slug, id);
      return operation && advanced(team.slug, operation, watchingMs);
    },

    async tick() {
      const due = await store.operationsDue(new Date(clock.now()).toISOString(), operationsPerTick);
      await forEachConcurrently(due, atOnce, async ({ slug, id }) => {
        const until = elapsedMs() + tickMs;
        try {
          for (;;) {
            const operation = await store.operation(slug, id);
            if (operation === undefined || operation.outcome !== null) return;
            const after = await advance(slug, operation, AbortSignal.timeout(ticksEachMs));
            if (after.outcome !== null || elapsedMs() + stepEveryMs > until) return;
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
