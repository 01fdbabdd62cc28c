import Type from 'typebox';
import { Value } from 'typebox/value';
import { profileRevisionAnnotation } from '../notebooks/profiles.ts';
import type { Manifest } from '../ports/cluster.ts';
import type { OfferedProfile } from './rules.ts';

const Profiles = Type.Array(
  Type.Object({
    slug: Type.String(),
    default: Type.Boolean(),
    kubespawner_override: Type.Object({ extra_annotations: Type.Record(Type.String(), Type.String()) }),
  }),
);

/** What the ConfigMap of profiles offers: the very same list that the hub reads. Empty without one. */
export const offeredIn = (configMap: Manifest | undefined): readonly OfferedProfile[] => {
  const profiles: unknown = JSON.parse(configMap?.data?.['profiles.json'] ?? '[]');
  if (!Value.Check(Profiles, profiles)) throw new TypeError('profiles.json is not a list of profiles');
  return profiles.map(({ slug, default: isDefault, kubespawner_override: { extra_annotations } }) => ({
    slug,
    isDefault,
    revision: extra_annotations[profileRevisionAnnotation] ?? '',
  }));
};
