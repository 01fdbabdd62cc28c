const atLeastOne = <T>([first, ...others]: readonly T[]): readonly [T, ...T[]] => {
  if (first === undefined) throw new TypeError('The table is empty.');
  return [first, ...others];
};

/** The keys of a table with at least one row, by its own type. */
export const keysOf = <K extends string>(table: Readonly<Record<K, unknown>>): readonly [K, ...K[]] =>
  atLeastOne(Object.keys(table) as K[]);

/** The values of a table with at least one row. */
export const valuesOf = <V>(table: Readonly<Record<string, V>>): readonly [V, ...V[]] =>
  atLeastOne(Object.values(table));
