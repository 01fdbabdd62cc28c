import type { Limits, NotebookLimits } from '../model/limits.ts';
import { complete, fieldRows, printBound, valueAt } from '../model/notebook-fields.ts';

/** The default and bounds of every field, for forms. */
export const limitsView = (limits: Limits): Pick<NotebookLimits, 'fields'> => {
  const defaults = complete({}, limits);
  return {
    fields: fieldRows.map((row) => {
      const [minimum, maximum] = row.bounds?.(limits).map((bound) => printBound(row, bound)) ?? [
        undefined,
        row.maxEntries?.(limits),
      ];
      return {
        pointer: row.pointer,
        type: row.type,
        default: valueAt(defaults, row.pointer),
        ...(minimum === undefined ? {} : { minimum }),
        ...(maximum === undefined ? {} : { maximum }),
        ...(row.unit === undefined ? {} : { unit: row.unit }),
      };
    }),
  };
};
