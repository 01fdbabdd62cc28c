import { forEachConcurrently } from '../lib/concurrency.ts';
import { ghcrHost } from '../lib/oci.ts';
import type { TeamWarning } from '../model/team-warnings.ts';
import type { Registries } from '../ports/registries.ts';

const atOnce = 8;

type Existence = 'found' | 'absent' | 'unknown';

const whenAborted = (signal: AbortSignal): Promise<Existence> =>
  new Promise((resolve) => {
    if (signal.aborted) resolve('unknown');
    else signal.addEventListener('abort', () => resolve('unknown'), { once: true });
  });

/** A failure says nothing about the repository, and must not fail the change that was made already. */
const existenceOf = (registries: Registries, path: string, signal: AbortSignal): Promise<Existence> =>
  registries.tags({ host: ghcrHost, path }, signal).then(
    ({ answer }) => answer,
    () => 'unknown',
  );

/**
 * Warnings about those of a team’s GHCR repositories that do not exist, are private, or could not be checked before the
 * signal. `repositories`: names below the owner, in the order of the team’s list. Never throws.
 */
export const repositoryWarnings = async (
  { registries, owner }: { readonly registries: Registries; readonly owner: string },
  repositories: readonly string[],
  signal: AbortSignal,
): Promise<readonly TeamWarning[]> => {
  const existence = new Map<string, Existence>();
  const aborted = whenAborted(signal);
  const imageOf = (name: string) => `${owner.toLowerCase()}/${name}`;
  await forEachConcurrently(repositories, atOnce, async (name) => {
    const answer = signal.aborted ? aborted : existenceOf(registries, imageOf(name), signal);
    existence.set(name, await Promise.race([answer, aborted]));
  });
  return repositories.flatMap((name, index): TeamWarning[] => {
    const pointer = `/ghcrRepositories/${index}`;
    const image = `${ghcrHost}/${imageOf(name)}`;
    switch (existence.get(name)) {
      case 'found':
        return [];
      case 'absent': {
        const message = `${image} does not exist, or the platform is not allowed to read it. Check its name and its visibility.`;
        return [{ pointer, code: 'repository_not_found_or_private', message }];
      }
      default: {
        const message = `GHCR gave no answer in time, so it is not known whether ${image} exists.`;
        return [{ pointer, code: 'repository_not_checked', message }];
      }
    }
  });
};
