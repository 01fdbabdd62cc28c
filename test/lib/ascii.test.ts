import assert from 'node:assert/strict';
import { it } from 'node:test';
import fc from 'fast-check';
import { lowerCaseAscii } from '../../src/lib/ascii.ts';

it('lowerCaseAscii: maps A to Z, and no other character of Unicode', () => {
  for (let code = 0; code <= 0x10ffff; code += 1) {
    const character = String.fromCodePoint(code);
    const isUpper = code >= 0x41 && code <= 0x5a;
    const expected = isUpper ? String.fromCodePoint(code + 0x20) : character;
    if (lowerCaseAscii(character) !== expected) assert.fail(`U+${code.toString(16)}`);
  }
});

it('lowerCaseAscii: keeps the length of a text, and is idempotent', () => {
  fc.assert(
    fc.property(fc.string({ unit: 'binary' }), (text) => {
      const lower = lowerCaseAscii(text);
      assert.equal(lower.length, text.length);
      assert.equal(lowerCaseAscii(lower), lower);
    }),
  );
});
