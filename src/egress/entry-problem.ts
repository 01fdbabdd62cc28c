import type { EntryProblem } from '../model/allowlist.ts';

/** An expected result, not an exception. The message says what to write instead. */
export interface Refusal {
  readonly ok: false;
  readonly code: EntryProblem;
  readonly message: string;
}

export const refuse = (code: EntryProblem, message: string): Refusal => ({ ok: false, code, message });

/**
 * The user’s text for use in a message: quoted, cut to a readable length, and with invisible characters escaped,
 * since those are often the problem.
 */
export function shown(text: string): string {
  const visible = text
    .slice(0, 64)
    .replace(/[\p{C}\p{Z}]/gu, (character) =>
      character === ' '
        ? character
        : `<U+${(character.codePointAt(0) ?? 0).toString(16).toUpperCase().padStart(4, '0')}>`,
    );
  return `"${visible}${text.length > 64 ? '…' : ''}"`;
}
