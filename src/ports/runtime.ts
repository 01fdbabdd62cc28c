/** Where lines for operators go. `event`: what happened, always in the same words. */
export interface Log {
  info(fields: object, event: string): void;
  warn(fields: object, event: string): void;
  error(fields: object, event: string): void;
}

export interface Clock {
  /** Epoch milliseconds. */
  now(): number;
}
