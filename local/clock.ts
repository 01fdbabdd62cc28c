/**
 * The sandbox’s time. It runs as everybody’s does until it is moved forward, in every process of the sandbox at once:
 * Date is all that moves. Timers keep their pace, so what waits for a second waits for a second.
 */
const RealDate = Date;
const realNow = RealDate.now;
let aheadMs = 0;

const now = (): number => realNow() + aheadMs;
// At once, since some keep the function that they found at their start.
RealDate.now = now;

const moved = new Proxy(RealDate, {
  construct: (target, args, newTarget) =>
    Reflect.construct(target, args.length === 0 ? [now()] : args, newTarget),
  apply: () => new RealDate(now()).toString(),
});

/** Moves this process’s clock forward by so many milliseconds. It never goes back. */
export const moveClock = (ms: number): void => {
  if (!Number.isFinite(ms) || ms < 0) throw new RangeError('The clock moves forward only.');
  aheadMs += ms;
  globalThis.Date = moved;
};

/** What a process of the sandbox tells the others it started. */
export interface ClockMessage {
  readonly moveClockMs: number;
}

export const isClockMessage = (message: unknown): message is ClockMessage =>
  typeof message === 'object' &&
  message !== null &&
  'moveClockMs' in message &&
  typeof message.moveClockMs === 'number';
