import type { ImageTag } from '../ports/registries.ts';

/** Signatures and attestations that are kept beside the images they speak of; nobody runs them. */
const aside = /^sha256-[a-f0-9]{64}(\.[a-z]+)?$/;

/** The tags that name images, the newest first where the registry’s order tells. */
export const imageTags = (tags: readonly ImageTag[]): readonly ImageTag[] =>
  tags.filter(({ tag }) => !aside.test(tag)).toReversed();

/** How much of the longer one two texts share at their ends: 1 when equal, 0 when they begin and end differently. */
const likeness = (a: string, b: string): number => {
  const most = Math.min(a.length, b.length);
  let before = 0;
  while (before < most && a[before] === b[before]) before += 1;
  let after = 0;
  while (after < most - before && a.at(-1 - after) === b.at(-1 - after)) after += 1;
  return (before + after) / Math.max(a.length, b.length);
};

/**
 * What somebody may have meant who asked for a tag that does not exist: those most like it, of equals the newest;
 * the newest of all when none is like it.
 */
export const nearestTags = (
  tags: readonly ImageTag[],
  wanted: string,
  count = 3,
): { readonly similar: boolean; readonly tags: readonly string[] } => {
  const candidates = imageTags(tags).map(({ tag }) => ({
    tag,
    likeness: likeness(tag.toLowerCase(), wanted.toLowerCase()),
  }));
  const like = candidates
    .filter((candidate) => candidate.likeness >= 0.5)
    .toSorted((a, b) => b.likeness - a.likeness);
  const shown = like.length > 0 ? like : candidates;
  return { similar: like.length > 0, tags: shown.slice(0, count).map(({ tag }) => tag) };
};
