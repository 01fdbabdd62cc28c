/**
 * Lower case for ASCII letters only. `String.prototype.toLowerCase` also maps letters outside ASCII into it (U+212A
 * KELVIN SIGN becomes `k`), which would make one identity of two.
 */
export const lowerCaseAscii = (text: string): string =>
  text.replace(/[A-Z]/g, (letter) => letter.toLowerCase());
