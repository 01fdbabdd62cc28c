import { EntryProblem } from '../model/allowlist.ts';
import { type Refusal, refuse, shown } from './entry-problem.ts';

/** The operator’s lists of hosts by name. An allowlist contains one as `preset:<name>`. */
export type Presets = ReadonlyMap<string, readonly string[]>;

/** Public hosts that package managers and git download from. */
export const defaultPresets: Presets = new Map([
  ['pypi', ['pypi.org', 'files.pythonhosted.org']],
  ['conda', ['conda.anaconda.org', 'repo.anaconda.com']],
  [
    'github',
    [
      'github.com',
      'api.github.com',
      'codeload.github.com',
      'raw.githubusercontent.com',
      'objects.githubusercontent.com',
      'release-assets.githubusercontent.com',
      'media.githubusercontent.com',
    ],
  ],
  ['cran', ['cran.r-project.org', 'cloud.r-project.org']],
]);

export const presetNamePattern = '^[a-z][a-z0-9-]{0,39}$';

/** The name in `preset:<name>`, in lower case; undefined for an entry that is no preset. */
export const presetIn = (entry: string): string | undefined =>
  /^preset:/i.test(entry) ? entry.slice('preset:'.length).toLowerCase() : undefined;

/** The hosts of a preset. */
export const hostsOfPreset = (
  name: string,
  presets: Presets,
): { readonly ok: true; readonly hosts: readonly string[] } | Refusal => {
  const hosts = presets.get(name);
  if (hosts !== undefined) return { ok: true, hosts };
  const offered = [...presets.keys()].map((one) => `preset:${one}`).join(', ');
  const instead = offered === '' ? 'List the hosts one by one.' : `Write ${offered}, or list the hosts.`;
  return refuse(EntryProblem.UnknownPreset, `There is no preset ${shown(name)}. ${instead}`);
};
