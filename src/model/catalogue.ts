import Type, { type Static } from 'typebox';
import { answer, closed, Instant, known, nullable, ref } from '../lib/schema.ts';
import { Environment, EnvironmentGap, pythonStatuses, ReleaseCycle } from './environment.ts';
import { pageOf } from './page.ts';

const Python = Type.String({ pattern: '^[1-9]\\d?\\.\\d{1,2}$', examples: ['3.11'] });

/** A source of the catalogue, and when it last answered. */
export const CatalogueSource = answer(
  {
    name: Type.String({ examples: ['ghcr.io/navikt/knada-images/jupyter'] }),
    checkedAt: nullable({
      ...Instant,
      description: 'When the source was last read; null when it has not been read yet.',
    }),
    answeredAt: nullable({
      ...Instant,
      description: 'When the source last answered; null when it never has.',
    }),
    error: nullable(Type.String({ description: 'Why the last read failed; earlier data is kept.' })),
  },
  { $id: 'CatalogueSource' },
);
export type CatalogueSource = Static<typeof CatalogueSource>;

/** Whether Jupyter publishes images for a Python version. */
export const JupyterSupport = answer(
  {
    supported: Type.Boolean({ description: 'Jupyter publishes an image for it.' }),
    lastBuiltAt: nullable({ ...Instant, description: 'null when not known, or when there is no image.' }),
    maintained: nullable(
      Type.Boolean({
        description: 'The image was built within the last three weeks; null when not known.',
      }),
    ),
  },
  { $id: 'JupyterSupport' },
);

export const PythonVersionInfo = answer(
  {
    python: Python,
    status: known(pythonStatuses),
    firstRelease: Type.String({ format: 'date' }),
    endOfLife: Type.String({ format: 'date', description: 'The last day on which the version gets fixes.' }),
    jupyter: ref(JupyterSupport),
    offered: Type.Boolean({ description: 'An environment is offered for this version.' }),
  },
  {
    $id: 'PythonVersion',
    description: 'A Python version, its release cycle, and whether Jupyter supports it.',
  },
);
export type PythonVersionInfo = Static<typeof PythonVersionInfo>;

/** The newest image of one Python version in one source, as last read. */
export const StandardEntry = closed({
  repository: Type.String(),
  python: Python,
  tag: Type.String(),
  digest: Type.String(),
  builtAt: Instant,
  pushedAt: nullable(Instant),
  /** When it was first found missing; null while it exists. */
  missingSince: nullable(Instant),
  /** It was missing twice, some time apart, and is no longer offered. */
  missing: Type.Boolean(),
});
export type StandardEntry = Static<typeof StandardEntry>;

/** The stored catalogue: what is shown, and what the next refresh starts from. */
export const Catalogue = closed({
  /** Counts the refreshes. A refresh that started from an older catalogue must not replace a newer one. */
  revision: Type.Integer({ minimum: 0 }),
  /** All data was current at this time or later. */
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
  description: 'All data was current at this time or later.',
});

export const PythonEnvironmentPage = answer(
  {
    ...pageOf(ref(Environment), 'PythonEnvironmentPage').properties,
    gaps: Type.Array(ref(EnvironmentGap)),
    asOf,
    sources: Type.Array(ref(CatalogueSource)),
  },
  { $id: 'PythonEnvironmentPage' },
);
export type PythonEnvironmentPage = Static<typeof PythonEnvironmentPage>;

export const PythonVersionPage = answer(
  {
    ...pageOf(ref(PythonVersionInfo), 'PythonVersionPage').properties,
    asOf,
    sources: Type.Array(ref(CatalogueSource)),
  },
  { $id: 'PythonVersionPage' },
);
export type PythonVersionPage = Static<typeof PythonVersionPage>;
