import type { Driver, DriverFact, Environment, EnvironmentGap, ReleaseCycle } from '../model/environment.ts';
import { type JupyterTags, jupyterMaintained } from './jupyter.ts';
import { isSupported, type PythonVersion, pythonVersions } from './python.ts';
import { comparePython } from './tags.ts';

/** The newest standard image of a repository for one Python version, with its tag resolved. */
export interface StandardCandidate {
  readonly repository: string;
  readonly python: string;
  readonly tag: string;
  readonly digest: string;
  readonly builtAt: string;
  readonly pushedAt?: string | undefined;
  readonly drivers: readonly DriverFact[];
}

export interface EnvironmentFacts {
  /** In the order of the configuration: of two equally new images the first is used. */
  readonly candidates: readonly StandardCandidate[];
  /** Further versions that a standard image has a tag for. They are not offered, since their tag was not resolved. */
  readonly listed?: readonly string[];
  /** A source of standard images has never answered, so other images may exist. */
  readonly incomplete?: boolean;
  readonly cycle: ReleaseCycle;
  readonly jupyter: JupyterTags;
  /** Epoch milliseconds. */
  readonly now: number;
  readonly staleAfterDays?: number;
}

/** After a month without a build Jupyter’s base image has changed four times. */
const STALE_AFTER_DAYS = 30;
const DAY_MS = 24 * 3600 * 1000;

/**
 * The environments that are offered: one image for each Python version that gets fixes, has a Jupyter tag and has a
 * standard image; highest version first. Every other version that gets fixes or has a standard image is a gap with its
 * reason. The default is the highest version that Jupyter maintains and whose image is not stale, else the highest that
 * Jupyter maintains, else the highest.
 */
export function environments(facts: EnvironmentFacts): {
  readonly items: readonly Environment[];
  readonly gaps: readonly EnvironmentGap[];
} {
  const versions = new Map(
    pythonVersions(facts.cycle, facts.now).map((version) => [version.version, version]),
  );
  const newest = newestOfEach(facts.candidates);
  const items: Environment[] = [];
  const gaps: EnvironmentGap[] = [];
  const listed = new Set([...(facts.listed ?? []), ...newest.keys()]);
  const asked = new Set([...versions.keys(), ...listed]);
  for (const python of [...asked].sort(comparePython).reverse()) {
    const version = versions.get(python);
    const candidate = newest.get(python);
    const lastModified = Object.hasOwn(facts.jupyter, python) ? facts.jupyter[python] : undefined;
    if (version && isSupported(version) && candidate && lastModified !== undefined) {
      items.push(environment(version, candidate, lastModified, facts));
      continue;
    }
    const gap = gapOf(python, version, {
      hasImage: listed.has(python),
      hasJupyterTag: lastModified !== undefined,
      isIncomplete: facts.incomplete === true,
    });
    if (gap !== undefined) gaps.push(gap);
  }
  return { items: withDefault(items), gaps };
}

/** The drivers of an image that was built at this time, according to the configuration. */
export function driversOf(facts: readonly DriverFact[], builtAt: string): readonly Driver[] {
  const day = builtAt.slice(0, 10);
  return facts
    .filter(({ from, until }) => (from === undefined || day >= from) && (until === undefined || day < until))
    .map(({ from: _from, until: _until, ...driver }) => driver);
}

function environment(
  version: PythonVersion,
  candidate: StandardCandidate,
  lastModified: string | null,
  { now, staleAfterDays = STALE_AFTER_DAYS }: EnvironmentFacts,
): Environment {
  return {
    python: version.version,
    image: `${candidate.repository}:${candidate.tag}`,
    tag: candidate.tag,
    digest: candidate.digest,
    drivers: [...driversOf(candidate.drivers, candidate.builtAt)],
    endOfLife: version.endOfLife,
    pythonStatus: version.status,
    jupyterMaintained: jupyterMaintained(lastModified, now),
    builtAt: candidate.builtAt,
    stale: now - freshMs(candidate) > staleAfterDays * DAY_MS,
    default: false,
  };
}

/** A tag can be pushed again with newer packages and keep the day in its name, so the later of the two is used. */
function freshMs({ builtAt, pushedAt }: StandardCandidate): number {
  return Math.max(Date.parse(builtAt), pushedAt === undefined ? -Infinity : Date.parse(pushedAt));
}

function newestOfEach(candidates: readonly StandardCandidate[]): ReadonlyMap<string, StandardCandidate> {
  const newest = new Map<string, StandardCandidate>();
  for (const candidate of candidates) {
    const best = newest.get(candidate.python);
    if (best === undefined || freshMs(candidate) > freshMs(best)) newest.set(candidate.python, candidate);
  }
  return newest;
}

function gapOf(
  python: string,
  version: PythonVersion | undefined,
  {
    hasImage,
    hasJupyterTag,
    isIncomplete,
  }: { readonly hasImage: boolean; readonly hasJupyterTag: boolean; readonly isIncomplete: boolean },
): EnvironmentGap | undefined {
  if (version === undefined) {
    return {
      python,
      reason: 'unknown_python',
      message: `Python ${python} is not in Python’s release cycle.`,
    };
  }
  if (!isSupported(version) && !hasImage) return undefined;
  if (version.isEndOfLife) {
    return {
      python,
      reason: 'end_of_life',
      message: `Python ${python} reached its end of life on ${version.endOfLife}; its image is no longer offered.`,
    };
  }
  if (!isSupported(version)) {
    return {
      python,
      reason: 'not_released',
      message: `Python ${python} is expected on ${version.firstRelease}.`,
    };
  }
  if (!hasJupyterTag) {
    const also = hasImage || isIncomplete ? '' : ', and there is no standard image for it';
    return {
      python,
      reason: 'no_jupyter_tag',
      message: `Jupyter publishes no image for Python ${python}${also}.`,
    };
  }
  if (hasImage || isIncomplete) {
    return {
      python,
      reason: 'not_known',
      message: `It is not known whether there is a standard image for Python ${python}: its registry gives no answer.`,
    };
  }
  return {
    python,
    reason: 'no_standard_image',
    message: `There is no standard image for Python ${python}; a team can build its own image on Jupyter’s.`,
  };
}

function withDefault(items: readonly Environment[]): readonly Environment[] {
  const chosen =
    items.find(({ jupyterMaintained, stale }) => jupyterMaintained === true && !stale) ??
    items.find(({ jupyterMaintained }) => jupyterMaintained === true) ??
    items[0];
  return items.map((item) => (item === chosen ? { ...item, default: true } : item));
}
