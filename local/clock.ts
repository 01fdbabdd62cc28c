/**
 * The sandbox’s clock. It follows the real clock until it is moved forward, in every process of the sandbox at once.
 * Only Date moves; timers keep their pace, so a wait of one second takes one second.
 */
const RealDate = Date;
const realNow = RealDate.now;
let aheadMs = 0;

const now = (): number => realNow() + aheadMs;
// Replaced at load time, because some modules keep a reference to Date.now.
RealDate.now = now;

const moved = new Proxy(RealDate, {
  construct: (target, args, newTarget) =>
    Reflect.construct(target, args.length === 0 ? [now()] : args, newTarget),
  apply: () => new RealDate(now()).toString(),
});

/** Moves this process’s clock forward. It cannot go back. */
export const moveClock = (ms: number): void => {
  if (!Number.isFinite(ms) || ms < 0) throw new RangeError('The clock moves forward only.');
  aheadMs += ms;
  globalThis.Date = moved;
};

/** How far this process’s clock is ahead of the machine’s. */
export const clockAheadMs = (): number => aheadMs;

/** The variable in which a process of the sandbox finds how far ahead it starts. */
export const clockVariable = 'SANDBOX_CLOCK_AHEAD_MS';

/** Sent by the sandbox to the processes that it started. */
export interface ClockMessage {
  readonly moveClockMs: number;
}

export const isClockMessage = (message: unknown): message is ClockMessage =>
  typeof message === 'object' &&
  message !== null &&
  'moveClockMs' in message &&
  typeof message.moveClockMs === 'number';
