import Type from 'typebox';
import { Value } from 'typebox/value';
import { Problem } from '../model/problems.ts';
import { profileRevisionAnnotation } from '../notebooks/profiles.ts';
import type { Manifest } from '../ports/cluster.ts';
import type { PodView } from './pod.ts';
import type { PodSize } from './quota.ts';

/** A profile that is offered now. */
export interface OfferedProfile {
  readonly slug: string;
  readonly isDefault: boolean;
  readonly revision: string;
  readonly size: PodSize;
}

const Profiles = Type.Array(
  Type.Object({
    slug: Type.String(),
    default: Type.Boolean(),
    kubespawner_override: Type.Object({
      cpu_guarantee: Type.Number(),
      cpu_limit: Type.Number(),
      mem_guarantee: Type.Number(),
      mem_limit: Type.Number(),
      extra_annotations: Type.Record(Type.String(), Type.String()),
    }),
  }),
);

/** The profiles in the ConfigMap, which is the list that the hub reads. Empty without one. */
export const offeredIn = (configMap: Manifest | undefined): readonly OfferedProfile[] => {
  const profiles: unknown = JSON.parse(configMap?.data?.['profiles.json'] ?? '[]');
  if (!Value.Check(Profiles, profiles)) throw new TypeError('profiles.json is not a list of profiles');
  return profiles.map(({ slug, default: isDefault, kubespawner_override: override }) => ({
    slug,
    isDefault,
    revision: override.extra_annotations[profileRevisionAnnotation] ?? '',
    size: {
      'requests.cpu': override.cpu_guarantee,
      'requests.memory': override.mem_guarantee,
      'limits.cpu': override.cpu_limit,
      'limits.memory': override.mem_limit,
    },
  }));
};

/** Whether a restart would give the pod another configuration. A profile that no longer exists was replaced, so it counts. */
export const isRestartPending = (
  { profile, profileRevision }: Pick<PodView, 'profile' | 'profileRevision'>,
  offered: readonly Pick<OfferedProfile, 'slug' | 'revision'>[],
): boolean => offered.find(({ slug }) => slug === profile)?.revision !== profileRevision;

/**
 * The profile to start with: the one requested, else the last one if it is still offered, else the default.
 * Throws Problem `validation_failed` for one that is not offered, `no_environment` when none is.
 */
export const chosenProfile = (
  offered: readonly Pick<OfferedProfile, 'slug' | 'isDefault'>[],
  requested: string | undefined,
  last: string | null,
): string => {
  const slugs = offered.map(({ slug }) => slug);
  if (requested !== undefined) {
    if (slugs.includes(requested)) return requested;
    const message = `Not offered. Offered: ${slugs.join(', ') || 'none'}.`;
    throw new Problem('validation_failed', {
      errors: [{ pointer: '/profile', code: 'not_in_list', message }],
    });
  }
  if (last !== null && slugs.includes(last)) return last;
  const preselected = offered.find(({ isDefault }) => isDefault) ?? offered[0];
  if (preselected === undefined) throw new Problem('no_environment');
  return preselected.slug;
};
