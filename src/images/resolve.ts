import { ghcrHost } from '../lib/oci.ts';
import type { ImageWarning, ResolvedImage } from '../model/image.ts';
import { Problem, type ProblemCode } from '../model/problems.ts';
import type { Missing, Registries, RegistryAnswer } from '../ports/registries.ts';
import { nearestTags } from './nearest-tags.ts';
import {
  type ImagePolicy,
  type ImageReference,
  parseReference,
  parseTeamImage,
  printReference,
} from './reference.ts';

/** The problems that `resolveImage` throws; every route that resolves an image declares them. */
export const imageProblems = [
  'image_invalid',
  'tag_required',
  'registry_not_allowed',
  'image_not_allowed',
  'image_not_found_or_private',
  'tag_not_found',
  'image_broken',
  'platform_missing',
  'registry_unavailable',
] as const satisfies readonly ProblemCode[];

const platform = 'linux/amd64';
const movingTags = new Set(['latest', 'main', 'master', 'edge', 'nightly', 'dev', 'stable']);
const oldAfterDays = 365;
const dayMs = 24 * 3600 * 1000;

/**
 * Resolves an image reference to the digest that would run, and checks that the image can run here. `now` in epoch
 * milliseconds. Throws Problem: the codes of the reference (without a request to a registry),
 * `image_not_found_or_private`, `tag_not_found`, `image_broken`, `platform_missing`, and `registry_unavailable` when
 * the registry gives no answer.
 */
export const resolveImage = async (
  { registries, policy, now }: { registries: Registries; policy: ImagePolicy; now: number },
  text: string,
  signal: AbortSignal,
): Promise<ResolvedImage> => {
  const parsed = parseTeamImage(text, policy);
  if (!parsed.ok) throw new Problem(parsed.code, { detail: parsed.message });
  const { reference } = parsed;
  const digest = reference.digest ?? (await digestOf(registries, reference, signal));
  const answer = await registries.inspect({ ...repositoryOf(reference), digest }, signal);
  const { platforms, amd64 } = valueIn(answer, (missing) => absentBuild(reference, digest, missing));
  if (amd64 === null) {
    const has = platforms.length === 0 ? 'no image' : `only ${platforms.join(', ')}`;
    throw new Problem('platform_missing', {
      detail: `${printReference(reference)} has ${has}. Notebooks run on ${platform}: build the image with --platform ${platform}.`,
    });
  }
  const warnings = [...referenceWarnings(reference), ...ageWarnings(amd64.createdAt, now)];
  return {
    reference: printReference(reference),
    digest,
    platforms: [...platforms],
    sizeBytes: amd64.sizeBytes,
    createdAt: amd64.createdAt,
    warnings,
  };
};

/**
 * The digest that the tag of a pinned image points to now, when it has moved. null: it has not, or there is nothing
 * newer (the tag was deleted, or the image was ordered by digest). undefined: the registry gives no answer.
 */
export const newerDigest = async (
  registries: Registries,
  image: { readonly reference: string; readonly digest: string },
  signal: AbortSignal,
  options: { readonly fresh?: boolean } = {},
): Promise<string | null | undefined> => {
  const parsed = parseReference(image.reference);
  if (!parsed.ok || parsed.reference.digest !== undefined || parsed.reference.tag === undefined) return null;
  const { tag } = parsed.reference;
  const answer = await registries.digest({ ...repositoryOf(parsed.reference), tag }, signal, options);
  if (answer.answer === 'unknown') return undefined;
  return answer.answer === 'found' && answer.value !== image.digest ? answer.value : null;
};

/** Whether a pinned image can still be pulled. A registry may answer 404 for a while: see absence.ts. */
export const stillThere = async (
  registries: Registries,
  image: { readonly reference: string; readonly digest: string },
  signal: AbortSignal,
): Promise<boolean | undefined> => {
  const parsed = parseReference(image.reference);
  if (!parsed.ok) return undefined;
  const pinned = { ...repositoryOf(parsed.reference), digest: image.digest };
  const answer = await registries.inspect(pinned, signal, { fresh: true });
  return answer.answer === 'unknown' ? undefined : answer.answer === 'found';
};

/** The value of an answer. Throws Problem `registry_unavailable` for unknown, and `problem(missing)` for absent. */
export const valueIn = <T>(answer: RegistryAnswer<T>, problem: (missing: Missing) => Problem): T => {
  switch (answer.answer) {
    case 'found':
      return answer.value;
    case 'absent':
      throw problem(answer.missing);
    case 'unknown':
      throw new Problem('registry_unavailable', {
        detail: `${answer.message} Nothing was changed. Try again shortly.`,
        retryAfterSeconds: answer.retryAfterSeconds ?? 10,
      });
    default:
      return answer satisfies never;
  }
};

/** The problem of a repository that does not exist or is private: registries do not distinguish the two. */
export const absentRepository = ({ host, path }: ImageReference): Problem => {
  const [owner = '', ...name] = path.split('/');
  const advice =
    host === ghcrHost
      ? `or it is private and the cluster cannot pull it. If it exists, make it public: https://github.com/orgs/${owner}/packages/container/${encodeURIComponent(name.join('/'))}/settings`
      : 'or this platform is not allowed to read it.';
  return new Problem('image_not_found_or_private', {
    detail: `${host}/${path} does not exist, ${advice}`,
  });
};

const digestOf = async (
  registries: Registries,
  reference: ImageReference,
  signal: AbortSignal,
): Promise<string> => {
  const { tag = '' } = reference;
  const repository = repositoryOf(reference);
  const answer = await registries.digest({ ...repository, tag }, signal, { fresh: true });
  if (answer.answer !== 'absent' || answer.missing !== 'manifest') {
    return valueIn(answer, () => absentRepository(reference));
  }
  // Some registries answer the same for a missing repository; the list of tags tells the two apart.
  const list = await registries.tags(repository, signal);
  if (list.answer === 'absent') throw absentRepository(reference);
  const nearest = nearestTags(list.answer === 'found' ? list.value.tags : [], tag);
  const hint =
    nearest.tags.length === 0
      ? ''
      : ` ${nearest.similar ? 'It has' : 'Its newest are'} ${nearest.tags.map((name) => `"${name}"`).join(', ')}.`;
  throw new Problem('tag_not_found', {
    detail: `${reference.host}/${reference.path} has no tag "${tag}".${hint}`,
  });
};

const absentBuild = (reference: ImageReference, digest: string, missing: Missing): Problem => {
  if (missing === 'repository') return absentRepository(reference);
  if (missing === 'part') {
    return new Problem('image_broken', {
      detail: `${printReference(reference)} is listed, but a part of it was deleted, for example by a clean-up of untagged versions. Build and push it again.`,
    });
  }
  return new Problem('image_not_found_or_private', {
    detail: `${reference.host}/${reference.path} has no build ${digest}; it may have been deleted. Choose a tag, or push the image again.`,
  });
};

const repositoryOf = ({ host, path }: ImageReference) => ({ host, path });

const referenceWarnings = ({ tag, digest }: ImageReference): ImageWarning[] => {
  if (digest !== undefined) {
    return tag === undefined
      ? []
      : [{ code: 'digest_decides', message: `The digest is used; the tag "${tag}" is ignored.` }];
  }
  if (tag === undefined || !movingTags.has(tag)) return [];
  return [
    {
      code: 'moving_tag',
      message: `"${tag}" is moved with every build. Its current digest is pinned until the image is refreshed; a unique tag for each build shows what runs.`,
    },
  ];
};

const ageWarnings = (createdAt: string | null, now: number): ImageWarning[] => {
  if (createdAt === null)
    return [{ code: 'created_unknown', message: 'The image does not say when it was built.' }];
  if (now - Date.parse(createdAt) <= oldAfterDays * dayMs) return [];
  return [
    {
      code: 'old',
      message: `The image was built on ${createdAt.slice(0, 10)}, and its packages are as old.`,
    },
  ];
};
