import { isIP } from 'node:net';

/** A CIDR's address bits, prefix length and width; undefined when it is none. Leading zeros pass, as on the server. */
export function parseCidr(
  text: string,
): { readonly bits: bigint; readonly prefix: number; readonly width: number } | undefined {
  const parsed = /^([0-9a-fA-F.:]+)\/(0|[1-9][0-9]{0,2})$/.exec(text);
  const [, written = '', prefixText = ''] = parsed ?? [];
  const address = written.includes(':') ? written : written.replace(/(^|\.)0+(?=\d)/g, '$1');
  const width = isIP(address) === 4 ? 32 : isIP(address) === 6 ? 128 : 0;
  const prefix = Number(prefixText);
  if (width === 0 || prefix > width) return undefined;
  return { bits: width === 32 ? ipv4(address) : ipv6(address), prefix, width };
}

const ipv4 = (address: string): bigint =>
  address.split('.').reduce((bits, part) => bits * 256n + BigInt(part), 0n);

function ipv6(address: string): bigint {
  const embedded = /^(.*:)(\d+\.\d+\.\d+\.\d+)$/.exec(address);
  const low = embedded === null ? 0n : ipv4(embedded[2] ?? '0');
  const text =
    embedded === null
      ? address
      : `${embedded[1]}${(low >> 16n).toString(16)}:${(low & 0xffffn).toString(16)}`;
  const [head = '', tail] = text.split('::');
  const left = head === '' ? [] : head.split(':');
  const right = tail === undefined || tail === '' ? [] : tail.split(':');
  const gap = tail === undefined ? [] : Array.from({ length: 8 - left.length - right.length }, () => '0');
  return [...left, ...gap, ...right].reduce((bits, part) => bits * 65536n + BigInt(`0x${part}`), 0n);
}
