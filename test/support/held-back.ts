/** One call of a port, as a test sees it. */
export interface PortCall {
  readonly method: string;
  readonly given: readonly unknown[];
}

export interface HeldBack<Port> {
  /** The port, whose first call that fits waits until it is let go. Every other call goes through. */
  readonly port: Port;
  /** Resolves once a call waits. */
  readonly reached: Promise<PortCall>;
  letGo(): void;
}

/**
 * A port with one call that is held back right before it takes effect, as happens to an instance that is frozen, or to a
 * request that is slow. Meanwhile a test moves the world; then it lets the call go on.
 */
export const heldBack = <Port extends object>(
  port: Port,
  fits: (call: PortCall) => boolean,
): HeldBack<Port> => {
  const reached = Promise.withResolvers<PortCall>();
  const released = Promise.withResolvers<void>();
  let isHeld = false;
  const proxy = new Proxy(port, {
    get(target, property, receiver) {
      const value: unknown = Reflect.get(target, property, receiver);
      if (typeof value !== 'function') return value;
      return async (...given: readonly unknown[]): Promise<unknown> => {
        const call = { method: String(property), given };
        if (!isHeld && fits(call)) {
          isHeld = true;
          reached.resolve(call);
          await released.promise;
        }
        return Reflect.apply(value, target, given);
      };
    },
  });
  return { port: proxy, reached: reached.promise, letGo: () => released.resolve() };
};
