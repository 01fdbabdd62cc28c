import type { ImageTag } from '../ports/registries.ts';

/** Signatures and attestations, which cosign stores as tags beside the image. */
const aside = /^sha256-[a-f0-9]{64}(\.[a-z]+)?$/;

/** The tags that name images, newest first where the registry’s order means something. */
export const imageTags = (tags: readonly ImageTag[]): readonly ImageTag[] =>
  tags.filter(({ tag }) => !aside.test(tag)).toReversed();

/** The share of the longer text that is common prefix or suffix: 1 when equal, 0 when both ends differ. */
const likeness = (a: string, b: string): number => {
  const most = Math.min(a.length, b.length);
  let before = 0;
  while (before < most && a[before] === b[before]) before += 1;
  let after = 0;
  while (after < most - before && a.at(-1 - after) === b.at(-1 - after)) after += 1;
  return (before + after) / Math.max(a.length, b.length);
};

/**
 * Suggestions for a tag that does not exist: the most similar tags, of equals the newest; the newest of all when none
 * is similar.
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
