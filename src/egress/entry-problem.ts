import type { EntryProblem } from '../model/allowlist.ts';

/** An expected answer, not an exception: the sentence tells the reader what to write instead. */
export interface Refusal {
  readonly ok: false;
  readonly code: EntryProblem;
  readonly message: string;
}

export const refuse = (code: EntryProblem, message: string): Refusal => ({ ok: false, code, message });

/**
 * The reader’s text for use inside a sentence: quoted, cut to a readable length, and with what cannot be seen
 * spelled out, since that is often what is wrong with it.
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
