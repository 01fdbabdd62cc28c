import { at, isObject, type JsonObject } from '../lib/json.ts';
import { mebibytes, printMebibytes } from '../lib/quantity.ts';
import type { FaultCode } from './faults.ts';
import { defaultLimits, type Limits, type NotebookLimits } from './limits.ts';
import type { NotebookOrder, NotebookSpec } from './notebook.ts';
import type { PlannedChange } from './plan.ts';

type Leaf = string | number | boolean | null | readonly unknown[];

type PointerOf<T> = {
  [K in keyof T & string]: T[K] extends Leaf ? `/${K}` : `/${K}${PointerOf<T[K]>}`;
}[keyof T & string];

type ValueAt<T, Pointer> = Pointer extends `/${infer Section}/${infer Rest}`
  ? Section extends keyof T
    ? ValueAt<T[Section], `/${Rest}`>
    : never
  : Pointer extends `/${infer Name}`
    ? Name extends keyof T
      ? T[Name]
      : never
    : never;

/** JSON pointer (RFC 6901) to a field of NotebookSpec. */
type NotebookPointer = PointerOf<NotebookSpec>;

/** Another field that this one must not exceed, or must not fall below, and the fault if it does. */
interface Relation {
  readonly field: NotebookPointer;
  readonly code: FaultCode;
  readonly message: string;
}

/** Everything that the product needs to know about one field. */
export interface NotebookField<T = unknown> {
  readonly type: NotebookLimits['fields'][number]['type'];
  /** What an order gets that leaves the field out, moved into the bounds and behind the fields it is related to. */
  readonly default: T;
  /** The smallest and the largest value; quantities in MiB. */
  readonly bounds?: (limits: Limits) => readonly [minimum: number, maximum: number];
  /** For a list: how many entries it takes. The allowlist’s parser enforces it. */
  readonly maxEntries?: (limits: Limits) => number;
  readonly unit?: 'cores' | 'seconds';
  readonly atMost?: Relation;
  readonly atLeast?: Relation;
  /** When a change reaches servers, as a plan reports it. */
  readonly takesEffect: PlannedChange['takesEffect'];
}

const cores = ({ cpuMin, cpuMax }: Limits) => [cpuMin, cpuMax] as const;
const memory = ({ memoryMinMi, memoryMaxMi }: Limits) => [memoryMinMi, memoryMaxMi] as const;
const aboveLimit = {
  code: 'above_limit',
  message: 'The guarantee must not be above the limit.',
} as const;

/**
 * The fields of a notebook, one row each; the compiler asks for a row per field. Completing an order, bounds, `getLimits`,
 * a plan’s timing and completing what an earlier version stored all follow from this table.
 */
export const notebookFields: { readonly [P in NotebookPointer]: NotebookField<ValueAt<NotebookSpec, P>> } = {
  '/resources/cpu/guarantee': {
    type: 'number',
    default: 0.2,
    bounds: cores,
    unit: 'cores',
    atMost: { field: '/resources/cpu/limit', ...aboveLimit },
    takesEffect: 'next_start',
  },
  '/resources/cpu/limit': {
    type: 'number',
    default: 0.5,
    bounds: cores,
    unit: 'cores',
    takesEffect: 'next_start',
  },
  '/resources/memory/guarantee': {
    type: 'quantity',
    default: '1Gi',
    bounds: memory,
    atMost: { field: '/resources/memory/limit', ...aboveLimit },
    takesEffect: 'next_start',
  },
  '/resources/memory/limit': {
    type: 'quantity',
    default: '2Gi',
    bounds: memory,
    takesEffect: 'next_start',
  },
  '/image': { type: 'text', default: null, takesEffect: 'next_start' },
  '/standardEnvironments': { type: 'boolean', default: true, takesEffect: 'next_start' },
  '/culling/timeoutSeconds': {
    type: 'integer',
    default: 3600,
    bounds: ({ timeoutMinSeconds, timeoutMaxSeconds }) => [timeoutMinSeconds, timeoutMaxSeconds],
    unit: 'seconds',
    takesEffect: 'immediately',
  },
  '/culling/maxAgeSeconds': {
    type: 'integer',
    default: 604_800,
    bounds: ({ timeoutMinSeconds, maxAgeMaxSeconds }) => [timeoutMinSeconds, maxAgeMaxSeconds],
    unit: 'seconds',
    atLeast: {
      field: '/culling/timeoutSeconds',
      code: 'below_timeout',
      message: 'The maximum age must not be below the idle timeout.',
    },
    takesEffect: 'immediately',
  },
  '/culling/keepBusyKernels': { type: 'boolean', default: true, takesEffect: 'immediately' },
  '/allowlist/enabled': { type: 'boolean', default: false, takesEffect: 'immediately' },
  '/allowlist/hosts': {
    type: 'list',
    default: [],
    maxEntries: ({ hostsMax }) => hostsMax,
    takesEffect: 'immediately',
  },
  '/storage/home': {
    type: 'quantity',
    default: '10Gi',
    bounds: ({ homeMinMi, homeMaxMi }) => [homeMinMi, homeMaxMi],
    takesEffect: 'new_homes',
  },
  '/pip/userInstallByDefault': { type: 'boolean', default: false, takesEffect: 'next_start' },
};

/** A row of the table with the pointer that names it. */
export interface FieldRow extends NotebookField {
  readonly pointer: string;
}

export const fieldRows: readonly FieldRow[] = Object.entries(notebookFields).map(([pointer, field]) => ({
  pointer,
  ...field,
}));

/** Two fields of which one must not be above the other. `pointer` is the one that the fault is reported on. */
interface FieldPair {
  readonly low: string;
  readonly high: string;
  readonly fault: { readonly pointer: string; readonly code: FaultCode; readonly message: string };
}

const faultOf = (pointer: string, { code, message }: Relation): FieldPair['fault'] => ({
  pointer,
  code,
  message,
});

export const fieldPairs: readonly FieldPair[] = fieldRows.flatMap(({ pointer, atMost, atLeast }) => [
  ...(atMost ? [{ low: pointer, high: atMost.field, fault: faultOf(pointer, atMost) }] : []),
  ...(atLeast ? [{ low: atLeast.field, high: pointer, fault: faultOf(pointer, atLeast) }] : []),
]);

const namesIn = (pointer: string): readonly string[] => pointer.slice(1).split('/');

/** The value of a field in an order, a patch or a complete configuration. */
export const valueAt = (order: unknown, pointer: string): unknown => at(order, ...namesIn(pointer));

/** A value as the number that its bounds are given in; undefined for one without, or of the wrong type. */
export const measureOf = ({ type }: NotebookField, value: unknown): number | undefined => {
  if (type !== 'quantity') return typeof value === 'number' ? value : undefined;
  const isQuantity =
    typeof value === 'string' && value.length <= 16 && /^[0-9]+(\.[0-9]+)?(Mi|Gi)$/.test(value);
  return isQuantity ? mebibytes(value) : undefined;
};

/** A bound in the field’s own form. */
export const printBound = ({ type }: NotebookField, bound: number): number | string =>
  type === 'quantity' ? printMebibytes(bound) : bound;

const withinBounds = (row: FieldRow, limits: Limits): unknown => {
  const [minimum, maximum] = row.bounds?.(limits) ?? [];
  const measure = measureOf(row, row.default);
  if (measure === undefined || minimum === undefined || maximum === undefined) return row.default;
  const clamped = Math.min(Math.max(measure, minimum), maximum);
  return clamped === measure ? row.default : printBound(row, clamped);
};

/** A default gives way to a related value that was given: ordering a guarantee of four cores makes the limit four. */
const defaultIn = (row: FieldRow, order: unknown, limits: Limits): unknown =>
  fieldPairs.reduce(
    (value, { low, high }) => {
      if (row.pointer !== low && row.pointer !== high) return value;
      const given = valueAt(order, row.pointer === low ? high : low);
      const [own, other] = [measureOf(row, value), measureOf(row, given)];
      if (own === undefined || other === undefined) return value;
      return (row.pointer === low ? own > other : own < other) ? given : value;
    },
    withinBounds(row, limits),
  );

const nested = ([name = '', ...rest]: readonly string[], value: unknown): JsonObject => ({
  [name]: rest.length === 0 ? value : nested(rest, value),
});

/** Objects are merged; anything else in `over` replaces what is below it. */
const overlay = (under: unknown, over: unknown): unknown => {
  if (over === undefined) return under;
  if (!isObject(under) || !isObject(over)) return over;
  const names = new Set([...Object.keys(under), ...Object.keys(over)]);
  return Object.fromEntries([...names].map((name) => [name, overlay(under[name], over[name])]));
};

/**
 * The order with every field that it leaves out at its default. A value that was given is never changed, and what the
 * table does not know is kept: it was stored by a later version.
 */
export const complete = (order: NotebookOrder, limits: Limits = defaultLimits): NotebookSpec => {
  const defaults = fieldRows.reduce<unknown>(
    (spec, row) => overlay(spec, nested(namesIn(row.pointer), defaultIn(row, order, limits))),
    {},
  );
  // The table has a row for every field of NotebookSpec and no other.
  return overlay(defaults, order) as NotebookSpec;
};
