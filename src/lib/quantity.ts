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

const suffixes: Readonly<Record<string, number>> = {
  '': 1,
  n: 1e-9,
  u: 1e-6,
  m: 1e-3,
  k: 1e3,
  M: 1e6,
  G: 1e9,
  T: 1e12,
  P: 1e15,
  E: 1e18,
  Ki: 2 ** 10,
  Mi: 2 ** 20,
  Gi: 2 ** 30,
  Ti: 2 ** 40,
  Pi: 2 ** 50,
  Ei: 2 ** 60,
};

/** The number that a Kubernetes quantity stands for; undefined for what is none. */
export const quantityOf = (value: unknown): number | undefined => {
  if (typeof value === 'number') return value;
  if (typeof value !== 'string') return undefined;
  const [, digits = '', suffix = ''] = /^([+-]?[0-9.]+(?:[eE][+-]?[0-9]+)?)([a-zA-Z]*)$/.exec(value) ?? [];
  const factor = suffixes[suffix];
  return digits === '' || factor === undefined ? undefined : Number(digits) * factor;
};

/** The canonical Kubernetes quantity of whole bytes, as the API server returns it. */
export const canonicalBytes = (bytes: number): string => {
  let [amount, exponent] = [bytes, 0];
  while (amount >= 1024 && amount % 1024 === 0 && exponent < 6) {
    [amount, exponent] = [amount / 1024, exponent + 1];
  }
  return `${amount}${['', 'Ki', 'Mi', 'Gi', 'Ti', 'Pi', 'Ei'][exponent]}`;
};

/** The canonical Kubernetes quantity of so many thousandths of a core. */
export const canonicalMillicores = (millicores: number): string => {
  if (millicores % 1000 !== 0) return `${millicores}m`;
  const cores = millicores / 1000;
  return cores > 0 && cores % 1000 === 0 ? `${cores / 1000}k` : String(cores);
};
