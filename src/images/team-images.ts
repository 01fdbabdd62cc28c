import { ghcrHost } from '../lib/oci.ts';
import type { ImageTag, TeamImagePage } from '../model/image.ts';
import { Problem } from '../model/problems.ts';
import type { Registries } from '../ports/registries.ts';
import { imageTags } from './nearest-tags.ts';
import { checkAllowed, garHost, type ImagePolicy, parseReference } from './reference.ts';
import { absentRepository, valueIn } from './resolve.ts';

export interface ImageTagList {
  /** Newest first. */
  readonly items: readonly ImageTag[];
  /** items may be incomplete. */
  readonly partial: boolean;
  readonly asOf: string;
}

/** A team’s images: those in its Artifact Registry repository, and its registered GHCR repositories. */
export const listTeamImages = async (
  { registries, policy }: { registries: Registries; policy: ImagePolicy },
  ghcrRepositories: readonly string[],
  signal: AbortSignal,
): Promise<TeamImagePage> => {
  const ghcr = ghcrRepositories.map((name) => ({
    image: `${ghcrHost}/${policy.ghcrOwner.toLowerCase()}/${name}`,
    registry: 'ghcr' as const,
    updatedAt: null,
  }));
  if (!policy.garTeam) return { items: ghcr, nextCursor: null, unknown: [] };
  const answer = await registries.garImages(policy.garTeam, signal);
  const unknown = answer.answer === 'unknown' ? [answer.message] : [];
  if (answer.answer === 'absent') {
    unknown.push(
      `${garHost(policy)}/${policy.garProject}/${policy.garTeam} does not exist, or this platform is not allowed to list it.`,
    );
  }
  const gar = answer.answer === 'found' ? answer.value : [];
  const listed = gar.map(({ host, path, updatedAt = null }) => ({
    image: `${host}/${path}`,
    registry: 'gar' as const,
    updatedAt,
  }));
  return { items: [...listed, ...ghcr], nextCursor: null, unknown };
};

/**
 * The tags of an image that the team may run, newest first. `text` names it, with or without a tag. Throws Problem
 * as `resolveImage` does.
 */
export const listImageTags = async (
  { registries, policy }: { registries: Registries; policy: ImagePolicy },
  text: string,
  signal: AbortSignal,
): Promise<ImageTagList> => {
  const parsed = parseReference(text);
  if (!parsed.ok) throw new Problem(parsed.code, { detail: parsed.message });
  const { host, path } = parsed.reference;
  const allowed = checkAllowed({ host, path, tag: 'any' }, policy);
  if (!allowed.ok) throw new Problem(allowed.code, { detail: allowed.message });
  const list = valueIn(await registries.tags({ host, path }, signal), () =>
    absentRepository(parsed.reference),
  );
  const items = imageTags(list.tags).map(({ tag, digest = null, pushedAt = null }) => ({
    tag,
    digest,
    pushedAt,
  }));
  return { items, partial: list.partial, asOf: list.asOf };
};
