import type { Limits, NotebookLimits } from '../model/limits.ts';
import { complete, fieldRows, fieldRules, printBound, valueAt } from '../model/notebook-fields.ts';

/** The default and bounds of every field and the rules between fields, for forms. */
export const limitsView = (limits: Limits): Pick<NotebookLimits, 'fields' | 'rules'> => {
  const defaults = complete({}, limits);
  return {
    fields: fieldRows.map((row) => {
      const [minimum, maximum] = row.bounds?.(limits).map((bound) => printBound(row, bound)) ?? [
        undefined,
        row.maxEntries?.(limits),
      ];
      return {
        pointer: row.pointer,
        label: { ...row.label },
        type: row.type,
        default: valueAt(defaults, row.pointer),
        ...(minimum === undefined ? {} : { minimum }),
        ...(maximum === undefined ? {} : { maximum }),
        ...(row.unit === undefined ? {} : { unit: row.unit }),
        ...(row.pattern === undefined ? {} : { pattern: row.pattern }),
      };
    }),
    rules: [...fieldRules],
  };
};
