/** `<n>Mi` or `<n>Gi` as a JSON Schema pattern; n may have decimals. */
export const quantityPattern = '^[0-9]+(\\.[0-9]+)?(Mi|Gi)$';

const unitBytes = { Mi: 1024n ** 2n, Gi: 1024n ** 3n } as const;

/**
 * Bytes of `<n>Mi` or `<n>Gi`; n may have decimals. A fraction of a byte is dropped, so a limit is never exceeded
 * and two quantities keep their order. Exact up to 8 Pi. Throws RangeError for another form.
 */
export const bytesOf = (quantity: string): number => {
  const [, whole = '', fraction = '', unit] = /^([0-9]+)(?:\.([0-9]+))?(Mi|Gi)$/.exec(quantity) ?? [];
  if (unit !== 'Mi' && unit !== 'Gi') throw new RangeError(`"${quantity}" is not <n>Mi or <n>Gi`);
  return Number((BigInt(whole + fraction) * unitBytes[unit]) / 10n ** BigInt(fraction.length));
};

/** MiB of a quantity, with a fraction where it has one. */
export const mebibytes = (quantity: string): number => bytesOf(quantity) / 1024 ** 2;

/** The shortest Kubernetes quantity of exactly so many bytes: `10Gi`, `1536Mi`, or plain bytes. */
export const printBytes = (bytes: number): string => {
  if (bytes % 1024 ** 3 === 0) return `${bytes / 1024 ** 3}Gi`;
  if (bytes % 1024 ** 2 === 0) return `${bytes / 1024 ** 2}Mi`;
  return String(bytes);
};

/** The same for so many MiB, which may have a fraction. */
export const printMebibytes = (mi: number): string => printBytes(Math.floor(mi * 1024 ** 2));

/**
 * Cores in steps of a thousandth, the smallest that Kubernetes schedules; what is finer is dropped. The tolerance
 * keeps what binary fractions cannot say exactly, such as 0.29.
 */
export const coresOf = (cpu: number): number => Math.floor(cpu * 1000 + 1e-6) / 1000;
