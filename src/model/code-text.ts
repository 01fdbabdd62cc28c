/** What a code means, in one language: a short title, and a sentence or two that say what to do. */
export type CodeText = readonly [title: string, help: string];
