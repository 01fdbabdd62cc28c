import type { Static, TSchema } from 'typebox';
import { Value } from 'typebox/value';

export type ProcessEnv = Readonly<Record<string, string | undefined>>;

/** Reads variables and collects every fault, so an operator sees all of them at once. */
export class Variables {
  readonly faults: string[] = [];
  readonly #env: ProcessEnv;
  constructor(env: ProcessEnv) {
    this.#env = env;
  }

  fault(name: string, message: string): undefined {
    this.faults.push(`${name}: ${message}`);
  }

  optional(name: string): string | undefined {
    const value = this.#env[name]?.trim();
    return value === '' ? undefined : value;
  }

  text(name: string, fallback?: string): string {
    const value = this.optional(name) ?? fallback;
    if (value === undefined) this.fault(name, 'is missing');
    return value ?? '';
  }

  matching(name: string, pattern: RegExp, form: string, fallback?: string): string {
    const value = this.text(name, fallback);
    if (value !== '' && !pattern.test(value)) this.fault(name, `must be ${form}, not "${value}"`);
    return value;
  }

  integer(name: string, fallback: number, most = Number.MAX_SAFE_INTEGER): number {
    const text = this.optional(name) ?? String(fallback);
    const value = Number(text);
    if (!/^[0-9]+$/.test(text) || value > most) {
      const bounds = most === Number.MAX_SAFE_INTEGER ? '0 or more' : `0 to ${most}`;
      this.fault(name, `must be a whole number, ${bounds}`);
    }
    return value;
  }

  /** Off unless it is 1. Any value but 0 and 1 stops the start, so a typo never leaves it silently off. */
  flag(name: string): boolean {
    const value = this.optional(name) ?? '0';
    if (value !== '0' && value !== '1') this.fault(name, 'must be 1 or 0');
    return value === '1';
  }

  list(name: string): readonly string[] {
    return (this.optional(name) ?? '')
      .split(',')
      .map((item) => item.trim())
      .filter((item) => item !== '');
  }

  oneOf<const T extends readonly string[]>(name: string, values: T, fallback: T[number]): T[number] {
    const value = this.optional(name) ?? fallback;
    const found = values.find((candidate) => candidate === value);
    if (found === undefined) this.fault(name, `must be one of ${values.join(', ')}`);
    return found ?? fallback;
  }

  /** A JSON document in a variable, checked against its schema. */
  json<T extends TSchema>(name: string, schema: T, fallback?: Static<T>): Static<T> | undefined {
    const text = this.optional(name);
    if (text === undefined) {
      if (fallback === undefined) this.fault(name, 'is missing');
      return fallback;
    }
    let value: unknown;
    try {
      value = JSON.parse(text);
    } catch {
      return this.fault(name, 'is not JSON');
    }
    if (Value.Check(schema, value)) return value;
    for (const error of Value.Errors(schema, value)) {
      this.fault(name, `${error.instancePath === '' ? '' : `${error.instancePath} `}${error.message}`);
    }
    return undefined;
  }
}
