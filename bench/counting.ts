/** A port that counts the calls made to it. */
export const counting = <T extends object>(port: T): { readonly port: T; calls: number } => {
  const counted = { calls: 0, port };
  counted.port = new Proxy(port, {
    get(target, name, receiver) {
      const value: unknown = Reflect.get(target, name, receiver);
      if (typeof value !== 'function') return value;
      return (...args: unknown[]) => {
        counted.calls += 1;
        return Reflect.apply(value, target, args);
      };
    },
  });
  return counted;
};
