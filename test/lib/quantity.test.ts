import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import fc from 'fast-check';
import { bytesOf, coresOf, mebibytes, printBytes } from '../../src/lib/quantity.ts';

describe('a quantity of memory or storage', () => {
  const rows: readonly (readonly [string, number])[] = [
    ['0Mi', 0],
    ['1Mi', 1_048_576],
    ['256Mi', 268_435_456],
    ['1Gi', 1_073_741_824],
    ['4Gi', 4_294_967_296],
    ['2.5Gi', 2_684_354_560],
    ['128Gi', 137_438_953_472],
    ['1024Gi', 1_099_511_627_776],
    ['0.5Mi', 524_288],
    ['007.50Mi', 7_864_320],
    ['0.1Gi', 107_374_182],
    ['0.3Gi', 322_122_547],
    ['0.0000001Mi', 0],
  ];
  for (const [quantity, bytes] of rows) {
    it(`${quantity} is ${bytes} bytes`, () => assert.equal(bytesOf(quantity), bytes));
  }

  for (const quantity of ['', '4', '4G', '4gi', '4 Gi', '-1Gi', '1e3Mi', '.5Gi', '5.Gi', '1Ti', '4Gi\n']) {
    it(`${JSON.stringify(quantity)} is refused`, () => assert.throws(() => bytesOf(quantity), RangeError));
  }

  it('is compared in MiB, also when it is far beyond any bound', () => {
    assert.equal(mebibytes('1.5Gi'), 1536);
    assert.equal(mebibytes('0.25Mi'), 0.25);
    assert.ok(mebibytes('9999999999999Gi') > mebibytes('1024Gi'));
  });

  it('is never rounded up, and down by less than a byte', () => {
    fc.assert(
      fc.property(fc.nat(99_999), fc.nat(9_999_999), fc.constantFrom('Mi', 'Gi'), (whole, decimals, unit) => {
        const fraction = String(decimals).padStart(7, '0');
        const bytes = BigInt(bytesOf(`${whole}.${fraction}${unit}`)) * 10n ** 7n;
        const exact = BigInt(`${whole}${fraction}`) * 1024n ** (unit === 'Mi' ? 2n : 3n);
        assert.ok(bytes <= exact && exact - bytes < 10n ** 7n);
      }),
    );
  });

  it('is unchanged when printed from its bytes, in the shortest form', () => {
    assert.equal(printBytes(bytesOf('10Gi')), '10Gi');
    assert.equal(printBytes(bytesOf('1024Mi')), '1Gi');
    assert.equal(printBytes(bytesOf('1.5Gi')), '1536Mi');
    assert.equal(printBytes(bytesOf('0.3Gi')), '322122547');
    fc.assert(
      fc.property(fc.integer({ min: 1, max: 2_000_000 }), (mebi) => {
        assert.equal(bytesOf(printBytes(mebi * 1024 ** 2)), mebi * 1024 ** 2);
      }),
    );
  });
});

describe('a number of cores', () => {
  it('is truncated to thousandths, the smallest schedulable amount', () => {
    assert.equal(coresOf(0.1239), 0.123);
    assert.equal(coresOf(16), 16);
  });

  it('in thousandths is unchanged', () => {
    for (let milli = 0; milli <= 16_000; milli += 1) assert.equal(coresOf(milli / 1000), milli / 1000);
  });
});
