import Type, { type Static } from 'typebox';
import { closed, Instant, nullable, oneOf, ref } from '../schema.ts';
import { Environment, EnvironmentGap, environments, type StandardImage } from './environment.ts';
import { jupyterMaintained, jupyterSnapshot } from './jupyter.ts';
import { pythonStatuses, pythonVersions, ReleaseCycle, releaseCycleSnapshot } from './python.ts';

const Python = Type.String({ pattern: '^[1-9]\\d?\\.\\d{1,2}$', examples: ['3.11'] });

/** Something that the catalogue is made of, and how well it answers. */
export const CatalogueSource = closed(
  {
    name: Type.String({ examples: ['ghcr.io/navikt/knada-images/jupyter'] }),
    checkedAt: nullable({ ...Instant, description: 'When it was last asked; null: not yet.' }),
    answeredAt: nullable({
      ...Instant,
      description: 'As of when its part is known; null: it never answered.',
    }),
    error: nullable(Type.String({ description: 'Why the last look failed; what was known before stands.' })),
  },
  { $id: 'CatalogueSource' },
);
export type CatalogueSource = Static<typeof CatalogueSource>;

export const PythonVersionInfo = closed(
  {
    python: Python,
    status: oneOf(pythonStatuses),
    firstRelease: Type.String({ format: 'date' }),
    endOfLife: Type.String({ format: 'date', description: 'The last day on which it gets fixes.' }),
    jupyter: closed({
      supported: Type.Boolean({ description: 'Jupyter publishes an image for it.' }),
      lastBuiltAt: nullable({ ...Instant, description: 'null: not known, or there is none.' }),
      maintained: nullable(
        Type.Boolean({ description: 'It was built within the last three weeks; null: not known.' }),
      ),
    }),
    offered: Type.Boolean({ description: 'There is an environment for it.' }),
  },
  {
    $id: 'PythonVersion',
    description: 'A Python version: its release cycle, and whether Jupyter supports it.',
  },
);
export type PythonVersionInfo = Static<typeof PythonVersionInfo>;

/** The newest image of one Python version in one source, as it was last found. */
export const StandardEntry = closed({
  repository: Type.String(),
  python: Python,
  tag: Type.String(),
  digest: Type.String(),
  builtAt: Instant,
  pushedAt: nullable(Instant),
  /** When it was first found gone; null while it is there. */
  missingSince: nullable(Instant),
  /** It was gone twice, some time apart: it is not offered any more. */
  missing: Type.Boolean(),
});
export type StandardEntry = Static<typeof StandardEntry>;

/** What is stored: what is shown, and what the next refresh goes on from. */
export const Catalogue = closed({
  /** Counts the refreshes: one that began on an older catalogue must not replace a newer one. */
  revision: Type.Integer({ minimum: 0 }),
  /** Everything in it was so at this time or later. */
  asOf: Instant,
  items: Type.Array(ref(Environment)),
  gaps: Type.Array(ref(EnvironmentGap)),
  pythonVersions: Type.Array(ref(PythonVersionInfo)),
  cycle: ReleaseCycle,
  jupyter: Type.Record(Type.String(), nullable(Type.String())),
  standard: Type.Array(StandardEntry),
  /** Python versions that each source has tags for. */
  listed: Type.Record(Type.String(), Type.Array(Python)),
  sources: Type.Array(ref(CatalogueSource)),
});
export type Catalogue = Static<typeof Catalogue>;

const asOf = Type.String({
  format: 'date-time',
  description: 'Everything here was so at this time or later.',
});

export const EnvironmentList = closed(
  {
    items: Type.Array(ref(Environment)),
    gaps: Type.Array(ref(EnvironmentGap)),
    asOf,
    sources: Type.Array(ref(CatalogueSource)),
  },
  { $id: 'EnvironmentList' },
);
export type EnvironmentList = Static<typeof EnvironmentList>;

export const PythonVersionList = closed(
  { items: Type.Array(ref(PythonVersionInfo)), asOf, sources: Type.Array(ref(CatalogueSource)) },
  { $id: 'PythonVersionList' },
);
export type PythonVersionList = Static<typeof PythonVersionList>;

export const sourceNames = { python: 'peps.python.org', jupyter: 'quay.io/jupyter/base-notebook' } as const;

/** What a catalogue is made of, before what follows from it. */
export type CatalogueFacts = Pick<
  Catalogue,
  'revision' | 'cycle' | 'jupyter' | 'standard' | 'listed' | 'sources'
>;

/** The catalogue that these facts make at `now` (epoch milliseconds). The order of `images` decides between equals. */
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
    asOf: known[0] ?? new Date(now).toISOString(),
    items: [...items],
    gaps: [...gaps],
    pythonVersions: versions.toReversed(),
  };
};

/** The catalogue before the first refresh: what ships with this version, and no image yet. */
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

export const listEnvironments = ({ items, gaps, asOf, sources }: Catalogue): EnvironmentList => ({
  items,
  gaps,
  asOf,
  sources,
});

export const listPythonVersions = ({
  pythonVersions: items,
  asOf,
  sources,
}: Catalogue): PythonVersionList => ({
  items,
  asOf,
  sources,
});

/** Whether members are offered the same: if so no profile has to be rendered anew. */
export const offersTheSame = (a: Catalogue | undefined, b: Catalogue): boolean =>
  JSON.stringify(a?.items) === JSON.stringify(b.items);
