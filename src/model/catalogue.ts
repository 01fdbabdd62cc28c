import Type, { type Static } from 'typebox';
import { closed, Instant, nullable, oneOf, ref } from '../lib/schema.ts';
import { Environment, EnvironmentGap, pythonStatuses, ReleaseCycle } from './environment.ts';

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
