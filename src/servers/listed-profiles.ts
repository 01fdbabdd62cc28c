import type { NotebookProfile } from '../model/profile.ts';
import type { TeamRecord } from '../model/record.ts';
import { displayNameOf, type ProfileChoice, pythonOf } from '../notebooks/profiles.ts';
import { podOf, type ServerView } from './facts.ts';
import { lastChoiceIn, nextProfile } from './profiles.ts';

const offeredView = (profile: ProfileChoice, chosen: boolean | null): NotebookProfile => ({
  slug: profile.slug,
  displayName: profile.displayName,
  kind: profile.kind,
  python: profile.python,
  image: profile.image,
  digest: profile.digest,
  drivers: [...profile.drivers],
  default: profile.isDefault,
  retired: false,
  chosen,
});

/** A standard environment that is not offered any more; its image is known while a server runs it. */
const retiredView = (slug: string, python: string, views: readonly ServerView[], chosen: boolean | null) => {
  const pod = views.map(podOf).find((one) => one?.profile === slug);
  const [image, digest] = pod?.image?.split('@') ?? [];
  return {
    slug,
    displayName: displayNameOf(slug),
    kind: 'standard',
    python,
    image: image === undefined || digest === undefined ? null : image,
    digest: digest ?? null,
    drivers: [],
    default: false,
    retired: true,
    chosen,
  } satisfies NotebookProfile;
};

/**
 * The profiles that are offered, then the standard environments that are not but on which a member’s server runs, or
 * which a member chose last. `user`: whose choice is marked.
 */
export const listedProfiles = (
  offered: readonly ProfileChoice[],
  views: ReadonlyMap<string, ServerView>,
  team: Pick<TeamRecord, 'notebook'>,
  user: string | undefined,
): readonly NotebookProfile[] => {
  const view = user === undefined ? undefined : views.get(user);
  const isUnknown = view !== undefined && !view.hub.answered;
  const next = view && nextProfile(offered, lastChoiceIn(view.hub, team));
  const all = [...views.values()];
  const used = all.flatMap((one) => [podOf(one)?.profile ?? null, lastChoiceIn(one.hub, team)]);
  const retired = [...new Set(used)].toSorted().flatMap((slug) => {
    const python = slug === null ? undefined : pythonOf(slug);
    if (slug === null || python === undefined || offered.some((one) => one.slug === slug)) return [];
    return [retiredView(slug, python, all, isUnknown ? null : false)];
  });
  return [...offered.map((profile) => offeredView(profile, isUnknown ? null : profile === next)), ...retired];
};
