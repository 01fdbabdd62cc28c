const sliceMs = 100;
const callsAtATime = 20;

/** The median. */
export const median = (values: readonly number[]): number => quantile(values, 0.5);

const quantile = (values: readonly number[], share: number): number => {
  const sorted = values.toSorted((a, b) => a - b);
  const position = (sorted.length - 1) * share;
  const low = sorted[Math.floor(position)] ?? Number.NaN;
  const high = sorted[Math.ceil(position)] ?? Number.NaN;
  return low + (high - low) * (position - Math.floor(position));
};

const rounded = (ratio: number): string => ratio.toFixed(ratio >= 100 ? 0 : ratio >= 10 ? 1 : 2);

/** Formats ratios as their median and interquartile range: `2.41 (2.30–2.55)`. */
export const printRatios = (ratios: readonly number[]): string => {
  if (ratios.every((ratio) => ratio === 1)) return '1.00';
  const [low, middle, high] = [quantile(ratios, 0.25), median(ratios), quantile(ratios, 0.75)];
  return high < 0.01 ? '< 0.01' : `${rounded(middle)} (${rounded(low)}–${rounded(high)})`;
};

/** Microseconds per call, averaged over one time slice. */
export const each = (work: () => unknown | Promise<unknown>) => async (): Promise<number> => {
  let calls = 0;
  const from = performance.now();
  while (performance.now() - from < sliceMs) {
    for (let i = 0; i < callsAtATime; i++) {
      const result = work();
      if (result instanceof Promise) await result;
    }
    calls += callsAtATime;
  }
  return ((performance.now() - from) * 1000) / calls;
};

/**
 * Runs every subject once per round, alternating forward and reverse order, so a machine that speeds up or slows down
 * affects all of them. Returns each subject’s measurements by name, in round order.
 */
export const interleaved = async (
  subjects: Readonly<Record<string, () => Promise<number>>>,
  rounds: number,
): Promise<Readonly<Record<string, readonly number[]>>> => {
  const measured = Object.fromEntries(Object.keys(subjects).map((name) => [name, [] as number[]]));
  for (let round = 0; round < rounds; round++) {
    const order = round % 2 === 0 ? Object.entries(subjects) : Object.entries(subjects).toReversed();
    for (const [name, measure] of order) measured[name]?.push(await measure());
    process.stderr.write(`\r${round + 1} of ${rounds} rounds`);
  }
  process.stderr.write('\n');
  return measured;
};

/** Each measurement divided by the base’s in the same round. */
export const ratiosTo = (base: readonly number[], values: readonly number[]): readonly number[] =>
  values.map((value, round) => value / (base[round] ?? Number.NaN));

export const printTable = (
  title: string,
  head: readonly string[],
  rows: readonly (readonly string[])[],
): void => {
  const line = (cells: readonly string[]) => `| ${cells.join(' | ')} |`;
  console.log(`\n### ${title}\n`);
  console.log([line(head), line(head.map(() => '---')), ...rows.map(line)].join('\n'));
};
