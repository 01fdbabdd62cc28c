import { forEachConcurrently } from '../lib/concurrency.ts';
import { Lru } from '../lib/lru.ts';
import { isoOf } from '../lib/time.ts';
import type { OperationRecord } from '../model/operation.ts';
import { Problem } from '../model/problems.ts';
import type { TeamRecord } from '../model/record.ts';
import type { Actor } from '../teams/rules.ts';
import { advanceWith, type OperationDeps } from './advance.ts';
import { noted } from './rules.ts';
import { begun, failed, forced } from './steps.ts';

/** What somebody wants to happen. */
export type OperationOrder = Pick<OperationRecord, 'kind' | 'user' | 'force' | 'profile'>;

export interface Operations {
  /** The operation of this kind that is open on the subject already, as far as it serves the wish; see `open`. */
  readonly standing: (
    team: TeamRecord,
    wish: Omit<OperationOrder, 'profile'>,
    act: Actor,
  ) => Promise<OperationRecord | undefined>;
  /**
   * Opens an operation, or answers the one of its kind that is open already, and takes it as far as it goes at once.
   * Throws Problem `server_busy` when one of another kind is open that the wish does not override.
   */
  readonly open: (team: TeamRecord, wish: OperationOrder, act: Actor) => Promise<OperationRecord>;
  /** The operation, one bounded step further; at most one step a second for each. Undefined when there is none. */
  readonly watched: (team: TeamRecord, id: string) => Promise<OperationRecord | undefined>;
  /** Takes on what is due, whoever it was left by. Answers how many operations that were. */
  readonly tick: () => Promise<number>;
}

export interface OperationOptions {
  /** A new id, at random. */
  readonly newId: () => string;
  /** Monotonic milliseconds. */
  readonly elapsedMs: () => number;
  readonly pause: (ms: number) => Promise<void>;
}

/** Within the request that opened it; what is not done by then whoever watches does, or the tick. */
const openingMs = 4_000;
const watchingMs = 4_000;
const stepEveryMs = 1_000;

/** A tick stays with an operation for so long, that nobody has to watch a restart for it to go on. */
const tickMs = 5_000;
const ticksEachMs = 20_000;
const operationsPerTick = 200;
const atOnce = 8;

/** Operations whose last step is remembered; one that is forgotten takes one more. */
const remembered = 10_000;

/** A subject that others keep so busy that this many tries fail. */
const tries = 5;

const busyWith = {
  start: 'is being started',
  stop: 'is being stopped',
  restart: 'is being restarted',
  restart_hub: 'is being restarted',
} as const;

const serverBusy = ({ kind, user, id }: OperationRecord) =>
  new Problem('server_busy', {
    detail: `The ${user === null ? 'hub' : `server of ${user}`} ${busyWith[kind]} (${id}). Wait until that is over, or stop or restart it with force, which gives that up.`,
  });

export const operationsWith = (
  deps: OperationDeps,
  { newId, elapsedMs, pause }: OperationOptions,
): Operations => {
  const { store, clock, log } = deps;
  const advance = advanceWith(deps);
  const steppedAt = new Lru<number>(remembered);

  /** Never a reason to fail a request: the operation is stored and due. */
  const stepped = async (slug: string, operation: OperationRecord, ms: number): Promise<OperationRecord> => {
    const last = steppedAt.get(operation.id);
    const isEarly = last !== undefined && elapsedMs() - last < stepEveryMs;
    if (operation.outcome !== null || isEarly) return operation;
    steppedAt.set(operation.id, elapsedMs());
    try {
      return await advance(slug, operation, AbortSignal.timeout(ms));
    } catch (error) {
      log.warn({ team: slug, operation: operation.id, err: error }, 'operation step failed');
      return (await store.operation(slug, operation.id)) ?? operation;
    }
  };

  /** What becomes of an operation that is open already when this is wished for; undefined when it gave way. */
  const yielded = async (
    team: TeamRecord,
    wish: Omit<OperationOrder, 'profile'>,
    act: Actor,
    present: OperationRecord,
  ): Promise<OperationRecord | undefined> => {
    const isSame = present.kind === wish.kind;
    if (isSame && (present.force || !wish.force)) return stepped(team.slug, present, openingMs);
    if (!wish.force) throw serverBusy(present);
    const now = clock.now();
    const superseded = {
      reason: 'superseded',
      message: `${act.by} gave this up for a ${wish.kind} by force.`,
    };
    let isOurs = false;
    const changed = await store.changeOperation(team.slug, present.id, (current) => {
      isOurs = current.outcome === null;
      if (!isOurs) return undefined;
      return isSame ? forced(current, act.by, now) : failed(current, superseded, now);
    });
    if (!isSame || !isOurs || changed === undefined) return undefined;
    await store.change(team.slug, (current) => noted(current, { ...changed, createdAt: act.now }));
    steppedAt.delete(changed.id);
    return stepped(team.slug, changed, openingMs);
  };

  const standing: Operations['standing'] = async (team, wish, act) => {
    const open = await store.openOperations(team.slug);
    const present = open.find(({ user }) => user === wish.user);
    return present === undefined ? undefined : yielded(team, wish, act, present);
  };

  return {
    standing,

    async open(team, wish, act) {
      for (let attempt = 0; attempt < tries; attempt += 1) {
        const operation = begun({ ...wish, id: newId(), by: act.by }, clock.now());
        const present = await store.openOperation(team.slug, operation);
        if (present === undefined) throw new Problem('not_found');
        if (present.id === operation.id) {
          await store.change(team.slug, (current) => noted(current, operation));
          log.info({ team: team.slug, operation: operation.id, ...wish }, 'operation opened');
          return stepped(team.slug, operation, openingMs);
        }
        const served = await yielded(team, wish, act, present);
        if (served !== undefined) return served;
      }
      throw new Problem('busy');
    },

    async watched(team, id) {
      const operation = await store.operation(team.slug, id);
      return operation && stepped(team.slug, operation, watchingMs);
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
