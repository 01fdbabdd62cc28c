import { at, isObject, type JsonObject } from '../lib/json.ts';
import { referencePattern } from '../lib/oci.ts';
import { mebibytes, printMebibytes, quantityPattern } from '../lib/quantity.ts';
import type { FaultCode } from './faults.ts';
import { defaultLimits, type FieldRule, type Limits, type NotebookLimits } from './limits.ts';
import type { LocalizedText } from './localized-text.ts';
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

/** The fault of a broken rule. */
interface RuleFault {
  readonly code: FaultCode;
  readonly message: LocalizedText;
}

/** A rule that involves another field. */
interface Relation extends RuleFault {
  readonly field: NotebookPointer;
}

/** Everything that the product needs to know about one field. */
export interface NotebookField<T = unknown> {
  readonly label: LocalizedText;
  readonly type: NotebookLimits['fields'][number]['type'];
  /** What an order gets that leaves the field out, moved into the bounds and behind the fields it is related to. */
  readonly default: T;
  /** The smallest and the largest value; quantities in MiB. */
  readonly bounds?: (limits: Limits) => readonly [minimum: number, maximum: number];
  /** For a list: how many entries it takes. The allowlist’s parser enforces it. */
  readonly maxEntries?: (limits: Limits) => number;
  readonly unit?: 'cores' | 'seconds';
  /** A regular expression that every accepted text matches. */
  readonly pattern?: string;
  /** The field must not be above the other. */
  readonly atMost?: Relation;
  /** The field must not be below the other. */
  readonly atLeast?: Relation;
  /** A change must not make the value smaller. */
  readonly cannotShrink?: RuleFault;
  /** While the field is false, the other must not be null. */
  readonly falseNeeds?: Relation;
  /** When a change reaches servers, as a plan reports it. */
  readonly takesEffect: PlannedChange['takesEffect'];
}

const cores = ({ cpuMin, cpuMax }: Limits) => [cpuMin, cpuMax] as const;
const memory = ({ memoryMinMi, memoryMaxMi }: Limits) => [memoryMinMi, memoryMaxMi] as const;
const aboveLimit = {
  code: 'above_limit',
  message: {
    en: 'The guarantee must not be above the limit.',
    nb: 'Garantien kan ikke være høyere enn grensen.',
  },
} as const;

/**
 * The fields of a notebook, one row each; the compiler asks for a row per field. Completing an order, bounds, `getLimits`,
 * a plan’s timing and completing what an earlier version stored all follow from this table.
 */
export const notebookFields: { readonly [P in NotebookPointer]: NotebookField<ValueAt<NotebookSpec, P>> } = {
  '/resources/cpu/guarantee': {
    label: { en: 'Guaranteed CPU', nb: 'Garantert CPU' },
    type: 'number',
    default: 0.2,
    bounds: cores,
    unit: 'cores',
    atMost: { field: '/resources/cpu/limit', ...aboveLimit },
    takesEffect: 'next_start',
  },
  '/resources/cpu/limit': {
    label: { en: 'CPU limit', nb: 'CPU-grense' },
    type: 'number',
    default: 0.5,
    bounds: cores,
    unit: 'cores',
    takesEffect: 'next_start',
  },
  '/resources/memory/guarantee': {
    label: { en: 'Guaranteed memory', nb: 'Garantert minne' },
    type: 'quantity',
    pattern: quantityPattern,
    default: '1Gi',
    bounds: memory,
    atMost: { field: '/resources/memory/limit', ...aboveLimit },
    takesEffect: 'next_start',
  },
  '/resources/memory/limit': {
    label: { en: 'Memory limit', nb: 'Minnegrense' },
    type: 'quantity',
    pattern: quantityPattern,
    default: '2Gi',
    bounds: memory,
    takesEffect: 'next_start',
  },
  '/image': {
    label: { en: 'Own image', nb: 'Eget image' },
    type: 'text',
    default: null,
    pattern: referencePattern,
    takesEffect: 'next_start',
  },
  '/standardEnvironments': {
    label: { en: 'Offer the standard environments', nb: 'Tilby standardmiljøene' },
    type: 'boolean',
    default: true,
    falseNeeds: {
      field: '/image',
      code: 'image_needed',
      message: {
        en: 'Without the standard environments and without an image of its own, the team could start nothing. Order an image, or keep the standard environments.',
        nb: 'Uten standardmiljøene og uten et eget image har teamet ingenting å starte. Bestill et image, eller behold standardmiljøene.',
      },
    },
    takesEffect: 'next_start',
  },
  '/culling/timeoutSeconds': {
    label: { en: 'Idle timeout', nb: 'Tid uten aktivitet før stopp' },
    type: 'integer',
    default: 3600,
    bounds: ({ timeoutMinSeconds, timeoutMaxSeconds }) => [timeoutMinSeconds, timeoutMaxSeconds],
    unit: 'seconds',
    takesEffect: 'immediately',
  },
  '/culling/maxAgeSeconds': {
    label: { en: 'Maximum age', nb: 'Maksimal levetid' },
    type: 'integer',
    default: 604_800,
    bounds: ({ timeoutMinSeconds, maxAgeMaxSeconds }) => [timeoutMinSeconds, maxAgeMaxSeconds],
    unit: 'seconds',
    atLeast: {
      field: '/culling/timeoutSeconds',
      code: 'below_timeout',
      message: {
        en: 'The maximum age must not be below the idle timeout.',
        nb: 'Maksimal levetid kan ikke være kortere enn tiden uten aktivitet.',
      },
    },
    takesEffect: 'immediately',
  },
  '/culling/keepBusyKernels': {
    label: { en: 'Count a busy kernel as activity', nb: 'Regn en opptatt kjerne som aktivitet' },
    type: 'boolean',
    default: true,
    takesEffect: 'immediately',
  },
  '/allowlist/enabled': {
    label: {
      en: 'Restrict network access to the allowlist',
      nb: 'Begrens nettverkstilgangen til tillatelseslisten',
    },
    type: 'boolean',
    default: false,
    takesEffect: 'immediately',
  },
  '/allowlist/hosts': {
    label: { en: 'Allowed hosts', nb: 'Tillatte verter' },
    type: 'list',
    default: [],
    maxEntries: ({ hostsMax }) => hostsMax,
    takesEffect: 'immediately',
  },
  '/storage/home': {
    label: { en: 'Size of each home volume', nb: 'Størrelse på hvert hjemmeområde' },
    type: 'quantity',
    pattern: quantityPattern,
    default: '10Gi',
    bounds: ({ homeMinMi, homeMaxMi }) => [homeMinMi, homeMaxMi],
    cannotShrink: {
      code: 'cannot_shrink',
      message: { en: 'A home volume can only grow.', nb: 'Et hjemmeområde kan bare bli større.' },
    },
    takesEffect: 'new_homes',
  },
  '/pip/userInstallByDefault': {
    label: { en: 'Install packages in the home volume', nb: 'Installer pakker i hjemmeområdet' },
    type: 'boolean',
    default: false,
    takesEffect: 'next_start',
  },
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
  message: message.en,
});

const ruleOf = (
  kind: FieldRule['kind'],
  pointer: string,
  rule: RuleFault | Relation | undefined,
): readonly FieldRule[] => {
  if (rule === undefined) return [];
  const { code, message } = rule;
  return [{ kind, pointer, other: 'field' in rule ? rule.field : null, code, message: { ...message } }];
};

export const fieldPairs: readonly FieldPair[] = fieldRows.flatMap(({ pointer, atMost, atLeast }) => [
  ...(atMost ? [{ low: pointer, high: atMost.field, fault: faultOf(pointer, atMost) }] : []),
  ...(atLeast ? [{ low: atLeast.field, high: pointer, fault: faultOf(pointer, atLeast) }] : []),
]);

/** Every rule of the table, as getLimits shows it. */
export const fieldRules: readonly FieldRule[] = fieldRows.flatMap(
  ({ pointer, atMost, atLeast, cannotShrink, falseNeeds }) => [
    ...ruleOf('at_most', pointer, atMost),
    ...ruleOf('at_least', pointer, atLeast),
    ...ruleOf('cannot_shrink', pointer, cannotShrink),
    ...ruleOf('false_needs', pointer, falseNeeds),
  ],
);

const namesIn = (pointer: string): readonly string[] => pointer.slice(1).split('/');

/** The value of a field in an order, a patch or a complete configuration. */
export const valueAt = (order: unknown, pointer: string): unknown => at(order, ...namesIn(pointer));

const quantityForm = new RegExp(quantityPattern);

/** A value as the number that its bounds are given in; undefined for one without, or of the wrong type. */
export const measureOf = ({ type }: NotebookField, value: unknown): number | undefined => {
  if (type !== 'quantity') return typeof value === 'number' ? value : undefined;
  const isQuantity = typeof value === 'string' && value.length <= 16 && quantityForm.test(value);
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
