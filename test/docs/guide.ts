import { readFileSync } from 'node:fs';

/** A fenced block of a Markdown document. */
export interface Block {
  readonly heading: string;
  readonly language: string;
  readonly code: string;
  /** The line on which its code starts, from 1. */
  readonly line: number;
}

const fence = /^```(\w*)\s*$/;

/** The fenced blocks of a document in order, each with the heading above it. */
export const blocksOf = (text: string): readonly Block[] => {
  const blocks: Block[] = [];
  let heading = '';
  let open: { language: string; line: number; code: string[] } | undefined;
  for (const [index, line] of text.split('\n').entries()) {
    const [mark, language = ''] = fence.exec(line) ?? [];
    if (open !== undefined && mark !== undefined) {
      blocks.push({ heading, language: open.language, code: open.code.join('\n'), line: open.line });
      open = undefined;
    } else if (open !== undefined) open.code.push(line);
    else if (mark !== undefined) open = { language, line: index + 2, code: [] };
    else heading = /^#+ (.+)$/.exec(line)?.[1] ?? heading;
  }
  if (open !== undefined) throw new Error(`The block at line ${open.line} is not closed.`);
  return blocks;
};

export const guideText = readFileSync(new URL('../../docs/brukerveiledning.md', import.meta.url), 'utf8');

/** The rows of the first table below a heading, without its head; cells without the marks of code. */
export const tableBelow = (text: string, heading: string): readonly (readonly string[])[] => {
  const [, after = ''] = text.split(new RegExp(`^#+ ${heading}$`, 'm'));
  const lines = after.split('\n');
  const start = lines.findIndex((line) => line.startsWith('|'));
  const length = lines.slice(start).findIndex((line) => !line.startsWith('|'));
  return lines.slice(start + 2, start + length).map((line) =>
    line
      .split('|')
      .slice(1, -1)
      .map((cell) => cell.trim().replace(/^`(.*)`$/, '$1')),
  );
};
