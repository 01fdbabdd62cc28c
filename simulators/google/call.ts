import type { Call } from '../registries/http.ts';
import { Refusal } from './errors.ts';

/** An authenticated request. */
export interface GoogleCall extends Call {
  /** `owner` may do everything; else a principal such as serviceAccount:x@y. */
  readonly caller: string;
  /** The JSON of the body; an empty object without one. */
  readonly json: Readonly<Record<string, unknown>>;
}

/** The principal that may do everything in the project. */
export const owner = 'owner';

const isRecord = (value: unknown): value is Readonly<Record<string, unknown>> =>
  typeof value === 'object' && value !== null && !Array.isArray(value);

export const jsonOf = (call: Call): Readonly<Record<string, unknown>> => {
  const text = call.body.toString();
  if (text.trim() === '') return {};
  try {
    const value: unknown = JSON.parse(text);
    if (isRecord(value)) return value;
  } catch {
    // Answered below, as a body that is no object is.
  }
  throw new Refusal(
    'INVALID_ARGUMENT',
    `Invalid JSON payload received. Unexpected token.\n${text.slice(0, 100)}`,
  );
};

/** A field that must be an object. */
export const recordIn = (
  value: Readonly<Record<string, unknown>>,
  field: string,
): Readonly<Record<string, unknown>> => {
  const found = value[field];
  return isRecord(found) ? found : {};
};

export const textIn = (value: Readonly<Record<string, unknown>>, field: string): string => {
  const found = value[field];
  return typeof found === 'string' ? found : '';
};

/** A field that must be a map of strings. */
export const textsIn = (
  value: Readonly<Record<string, unknown>>,
  field: string,
): Readonly<Record<string, string>> =>
  Object.fromEntries(
    Object.entries(recordIn(value, field)).flatMap(([key, text]) =>
      typeof text === 'string' ? [[key, text] as const] : [],
    ),
  );

/** A page of a list, by Google’s rules for tokens. */
export const pageOf = <T>(
  { url }: Call,
  all: readonly T[],
  usual: number,
): { readonly items: readonly T[]; readonly nextPageToken?: string } => {
  const asked = Number(url.searchParams.get('pageSize') ?? 0);
  const size = Math.min(asked > 0 ? asked : usual, 25_000);
  const token = url.searchParams.get('pageToken') ?? '';
  const start = token === '' ? 0 : Number(Buffer.from(token, 'base64url').toString());
  if (!Number.isInteger(start)) throw new Refusal('INVALID_ARGUMENT', 'Invalid page token.');
  const end = start + size;
  const items = all.slice(start, end);
  if (end >= all.length) return { items };
  return { items, nextPageToken: Buffer.from(String(end)).toString('base64url') };
};
