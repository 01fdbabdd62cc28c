import type { Json } from './json.ts';

/** A quantity in the form the server writes it: `1024Mi` is `1Gi`, `1000m` is `1`, `0.5` is `500m`. */
export function canonicalQuantity(value: Json): Json {
  const parsed = /^([+-]?[0-9.]+)([eE][+-]?[0-9]+|[KMGTPE]i|[numkMGTPE]|)$/.exec(String(value));
  if (parsed === null) return value;
  const [, digits = '', suffix = ''] = parsed;
  if (suffix.endsWith('i')) return binary(digits, suffix);
  return decimal(digits, suffix);
}

const BINARY = ['', 'Ki', 'Mi', 'Gi', 'Ti', 'Pi', 'Ei'];
const DECIMAL = ['n', 'u', 'm', '', 'k', 'M', 'G', 'T', 'P', 'E'];

function binary(digits: string, suffix: string): Json {
  const bytes = scaled(digits, 1024n ** BigInt(BINARY.indexOf(suffix)));
  if (bytes === undefined) return `${digits}${suffix}`;
  let [amount, index] = [bytes, 0];
  while (amount !== 0n && amount % 1024n === 0n && index < BINARY.length - 1)
    [amount, index] = [amount / 1024n, index + 1];
  return `${amount}${BINARY[index]}`;
}

function decimal(digits: string, suffix: string): Json {
  const exponent = /^[eE]/.test(suffix) ? Number(suffix.slice(1)) : (DECIMAL.indexOf(suffix) - 3) * 3;
  if (exponent + 9 < 0) return `${digits}${suffix}`;
  const nanos = scaled(digits, 10n ** BigInt(exponent + 9));
  if (nanos === undefined) return `${digits}${suffix}`;
  let [amount, index] = [nanos, 0];
  while (amount !== 0n && amount % 1000n === 0n && index < DECIMAL.length - 1)
    [amount, index] = [amount / 1000n, index + 1];
  return amount === 0n ? '0' : `${amount}${DECIMAL[index]}`;
}

/** digits × factor as a whole number; undefined when it is not whole. */
function scaled(digits: string, factor: bigint): bigint | undefined {
  const [whole = '0', fraction = ''] = digits.replace('+', '').split('.');
  const numerator = BigInt(`${whole === '' || whole === '-' ? `${whole}0` : whole}${fraction}`) * factor;
  const denominator = 10n ** BigInt(fraction.length);
  return numerator % denominator === 0n ? numerator / denominator : undefined;
}

/** What a quantity amounts to in its base unit (cores, bytes); 0 for what is not a quantity. */
export function quantityValue(value: Json | undefined): number {
  const [, digits = '', suffix = ''] = /^([0-9.]+)([KMGTPE]i|[numkMGTPE]|)$/.exec(String(value ?? '')) ?? [];
  const power = suffix.endsWith('i')
    ? 1024 ** BINARY.indexOf(suffix)
    : 10 ** ((DECIMAL.indexOf(suffix) - 3) * 3);
  return Number(digits) * power;
}
