import { parseReference, printReference } from '../images/reference.ts';
import { isObject } from '../lib/json.ts';
import { mebibytes } from '../lib/quantity.ts';
import type { Limits } from '../model/limits.ts';
import type { NotebookOrder, NotebookPatch, NotebookSpec } from '../model/notebook.ts';
import { complete, fieldPairs, fieldRows, measureOf, printBound, valueAt } from '../model/notebook-fields.ts';
import { type Fault, Problem } from '../model/problems.ts';

/**
 * The canonical form of an image reference, which is what is stored and compared. A text that is not a reference stays
 * as it is: resolving it reports what is wrong.
 */
export const canonicalImage = (image: string): string => {
  const parsed = parseReference(image);
  return parsed.ok ? printReference(parsed.reference) : image;
};

/** The configuration with its image in canonical form. */
export const withCanonicalImage = (spec: NotebookSpec): NotebookSpec =>
  spec.image === null ? spec : { ...spec, image: canonicalImage(spec.image) };

/** RFC 7396: null removes, an object is merged, everything else replaces. */
const mergePatch = (target: unknown, patch: unknown): unknown => {
  if (!isObject(patch)) return patch;
  const result: Record<string, unknown> = { ...(isObject(target) ? target : {}) };
  for (const [name, value] of Object.entries(patch)) {
    if (value === null) delete result[name];
    else result[name] = mergePatch(result[name], value);
  }
  return result;
};

/** The configuration after a merge patch: a removed field gets its default. */
export const applyPatch = (spec: NotebookSpec, patch: NotebookPatch, limits: Limits): NotebookSpec =>
  // A schema-checked patch merged into a spec is an order by construction.
  complete(mergePatch(spec, patch) as NotebookOrder, limits);

/**
 * An earlier configuration as it can be ordered today: fields that were added later take their defaults, and home
 * volumes that have grown stay as large as they are.
 */
export const restoreSpec = (
  earlier: NotebookSpec,
  current: NotebookSpec | undefined,
  limits: Limits,
): NotebookSpec => {
  const spec = complete(earlier, limits);
  if (current === undefined || mebibytes(spec.storage.home) >= mebibytes(current.storage.home)) return spec;
  return { ...spec, storage: { ...spec.storage, home: current.storage.home } };
};

/**
 * Every violation of the platform’s bounds in an order, a patch or a complete configuration, at most one per field.
 * Values of the wrong type are skipped: the schema reports those.
 */
export const boundsFaults = (order: unknown, limits: Limits): readonly Fault[] => {
  const outOfRange = fieldRows.flatMap((row): Fault[] => {
    const [minimum, maximum] = row.bounds?.(limits) ?? [];
    const value = measureOf(row, valueAt(order, row.pointer));
    if (value === undefined || minimum === undefined || maximum === undefined) return [];
    if (value >= minimum && value <= maximum) return [];
    const unit = row.unit === undefined ? '' : ` ${row.unit}`;
    const message = `Must be ${printBound(row, minimum)} to ${printBound(row, maximum)}${unit}.`;
    return [{ pointer: row.pointer, code: 'out_of_range', message }];
  });
  const measureAt = (pointer: string): number | undefined => {
    const row = fieldRows.find((one) => one.pointer === pointer);
    return row && measureOf(row, valueAt(order, pointer));
  };
  const outOfOrder = fieldPairs.flatMap(({ low, high, fault }): Fault[] => {
    const [lower, higher] = [measureAt(low), measureAt(high)];
    if (lower === undefined || higher === undefined || lower <= higher) return [];
    return outOfRange.some(({ pointer }) => pointer === fault.pointer) ? [] : [fault];
  });
  return [...outOfRange, ...outOfOrder];
};

/** The fields that are false although they need another one, which is null. */
const unmetNeeds = (spec: NotebookSpec): readonly Fault[] =>
  fieldRows.flatMap(({ pointer, falseNeeds }): Fault[] => {
    if (falseNeeds === undefined || valueAt(spec, pointer) !== false) return [];
    if (valueAt(spec, falseNeeds.field) !== null) return [];
    return [{ pointer, code: falseNeeds.code, message: falseNeeds.message.en }];
  });

/** Throws Problem `validation_failed` unless the complete configuration is within the bounds and offers something. */
export const assertWithinBounds = (spec: NotebookSpec, limits: Limits): void => {
  const errors = [...boundsFaults(spec, limits), ...unmetNeeds(spec)];
  if (errors.length > 0) throw new Problem('validation_failed', { errors });
};
