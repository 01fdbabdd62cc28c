/** The log for operators. `event`: what happened, as a constant text. */
export interface Log {
  info(fields: object, event: string): void;
  warn(fields: object, event: string): void;
  error(fields: object, event: string): void;
}

export interface Clock {
  /** Epoch milliseconds. */
  now(): number;
}
