import { isoOf } from '../lib/time.ts';
import type {
  Catalogue,
  PythonEnvironmentPage,
  PythonVersionInfo,
  PythonVersionPage,
} from '../model/catalogue.ts';
import type { StandardImage } from '../model/environment.ts';
import { environments } from './environment.ts';
import { jupyterMaintained, jupyterSnapshot } from './jupyter.ts';
import { pythonVersions, releaseCycleSnapshot } from './python.ts';

export const sourceNames = { python: 'peps.python.org', jupyter: 'quay.io/jupyter/base-notebook' } as const;

/** The data that a catalogue is derived from. */
export type CatalogueFacts = Pick<
  Catalogue,
  'revision' | 'cycle' | 'jupyter' | 'standard' | 'listed' | 'sources'
>;

/** Derives the catalogue at `now` (epoch milliseconds). The order of `images` decides between equals. */
export const catalogueOf = (
  facts: CatalogueFacts,
  images: readonly StandardImage[],
  now: number,
): Catalogue => {
  const candidates = images.flatMap(({ repository, drivers }) =>
    facts.standard
      .filter((entry) => entry.repository === repository && !entry.missing)
      .map(({ pushedAt, ...entry }) => ({ ...entry, drivers, ...(pushedAt !== null && { pushedAt }) })),
  );
  const answered = facts.sources.map(({ answeredAt }) => answeredAt);
  const { items, gaps } = environments({
    candidates,
    listed: Object.values(facts.listed).flat(),
    incomplete: answered.includes(null),
    cycle: facts.cycle,
    jupyter: facts.jupyter,
    now,
  });
  const offered = new Set(items.map(({ python }) => python));
  const versions = pythonVersions(facts.cycle, now).map(
    ({ version, status, firstRelease, endOfLife }): PythonVersionInfo => {
      const supported = Object.hasOwn(facts.jupyter, version);
      const lastBuiltAt = facts.jupyter[version] ?? null;
      const maintained = supported ? jupyterMaintained(lastBuiltAt, now) : false;
      const jupyter = { supported, lastBuiltAt, maintained };
      return { python: version, status, firstRelease, endOfLife, jupyter, offered: offered.has(version) };
    },
  );
  const known = answered.filter((at) => at !== null).toSorted();
  return {
    ...facts,
    asOf: known[0] ?? isoOf(now),
    items: [...items],
    gaps: [...gaps],
    pythonVersions: versions.toReversed(),
  };
};

/** The catalogue before the first refresh: the snapshots of this version, without images. */
export const shippedCatalogue = (images: readonly StandardImage[], now: number): Catalogue => {
  const shipped = (name: string, answeredAt: string | null) => ({
    name,
    checkedAt: null,
    answeredAt,
    error: null,
  });
  const facts = {
    revision: 0,
    cycle: releaseCycleSnapshot.cycle,
    jupyter: jupyterSnapshot.tags,
    standard: [],
    listed: {},
    sources: [
      shipped(sourceNames.python, releaseCycleSnapshot.fetchedAt),
      shipped(sourceNames.jupyter, jupyterSnapshot.fetchedAt),
      ...images.map(({ repository }) => shipped(repository, null)),
    ],
  };
  return catalogueOf(facts, images, now);
};

export const listEnvironments = ({ items, gaps, asOf, sources }: Catalogue): PythonEnvironmentPage => ({
  items,
  nextCursor: null,
  gaps,
  asOf,
  sources,
});

export const listPythonVersions = ({
  pythonVersions: items,
  asOf,
  sources,
}: Catalogue): PythonVersionPage => ({
  items,
  nextCursor: null,
  asOf,
  sources,
});

/** Whether both offer the same environments, so no profile has to be rendered again. */
export const offersTheSame = (a: Catalogue | undefined, b: Catalogue): boolean =>
  JSON.stringify(a?.items) === JSON.stringify(b.items);
