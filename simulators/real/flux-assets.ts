import { existsSync, globSync } from 'node:fs';
import { homedir } from 'node:os';
import { join } from 'node:path';

/** The folder of `.ci/flux-assets` that has these programs: FLUX_ASSETS, else the newest in the cache. */
export const fluxAssets = (...programs: readonly string[]): string | undefined => {
  const cache = process.env.XDG_CACHE_HOME ?? join(homedir(), '.cache');
  const cached = globSync('*/flux-*', { cwd: cache }).map((name) => join(cache, name));
  return [process.env.FLUX_ASSETS, ...cached.toSorted().toReversed()].find(
    (folder) => folder !== undefined && programs.every((name) => existsSync(join(folder, name))),
  );
};
